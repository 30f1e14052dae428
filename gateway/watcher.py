"""One watcher a process for all requests that wait: `start` for its recorder, `stop` for its uploads.

Waiting takes no thread and no connection of its own: one query every look answers for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from models.vocabulary.errors import ReelyardError
from scheduler.service import Glance

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.075
#: After a failed look: the database is away, and asking faster does not bring it back.
LOOK_AGAIN_S: Final = 0.5

Look = Callable[[Collection[str]], Awaitable[dict[str, Glance]]]


@dataclass(slots=True, eq=False)
class _Waiter:
    sid: str
    enough: Callable[[Glance], bool]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Watcher:
    def __init__(self, look: Look, *, every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._waiters: set[_Waiter] = set()
        self._task: asyncio.Task[None] | None = None

    async def until(self, sid: str, enough: Callable[[Glance], bool], within_s: float) -> bool:
        """Return when the recording stands so, or is gone, or time is up. Whether it was not time."""
        waiter = _Waiter(sid, enough)
        self._waiters.add(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="watcher")
        try:
            async with asyncio.timeout(within_s):
                await waiter.done.wait()
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        """Runs while anybody waits."""
        while self._waiters:
            await asyncio.sleep(self._every_s)
            asked = list(self._waiters)
            if not asked:
                return
            try:
                found = await self._look({waiter.sid for waiter in asked})
            except ReelyardError as error:
                log.warning("waiting requests look again: %s", error.text)
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            for waiter in asked:
                glance = found.get(waiter.sid)
                if glance is None or waiter.enough(glance):
                    waiter.done.set()
