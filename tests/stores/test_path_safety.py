"""Whatever a channel, a prefix or a user is called: every file has a key of its own, inside its folder, in every store."""

from __future__ import annotations

import hashlib
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import keys
from models.vocabulary.errors import BadParameter, StorageError
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import TICKS_PER_S
from scheduler.rules import MAX_CNAME_BYTES, check_cname
from stores.folder import Folder
from stores.names import checked
from workers.recorder.aftermath import start_of
from workers.spool import Spool

SID = "5" * 32
#: The contract's charset (code 1013).
LEGAL = string.ascii_letters + string.digits + " !#$%&()+-:;<=.>?@[]^_{}|~,"
names = st.text(LEGAL, min_size=1, max_size=MAX_CNAME_BYTES)
prefixes = st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=20), max_size=6).map(tuple)
anything = st.text(max_size=80)


def every_key(prefix: tuple[str, ...], cname: str) -> list[str]:
    whole = (prefix, SID, cname)
    segments = [
        keys.segment_key(*whole, 1_700_000_000_000, n * 6 * TICKS_PER_S, epoch) for n in (0, 9) for epoch in (1, 2)
    ]
    films = [keys.mp4_key(*whole, n) for n in (0, 11)]
    return [*segments, *films, keys.playlist_key(*whole), keys.index_key(*whole)]


@given(prefixes, names)
def test_every_name_that_the_contract_allows_gives_keys_that_every_store_takes(
    prefix: tuple[str, ...], cname: str
) -> None:
    check_cname(cname)
    made = every_key(prefix, cname)
    assert len(set(made)) == len(made)
    for key in made:
        assert checked(key) == key
        assert key.rpartition("/")[0] == "/".join(prefix)
        assert checked(keys.backup_key("a" * 32, key)).startswith("a" * 32 + "/")


types = st.sampled_from(["audio", "video", "video-screen", "audio-media-2", "video-whiteboard-17"])
users = st.one_of(st.text(min_size=1, max_size=64), st.text("a/\\\0\x7f.é\U0001f600", min_size=1, max_size=64))


@given(prefixes, names, users, users, types)
def test_every_users_files_have_keys_of_their_own(
    prefix: tuple[str, ...], cname: str, user: str, other: str, type_: str
) -> None:
    def made(uid: str) -> list[str]:
        stream = Stream(uid, type_)
        segment = keys.stream_segment_name(SID, cname, stream, 1_700_000_000_000, 0, 1, ".webm")
        return [keys.prefix_path(prefix) + segment, keys.stream_playlist_key(prefix, SID, cname, stream)]

    for key in made(user):
        assert checked(key) == key
        assert key.rpartition("/")[0] == "/".join(prefix)
    assert user == other or not set(made(user)) & set(made(other))


@given(anything)
def test_no_name_at_all_leads_out_of_its_folder(cname: str) -> None:
    """What the contract refuses does not come so far; if it did, its key would be refused or stay where it belongs."""
    for key in every_key(("calls",), cname):
        try:
            checked(key)
        except BadParameter:
            continue
        assert key.count("/") == 1
        assert Path("/srv/calls") == Path("/srv", key).resolve().parent


@given(st.one_of(anything, st.text("./\\\0ab", max_size=12)))
def test_a_folder_store_keeps_inside_or_refuses(key: str) -> None:
    with tempfile.TemporaryDirectory() as outer:
        root = Path(outer, "root")
        try:
            Folder(root).put(key, b"x", md5_hex=hashlib.md5(b"x").hexdigest(), content_type="text/plain")
        except (BadParameter, StorageError):
            pass
        else:
            assert Folder(root).list() == [key]
        assert [path.name for path in Path(outer).iterdir()] in ([], ["root"])


@given(names)
def test_a_slices_place_in_the_spool_is_found_again_from_its_name(cname: str) -> None:
    start_90k = 7 * 6 * TICKS_PER_S
    name = keys.segment_key((), SID, cname, 1_700_000_000_000, start_90k, 3)
    assert Path("/spool", name).resolve().parent == Path("/spool")
    assert start_of(name, t0_ms=1_700_000_000_000, epoch=3, fps=15) == start_90k


@pytest.mark.parametrize("sid", ["5" * 32])
def test_a_spool_is_readable_by_its_owner_alone(tmp_path: Path, sid: str) -> None:
    folder = Spool.make(tmp_path, sid, "0" * 32).folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.resolve().is_relative_to(tmp_path.resolve())
