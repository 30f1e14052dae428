"""Slices go up in parallel, each tried until its store has proven its bytes; documents one at a time a key.

Rules U1–U8 of docs/design/uploads.md: a slice's name is immutable, its put is idempotent, its local copy stays until proven.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from models.vocabulary.errors import ReelyardError, Scope, StorageError
from models.vocabulary.timing import Clock
from stores.base import Store
from workers.recorder.upload.backoff import wait_s

PARALLEL: Final = 3
#: A document PUT that is abandoned may still land; bounded below a tenure's TTL it cannot outlive its writer.
DOCUMENT_TIMEOUT_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Item:
    """A closed slice on disk."""

    key: str
    path: Path
    bytes: int
    md5: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Text:
    """A document: playlist or index."""

    key: str
    content_type: str
    text: str
    rev: int


class Uploader:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Callable[[], float],
        *,
        on_stored: Callable[[str], None],
        on_written: Callable[[str, int], None],
        on_trouble: Callable[[ReelyardError], None],
        on_lost: Callable[[str], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._on_stored = on_stored
        self._on_written = on_written
        self._on_trouble = on_trouble
        self._on_lost = on_lost  # a slice is gone from the spool: it will never be stored
        self._on_crash = on_crash  # one of our tasks broke: nobody sends its file any more
        self._slots = asyncio.Semaphore(PARALLEL)
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsent: dict[str, Item] = {}
        self._newest: dict[str, Text] = {}
        self._writing: set[str] = set()
        self._writer_until = 0.0

    @property
    def unsent_bytes(self) -> int:
        return sum(item.bytes for item in self._unsent.values())

    def put(self, item: Item) -> None:
        if item.key not in self._unsent:
            self._unsent[item.key] = item
            self._spawn(self._send(item))

    def write(self, text: Text) -> None:
        """Newer revisions of a key replace older ones that are not on their way yet."""
        self._newest[text.key] = text
        if text.key not in self._writing:
            self._writing.add(text.key)
            self._spawn(self._write(text.key))

    def writer_for(self, seconds_s: float) -> None:
        """The tenure is the writer for so long from now; 0 ends it."""
        self._writer_until = self._clock.now() + seconds_s

    def replace(self, store: Store) -> None:
        """New keys (a refreshed token): every next attempt uses them."""
        self._store = store

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coro: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coro)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)

    async def _send(self, item: Item) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._slots:
                    await self._clock.in_thread(
                        lambda: self._store.put(item.key, item.path, md5_hex=item.md5, content_type=item.content_type)
                    )
            except StorageError as error:
                await self._pause(attempt, error)
                continue
            except OSError as error:  # of the spool, not of the store
                if item.path.exists():
                    await self._pause(attempt, StorageError(f"{item.path.name} cannot be read: {error.strerror}"))
                    continue
                del self._unsent[item.key]
                self._on_lost(item.key)
                return
            self._unsent.pop(item.key, None)
            self._on_stored(item.key)
            return

    async def _write(self, key: str) -> None:
        attempt = 0
        while (text := self._newest.get(key)) is not None:
            left_s = self._writer_until - self._clock.now()
            if left_s <= DOCUMENT_TIMEOUT_S / 2:
                await self._clock.sleep_until(self._clock.now() + 0.1)  # not the writer now: a fence we must not cross
                continue
            body = text.text.encode()
            put = partial(
                self._store.put,
                key,
                body,
                md5_hex=hashlib.md5(body, usedforsecurity=False).hexdigest(),
                content_type=text.content_type,
                timeout_s=min(DOCUMENT_TIMEOUT_S, left_s),
            )
            attempt += 1
            try:
                await self._clock.in_thread(put)
            except StorageError as error:
                await self._pause(attempt, error)
                continue
            attempt = 0
            if self._newest.get(key) is text:
                del self._newest[key]
            self._on_written(key, text.rev)
        self._writing.discard(key)

    async def _pause(self, attempt: int, error: StorageError) -> None:
        self._on_trouble(error)
        refused = error.scope is Scope.CALLER
        await self._clock.sleep_until(self._clock.now() + wait_s(attempt, self._chance(), refused=refused))
