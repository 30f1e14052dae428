"""Pace: when each frame is due, how late it comes, and whether this machine keeps up."""

from __future__ import annotations

import asyncio

from models.vocabulary.timing import Clock
from workers.recorder.mixer.valve import Valve


class Pace:
    """`delay_s`: units may arrive so long after their time, so a frame waits for them. `late_ms`: of the newest frame."""

    def __init__(self, clock: Clock, fps: int, delay_s: float) -> None:
        self._clock = clock
        self._valve = Valve(fps)
        self.delay_s = delay_s
        self.late_ms = 0.0

    @property
    def overloaded(self) -> bool:
        """Whether pictures are to be encoded with less care because the machine cannot keep up."""
        return self._valve.open

    async def due(self, at_s: float) -> None:
        """Wait until a frame of that time may be drawn."""
        due_s = at_s + self.delay_s
        if self._clock.now() < due_s:
            await self._clock.sleep_until(due_s)
            self.late_ms = 0.0
        else:
            await asyncio.sleep(0)  # behind: catch up, but let units and orders in
        self.late_ms = max(0.0, (self._clock.now() - due_s) * 1000)

    def turned(self) -> str | None:
        """To be asked once of each picture. What to say when `overloaded` has just become another."""
        if not self._valve.tick(self.late_ms):
            return None
        if self._valve.open:
            return "this machine cannot keep up: pictures are encoded with less care"
        return "this machine keeps up again: pictures are encoded with all care"
