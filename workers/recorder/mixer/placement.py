"""Where a user's decoded sound goes on the sample grid. Pure: sample counts in, positions out.

Unit times jitter by a little and a sender's clock runs a little fast or slow; samples put exactly where their units say
would click at each seam. So a track keeps a running position, follows slow drift by stretching, and jumps only when it is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.vocabulary.ticks import SAMPLE_RATE

#: Further off than this, a unit is put where its time says.
RESYNC_SAMPLES: Final = SAMPLE_RATE * 40 // 1000
#: Off by more than the first, stretching begins; it ends below the second.
_DRIFTS: Final = SAMPLE_RATE * 2 // 1000
_STEADY: Final = SAMPLE_RATE // 2000
#: One sample in so many is put in or taken out: 0.1 %, which nobody hears; four times that when far off.
_STRETCH: Final = 960
_FAR: Final = SAMPLE_RATE * 10 // 1000


@dataclass(slots=True)
class Placed:
    """Skip so many decoded samples, stretch the rest to `length`, add them from sample `at` on."""

    at: int
    skip: int
    length: int
    seam: bool  # does not continue the unit before: fade in


class Placement:
    def __init__(self) -> None:
        self._next: int | None = None  # the sample behind the last placed unit
        self._drifting = False

    def follow(self, due: int, count: int) -> int | None:
        """Where a whole unit goes that plainly goes on, as nearly all do; None: ask `place`."""
        at = self._next
        if at is None or self._drifting or not -_DRIFTS <= due - at <= _DRIFTS:
            return None
        self._next = at + count
        return at

    def place(self, due: int, count: int, *, lost_before: bool) -> Placed:
        """`due`: sample at which the unit's time says it begins; `count`: how many it has."""
        if self._next is None:
            return self._put(due, 0, count, seam=True)
        behind = due - self._next
        if behind < -RESYNC_SAMPLES:
            return self._overtaken(-behind, count)
        if behind > RESYNC_SAMPLES or (lost_before and behind > count // 2):
            return self._put(due, 0, count, seam=True)
        return self._put(self._next, 0, self._stretched(count, behind), seam=False)

    def _overtaken(self, ahead: int, count: int) -> Placed:
        """More sound has come than time has passed: what would lie on the sound before is left out."""
        assert self._next is not None
        skip = min(count, ahead)
        return self._put(self._next, skip, count - skip, seam=True)

    def _stretched(self, count: int, behind: int) -> int:
        off = abs(behind)
        self._drifting = off > (_STEADY if self._drifting else _DRIFTS)
        if not self._drifting:
            return count
        step = max(1, count // _STRETCH) * (4 if off > _FAR else 1)
        return count + (step if behind > 0 else -step)

    def _put(self, at: int, skip: int, length: int, *, seam: bool) -> Placed:
        self._next = at + length
        return Placed(at, skip, length, seam)
