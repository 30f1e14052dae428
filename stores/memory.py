"""A store in memory: for scripted recordings on the virtual clock, and for tests that need a store which fails."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from models.vocabulary.errors import StorageError, StoreCorrupt
from stores.base import ObjectInfo, StoreCaps
from stores.names import checked

#: (operation, key) → the error to fail with. Operations: the protocol's method names, and "ack", asked once a put has
#: landed: an error there is an answer that got lost. Called without the lock, so it may block to play a stall.
Faults = Callable[[str, str], StorageError | None]


@dataclass(frozen=True, slots=True)
class _Object:
    body: bytes
    md5_hex: str
    content_type: str


class Memory:
    _named: ClassVar[dict[str, Memory]] = {}
    _named_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, faults: Faults | None = None, caps: StoreCaps | None = None) -> None:
        self.caps = caps or StoreCaps(reads=True, deletes=True, presigns=False)
        self._faults = faults
        self._objects: dict[str, _Object] = {}
        self._lock = threading.Lock()

    @classmethod
    def named(cls, name: str) -> Memory:
        """The process's store of that name, made when first asked for."""
        with cls._named_lock:
            return cls._named.setdefault(name, cls())

    @classmethod
    def name(cls, name: str, store: Memory) -> None:
        """From now on `named(name)` is this one."""
        with cls._named_lock:
            cls._named[name] = store

    @classmethod
    def forget(cls, name: str) -> None:
        with cls._named_lock:
            cls._named.pop(name, None)

    def probe(self) -> None:
        self._may_fail("probe", "")

    def put(
        self, key: str, source: Path | bytes, *, md5_hex: str, content_type: str, timeout_s: float | None = None
    ) -> None:
        body = source.read_bytes() if isinstance(source, Path) else bytes(source)
        self._may_fail("put", checked(key))
        if hashlib.md5(body, usedforsecurity=False).hexdigest() != md5_hex:
            raise StoreCorrupt(f"{key}: the bytes do not have the checksum they were sent with")
        with self._lock:
            self._objects[key] = _Object(body, md5_hex, content_type)
        self._may_fail("ack", key)

    def head(self, key: str) -> ObjectInfo | None:
        self._may_fail("head", checked(key))
        with self._lock:
            found = self._objects.get(key)
        return ObjectInfo(len(found.body), found.md5_hex, found.content_type) if found else None

    def get_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._may_fail("get_range", checked(key))
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise StorageError(f"there is no object {key}")
        return found.body[start:end]

    def list(self, prefix: str = "") -> list[str]:
        self._may_fail("list", prefix)
        with self._lock:
            return sorted(key for key in self._objects if key.startswith(prefix))

    def presign(self, key: str, expires_s: int) -> str | None:
        return None

    def delete(self, key: str) -> None:
        self._may_fail("delete", checked(key))
        with self._lock:
            self._objects.pop(key, None)

    def close(self) -> None:
        """What was stored stays: another part of the process may open the same name."""

    def _may_fail(self, operation: str, key: str) -> None:
        error = self._faults(operation, key) if self._faults else None
        if error is not None:
            raise error
