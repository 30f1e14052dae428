"""Real time that passes faster: what waits for media waits less, and what is judged is judged by this clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from workers.recorder.clock import RealClock

T = TypeVar("T")


class Hastened:
    def __init__(self, speed: float) -> None:
        self._real = RealClock()
        self._speed = speed
        self._zero_s, self._zero_ms = self._real.now(), self._real.wall_ms()

    def now(self) -> float:
        return self._zero_s + (time.monotonic() - self._zero_s) * self._speed

    def wall_ms(self) -> int:
        return self._zero_ms + round((self.now() - self._zero_s) * 1000)

    async def sleep_until(self, t: float) -> None:
        await self._real.sleep_until(self._zero_s + (t - self._zero_s) / self._speed)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await self._real.in_thread(work)
