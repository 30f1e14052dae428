"""How one clock is followed on another: the least delay seen lately, approached slowly. Pure.

What arrives is late by an unknown, varying delay; the least of (arrival - sent) over a window is the clocks' offset
plus the least delay. The window lets it follow a drift; the slew keeps the followed time smooth.
"""

from __future__ import annotations

from collections import deque
from typing import Final

#: A correction of the clock moves no faster, so that no listener hears it.
MAX_SLEW: Final = 500e-6
_BUCKET_S: Final = 2.0
_BUCKETS: Final = 5


class Floor:
    """Least difference over the last 8 to 10 s."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, float]] = deque(maxlen=_BUCKETS)  # (start, least)
        self.value: float | None = None

    def see(self, difference_s: float, now: float) -> float:
        """Take one difference in; the floor with it."""
        if not self._buckets or now - self._buckets[-1][0] >= _BUCKET_S:
            self._buckets.append((now, difference_s))
            self.value = min(least for _, least in self._buckets)
        elif difference_s < self._buckets[-1][1]:
            self._buckets[-1] = (self._buckets[-1][0], difference_s)
            self.value = difference_s if self.value is None else min(self.value, difference_s)
        assert self.value is not None
        return self.value


class Slewed:
    """A value that follows a target by at most `MAX_SLEW`, or steps when it is told to."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._at = 0.0

    def step(self, target: float, now: float) -> float:
        self.value, self._at = target, now
        return target

    def follow(self, target: float, now: float) -> float:
        if self.value is None:
            return self.step(target, now)
        reach = MAX_SLEW * max(0.0, now - self._at)
        self._at = max(now, self._at)
        self.value += max(-reach, min(reach, target - self.value))
        return self.value
