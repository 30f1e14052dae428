"""Documents on their way to one store: playlist and index. One PUT in flight a key, the newest revision only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from models.vocabulary.errors import Scope, StorageError
from models.vocabulary.timing import Clock
from stores.base import Store
from workers.recorder.upload.backoff import wait_s

#: A document PUT that is abandoned may still land; bounded below a tenure's TTL it cannot outlive its writer.
DOCUMENT_TIMEOUT_S: Final = 4.0
#: … and by this much later it has landed, if it ever does: then the store is asked which one it has.
LANDED_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Text:
    """A document: playlist or index."""

    key: str
    content_type: str
    text: str
    rev: int
    final: bool = False


class Documents:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Callable[[], float],
        *,
        writer_until: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_written: Callable[[str, int], None],
        on_trouble: Callable[[StorageError], None],
        address: Callable[[str], str] = lambda key: key,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._writer_until = writer_until
        self._spawn = spawn
        self._on_written = on_written
        self._on_trouble = on_trouble
        self._address = address
        self._newest: dict[str, Text] = {}
        self._writing: set[str] = set()
        self._abandoned: set[str] = set()  # keys of which a PUT failed: it may have landed, or yet land

    def write(self, text: Text) -> None:
        """Newer revisions of a key replace older ones that are not on their way yet."""
        self._newest[text.key] = text
        if text.key not in self._writing:
            self._writing.add(text.key)
            self._spawn(self._write(text.key))

    def replace(self, store: Store) -> None:
        self._store = store

    async def _write(self, key: str) -> None:
        attempt = 0
        while (text := self._newest.get(key)) is not None:
            left_s = self._writer_until() - self._clock.now()
            if left_s <= DOCUMENT_TIMEOUT_S / 2:
                await self._clock.sleep_until(self._clock.now() + 0.1)  # not the writer now: a fence we must not cross
                continue
            attempt += 1
            try:
                await self._put(text, left_s)
                if text.final and key in self._abandoned and not await self._arrived(text):
                    continue
            except StorageError as error:
                self._abandoned.add(key)
                self._on_trouble(error)
                refused = error.scope is Scope.CALLER
                await self._clock.sleep_until(self._clock.now() + wait_s(attempt, self._chance(), refused=refused))
                continue
            attempt = 0
            if self._newest.get(key) is text:
                del self._newest[key]
            self._on_written(key, text.rev)
        self._writing.discard(key)

    async def _put(self, text: Text, left_s: float) -> None:
        body = text.text.encode()
        put = partial(
            self._store.put,
            self._address(text.key),
            body,
            md5_hex=_md5(body),
            content_type=text.content_type,
            timeout_s=min(DOCUMENT_TIMEOUT_S, left_s),
        )
        await self._clock.in_thread(put)

    async def _arrived(self, text: Text) -> bool:
        """Whether the last word stands: an older PUT that was given up may have landed behind it."""
        await self._clock.sleep_until(self._clock.now() + LANDED_S)
        if not self._store.caps.reads:
            return True  # these keys cannot ask
        found = await self._clock.in_thread(lambda: self._store.head(self._address(text.key)))
        etag = "" if found is None else found.etag
        is_md5 = len(etag) == 32
        return found is not None and (not is_md5 or etag == _md5(text.text.encode()))


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
