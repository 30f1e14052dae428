"""Time comes in by argument. Two clocks stand behind this protocol: real time, and a virtual one for scripted channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> float:
        """Monotonic seconds; the scale of `Unit.t`."""
        ...

    def wall_ms(self) -> int:
        """Unix time in ms, corrected to the database's clock. For names and PROGRAM-DATE-TIME, never for order."""
        ...

    async def sleep_until(self, t: float) -> None:
        """Return when `now() >= t`."""
        ...

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work off the loop. Virtual time stands still meanwhile."""
        ...
