"""One suite for every store: what the protocol promises holds in a folder, in memory and behind a real S3."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest

from models.vocabulary.errors import BadParameter, StorageError, StoreCorrupt
from models.vocabulary.spec import FolderStore, MemoryStore, S3Store, StoreKeys
from stores import Store, open_store
from stores.memory import Memory

LOOPBACK = (ip_network("127.0.0.0/8"),)
TS = "video/mp2t"


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def put(store: Store, key: str, body: bytes, content_type: str = TS) -> None:
    store.put(key, body, md5_hex=md5(body), content_type=content_type)


def put_all(store: Store, versions: list[bytes]) -> None:
    for body in versions:
        put(store, "live.m3u8", body)


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    keys = StoreKeys()
    if request.param == "folder":
        opened = open_store(FolderStore(path="app/store"), keys, stores_root=tmp_path)
    elif request.param == "memory":
        opened = open_store(MemoryStore(name=request.node.name), keys)
    else:
        server = request.getfixturevalue("s3")
        keys = StoreKeys(access_key=server.access_key, secret_key=server.secret_key)
        address = S3Store(vendor=11, bucket=server.bucket, endpoint=server.endpoint)
        opened = open_store(address, keys, allow_networks=LOOPBACK)
    yield opened
    opened.close()
    Memory.forget(request.node.name)


def test_a_usable_store_is_probed_without_an_error_and_without_a_trace(store: Store) -> None:
    store.probe()
    assert store.list() == []


def test_what_was_put_is_what_is_got(store: Store) -> None:
    body = bytes(range(256)) * 1_000
    put(store, "a/b/one.ts", body)
    assert store.get_range("a/b/one.ts") == body


def test_a_file_is_put_like_its_bytes(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"segment" * 300_000)
    store.put("big.mp4", source, md5_hex=md5(source.read_bytes()), content_type="video/mp4")
    assert store.get_range("big.mp4") == source.read_bytes()


def test_head_tells_size_checksum_and_type(store: Store) -> None:
    put(store, "one.m3u8", b"#EXTM3U", "application/vnd.apple.mpegurl")
    found = store.head("one.m3u8")
    assert found is not None
    assert (found.bytes, found.etag, found.content_type) == (7, md5(b"#EXTM3U"), "application/vnd.apple.mpegurl")


def test_an_empty_object_is_an_object(store: Store) -> None:
    put(store, "empty.ts", b"")
    found = store.head("empty.ts")
    assert found is not None
    assert found.bytes == 0
    assert store.get_range("empty.ts") == b""


def test_ranges_are_half_open_and_end_at_the_end(store: Store) -> None:
    body = b"0123456789"
    put(store, "digits.ts", body)
    for start, end in [(0, 3), (2, 5), (2, None), (9, 10), (0, 10), (5, 5), (7, 99), (10, 12), (99, 100)]:
        assert store.get_range("digits.ts", start, end) == body[start:end], (start, end)


def test_what_is_not_there_has_no_head_and_no_bytes(store: Store) -> None:
    assert store.head("nothing.ts") is None
    with pytest.raises(StorageError, match=r"nothing\.ts"):
        store.get_range("nothing.ts")


def test_putting_again_replaces(store: Store) -> None:
    put(store, "live.m3u8", b"first")
    put(store, "live.m3u8", b"second version")
    assert store.get_range("live.m3u8") == b"second version"


def test_bytes_that_differ_from_their_checksum_are_refused_and_change_nothing(store: Store) -> None:
    put(store, "kept.ts", b"good")
    with pytest.raises(StoreCorrupt):
        store.put("kept.ts", b"bad!", md5_hex=md5(b"good"), content_type=TS)
    with pytest.raises(StoreCorrupt):
        store.put("new.ts", b"bad!", md5_hex=md5(b"good"), content_type=TS)
    assert store.get_range("kept.ts") == b"good"
    assert store.list() == ["kept.ts"]


def test_a_list_is_sorted_and_knows_prefixes(store: Store) -> None:
    for key in ("b/2.ts", "a/1.ts", "b/10.ts", "bb.ts"):
        put(store, key, b"x")
    assert store.list() == ["a/1.ts", "b/10.ts", "b/2.ts", "bb.ts"]
    assert store.list("b/") == ["b/10.ts", "b/2.ts"]
    assert store.list("b") == ["b/10.ts", "b/2.ts", "bb.ts"]
    assert store.list("c") == []


def test_deleting_twice_is_like_deleting_once(store: Store) -> None:
    put(store, "gone.ts", b"x")
    store.delete("gone.ts")
    store.delete("gone.ts")
    assert store.head("gone.ts") is None


def test_every_character_a_channel_name_may_have_survives_in_a_key(store: Store) -> None:
    keys = ["sid_room with space.ts", "sid_a!#$%&()+-:;<=.>?@[]^_{}|~,.ts", "sid_课堂.ts", "a*b'c\"d.ts"]
    for key in keys:
        put(store, key, key.encode())
    assert store.list() == sorted(keys)
    for key in keys:
        assert store.get_range(key) == key.encode()
        store.delete(key)
    assert store.list() == []


def test_a_key_that_leaves_its_store_is_a_bad_parameter(store: Store) -> None:
    outside = ["", "../out.ts", "a/../../out.ts", "/etc/passwd", "..", "."]
    odd = ["a//b.ts", "a/./b.ts", "a/", "a\0b", "a\\b", "a\nb", "x" * 300, "x/" * 600 + "x", "\ud800"]
    for key in outside + odd:
        with pytest.raises(BadParameter):
            put(store, key, b"x")
        with pytest.raises(BadParameter):
            store.get_range(key)
        with pytest.raises(BadParameter):
            store.delete(key)


def test_many_threads_may_put_at_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: put(store, f"s/{n:02d}.ts", b"%d" % n), range(32)))
    assert store.list("s/") == [f"s/{n:02d}.ts" for n in range(32)]
    assert store.get_range("s/17.ts") == b"17"


def test_readers_see_the_old_object_or_the_new_one_never_a_piece(store: Store) -> None:
    versions = [bytes([n]) * 200_000 for n in range(12)]
    put(store, "live.m3u8", versions[0])
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(put_all, store, versions)
        while not writing.done():
            assert store.get_range("live.m3u8") in versions
        writing.result()


def test_who_presigns_says_so(store: Store) -> None:
    put(store, "one.ts", b"x")
    assert (store.presign("one.ts", 60) is not None) == store.caps.presigns
