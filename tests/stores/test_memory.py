"""The memory store fails as told; that is what it is for."""

from __future__ import annotations

import hashlib

import pytest

from models.vocabulary.errors import StorageError, StoreUnavailable
from models.vocabulary.spec import MemoryStore, StoreKeys
from stores.memory import Memory
from stores.opening import open_store

MD5 = hashlib.md5(b"x").hexdigest()


def test_a_name_is_one_store_for_the_whole_process() -> None:
    first, second = (open_store(MemoryStore(name="shared"), StoreKeys()) for _ in range(2))
    first.put("a.ts", b"x", md5_hex=MD5, content_type="video/mp2t")
    first.close()
    assert second.get_range("a.ts") == b"x"
    assert open_store(MemoryStore(name="other"), StoreKeys()).list() == []
    Memory.forget("shared")
    assert open_store(MemoryStore(name="shared"), StoreKeys()).list() == []


def test_a_fault_plan_fails_what_it_names_and_nothing_else() -> None:
    asked: list[tuple[str, str]] = []

    def plan(operation: str, key: str) -> StorageError | None:
        asked.append((operation, key))
        return StoreUnavailable("planned") if key == "bad.ts" else None

    store = Memory(faults=plan)
    store.put("good.ts", b"x", md5_hex=MD5, content_type="")
    with pytest.raises(StoreUnavailable, match="planned"):
        store.put("bad.ts", b"x", md5_hex=MD5, content_type="")
    assert store.list() == ["good.ts"]
    assert asked == [("put", "good.ts"), ("ack", "good.ts"), ("put", "bad.ts"), ("list", "")]


def test_a_lost_answer_leaves_the_object_there() -> None:
    store = Memory(faults=lambda operation, _: StoreUnavailable("lost") if operation == "ack" else None)
    with pytest.raises(StoreUnavailable):
        store.put("a.ts", b"x", md5_hex=MD5, content_type="")
    assert store.get_range("a.ts") == b"x"


def test_a_prepared_store_can_be_given_a_name() -> None:
    store = Memory()
    Memory.name("prepared", store)
    assert open_store(MemoryStore(name="prepared"), StoreKeys()) is store
    Memory.forget("prepared")
