"""What only a folder can do wrong."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.vocabulary.errors import BadParameter, StorageError, StoreCorrupt, StoreRefused, StoreUnavailable
from models.vocabulary.spec import FolderStore, StoreKeys
from stores.folder import Folder
from stores.opening import folder_below, open_store


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def folder(root: Path) -> Iterator[Folder]:
    store = Folder(root)
    store.probe()
    yield store
    store.close()


def test_a_link_among_the_folders_leads_nowhere(folder: Folder, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there.ts").write_bytes(b"secret")
    (root / "a").symlink_to(outside)
    with pytest.raises(StoreRefused):
        folder.put("a/x.ts", b"x", md5_hex=md5(b"x"), content_type="")
    with pytest.raises(StorageError):
        folder.get_range("a/there.ts")
    with pytest.raises(StorageError):
        folder.delete("a/there.ts")
    assert [path.name for path in outside.iterdir()] == ["there.ts"]
    assert folder.list() == []


def test_a_link_in_the_place_of_an_object_is_replaced_not_followed(folder: Folder, root: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"untouched")
    (root / "x.ts").symlink_to(target)
    with pytest.raises(StorageError):
        folder.get_range("x.ts")
    folder.put("x.ts", b"mine", md5_hex=md5(b"mine"), content_type="")
    assert target.read_bytes() == b"untouched"
    assert folder.get_range("x.ts") == b"mine"


def test_a_pipe_in_the_place_of_an_object_is_no_object_and_blocks_nobody(folder: Folder, root: Path) -> None:
    os.mkfifo(root / "x.ts")
    assert folder.head("x.ts") is None


def test_a_failed_put_leaves_nothing_behind(folder: Folder, root: Path) -> None:
    with pytest.raises(StoreCorrupt):
        folder.put("a/x.ts", b"x", md5_hex=md5(b"y"), content_type="")
    assert list((root / "a").iterdir()) == []


def test_a_full_disk_is_told_and_heals_by_waiting(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            folder.put("x.ts", b"x", md5_hex=md5(b"x"), content_type="")
    assert folder.list() == []
    folder.put("x.ts", b"x", md5_hex=md5(b"x"), content_type="")


def test_writing_ends_at_its_limit(root: Path, tmp_path: Path) -> None:
    times = iter([0.0, 0.5, 1.5])
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    folder = Folder(root, monotonic=lambda: next(times))
    with pytest.raises(StoreUnavailable, match="too long"):
        folder.put("x.ts", source, md5_hex=md5(source.read_bytes()), content_type="", timeout_s=1.0)
    assert folder.list() == []


def test_what_another_process_is_still_writing_is_not_listed(folder: Folder, root: Path) -> None:
    (root / ".reelyard-0123").write_bytes(b"half")
    assert folder.list() == []
    with pytest.raises(BadParameter):
        folder.head(".reelyard-0123")


def test_two_writers_of_one_key_leave_one_whole_object(folder: Folder, root: Path) -> None:
    bodies = [bytes([n]) * 500_000 for n in range(6)]
    threads = [
        threading.Thread(target=folder.put, args=("x.ts", body), kwargs={"md5_hex": md5(body), "content_type": ""})
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.get_range("x.ts") in bodies
    assert [path.name for path in root.iterdir()] == ["x.ts"]


def test_a_folder_store_needs_a_root_and_stays_below_it(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="REELYARD_STORES_ROOT"):
        open_store(FolderStore(path="app"), StoreKeys())
    (tmp_path / "way-out").symlink_to("/")
    for path in ("../app", "/etc", "a/../../b", "way-out/etc", "a\0b"):
        with pytest.raises(BadParameter, match=r"store\.path"):
            folder_below(tmp_path, path)
    assert folder_below(tmp_path, "app/x") == tmp_path.resolve() / "app" / "x"
    assert folder_below(tmp_path, str(tmp_path / "app")) == tmp_path.resolve() / "app"


def test_what_a_killed_writer_left_is_swept_when_nobody_can_still_write_it(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    old, fresh, strange = (tmp_path / "app" / name for name in (".reelyard-old", ".reelyard-fresh", "old.ts"))
    for path in (old, fresh, strange):
        path.write_bytes(b"half")
    for path in (old, strange):
        os.utime(path, (0, 0))
    store = Folder(tmp_path)
    store.put("app/1.ts", b"slice", md5_hex=hashlib.md5(b"slice").hexdigest(), content_type="video/mp2t")
    assert sorted(path.name for path in (tmp_path / "app").iterdir()) == [".reelyard-fresh", "1.ts", "old.ts"]
