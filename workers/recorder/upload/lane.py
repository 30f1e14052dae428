"""A lane: files on their way to one store, the oldest first, a few at a time, each until the store has proven its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from models.vocabulary.errors import Scope, StorageError
from models.vocabulary.timing import Clock
from stores.base import Store
from workers.recorder.upload.backoff import wait_s
from workers.recorder.upload.weather import Weather

#: A put that takes longer than its bytes at this pace (and something for the way) has failed: others wait behind it.
SLOWEST_BYTES_PER_S: Final = 25_000
WAY_S: Final = 30.0
LONGEST_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Item:
    """A closed file on disk: its name and bytes never change."""

    key: str
    path: Path
    bytes: int
    md5: str
    content_type: str

    @property
    def timeout_s(self) -> float:
        return min(LONGEST_S, WAY_S + self.bytes / SLOWEST_BYTES_PER_S)


@dataclass(slots=True)
class Waiting:
    item: Item
    attempt: int = 0
    not_before_s: float = 0.0
    failing_since_s: float | None = None
    flying: bool = False
    took_off_s: float = 0.0

    def late_s(self, now_s: float) -> float:
        """For so long its put has taken more than its bytes do at the slowest pace."""
        return now_s - self.took_off_s - self.item.bytes / SLOWEST_BYTES_PER_S if self.flying else 0.0


class Lane:
    """`on_stored` is told once of each item; `on_gone` when its file has left the disk, so that it will never arrive."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chance: Callable[[], float],
        *,
        parallel: int,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_stored: Callable[[Item], None],
        on_trouble: Callable[[StorageError], None],
        on_gone: Callable[[Item], None],
        address: Callable[[str], str] = lambda key: key,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._parallel = parallel
        self._spawn = spawn
        self._on_stored = on_stored
        self._on_trouble = on_trouble
        self._on_gone = on_gone
        self._address = address  # where in the store a file of that key goes
        self._waiting: dict[str, Waiting] = {}
        self._flying = 0
        self._stirred = asyncio.Event()
        self._running = False
        self.weather = Weather()

    def __contains__(self, key: str) -> bool:
        return key in self._waiting

    @property
    def waiting(self) -> list[Waiting]:
        return list(self._waiting.values())

    def bad_for_s(self, now_s: float) -> float:
        """How long nothing has arrived that should have: by the store's answers, and by those that it owes."""
        return max([self.weather.bad_for_s(now_s), *(w.late_s(now_s) for w in self._waiting.values())])

    def add(self, item: Item) -> None:
        if item.key in self._waiting:
            return
        self._waiting[item.key] = Waiting(item)
        self._stirred.set()
        if not self._running:
            self._running = True
            self._spawn(self._run())

    def drop(self, key: str) -> None:
        """It need not arrive here any more; a put that is on its way may still land."""
        self._waiting.pop(key, None)

    def replace(self, store: Store) -> None:
        """New keys: every next attempt uses them, and the next is now."""
        self._store = store
        self.weather.clear()
        for waiting in self._waiting.values():
            waiting.not_before_s = 0.0
        self._stirred.set()

    async def _run(self) -> None:
        while True:
            self._stirred.clear()
            while (ready := self._ready()) is not None:
                ready.flying, ready.took_off_s = True, self._clock.now()
                self._flying += 1
                self.weather.begin()
                self._spawn(self._try(ready))
            try:
                await asyncio.wait_for(self._stirred.wait(), timeout=self._pause_s())
            except TimeoutError:
                continue

    def _ready(self) -> Waiting | None:
        now_s = self._clock.now()
        if self._flying >= self._parallel or not self.weather.may_try(now_s):
            return None
        stormy = self.weather.is_stormy
        return next(
            (w for w in self._waiting.values() if not w.flying and (stormy or w.not_before_s <= now_s)),
            None,
        )

    def _pause_s(self) -> float | None:
        """Until the next try may be; None: until something happens."""
        if self._flying >= self._parallel or (self.weather.is_stormy and self._flying):
            return None
        idle = [w for w in self._waiting.values() if not w.flying]
        if not idle:
            return None
        at_s = self.weather.next_s if self.weather.is_stormy else min(w.not_before_s for w in idle)
        return max(0.001, at_s - self._clock.now())

    async def _try(self, waiting: Waiting) -> None:
        item, began_s = waiting.item, self._clock.now()
        put = partial(
            self._store.put,
            self._address(item.key),
            item.path,
            md5_hex=item.md5,
            content_type=item.content_type,
            timeout_s=item.timeout_s,
        )
        try:
            await self._clock.in_thread(put)
        except StorageError as error:
            self.weather.failed(began_s, self._clock.now(), self._chance(), refused=error.scope is Scope.CALLER)
            self._again(waiting, began_s, error)
        except OSError as error:  # of the spool, not of the store
            if item.path.exists():
                told = StorageError(f"{item.path.name} cannot be read: {error.strerror}")
                self._again(waiting, began_s, told)
            elif self._waiting.pop(item.key, None) is not None:
                self._on_gone(item)
        else:
            self.weather.succeeded()
            if self._waiting.pop(item.key, None) is not None:
                self._on_stored(item)
        # Not in a `finally`: a try that broke by a fault of ours is told, and not made again.
        waiting.flying = False
        self._flying -= 1
        self.weather.end()
        self._stirred.set()

    def _again(self, waiting: Waiting, began_s: float, error: StorageError) -> None:
        waiting.attempt += 1
        if waiting.failing_since_s is None:
            waiting.failing_since_s = began_s
        refused = error.scope is Scope.CALLER
        wait = wait_s(waiting.attempt, self._chance(), refused=refused)
        # In a storm the weather decides when, for all of them: when it clears, none shall sit out a long wait of its own.
        waiting.not_before_s = 0.0 if self.weather.is_stormy else self._clock.now() + wait
        self._on_trouble(error)
