"""The store protocol: where files go. One file a backend, one test-suite for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoreCaps:
    reads: bool  # the keys we hold may get and head
    deletes: bool
    presigns: bool


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    bytes: int
    etag: str  # of a whole put: the md5 in hex; of a multipart put: the vendor's
    content_type: str


class Store(Protocol):
    """Thread-safe; every method blocks and raises `models.vocabulary.errors.StorageError`s (scope CALLER or NODE)."""

    caps: StoreCaps

    def probe(self) -> None:
        """Whether address and keys are usable at all, as far as can be told without writing."""
        ...

    def put(
        self, key: str, source: Path | bytes, *, md5_hex: str, content_type: str, timeout_s: float | None = None
    ) -> None:
        """Store the bytes; return only when the store has acknowledged these very bytes (checksum proven).

        Raises `StoreRefused` (keys, bucket, region wrong), `StoreTokenExpired`, `StoreUnavailable` (try again),
        `StoreCorrupt`. `timeout_s` bounds the whole call: after it the put has failed, though it may still land.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None: ...

    def get_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes [start, end). Raises `StorageError` when there is no such object."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, sorted. Only where `caps.reads`."""
        ...

    def presign(self, key: str, expires_s: int) -> str | None: ...

    def delete(self, key: str) -> None: ...

    def close(self) -> None: ...
