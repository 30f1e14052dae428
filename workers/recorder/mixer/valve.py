"""The one valve against overload: when ticks stay late, pictures are encoded with less care, and back. Pure."""

from __future__ import annotations

from typing import Final

#: How long the valve looks back, s.
_MEMORY_S: Final = 4.0
#: It opens when this share of the ticks of that time were late: a stall that is caught up at once is no overload.
_OPENS_AT: Final = 0.5
#: It closes after so long without a late tick, s; twice as long after each opening, up to the most.
_CALM_S: Final = 60.0
_MOST_CALM_S: Final = 960.0


class Valve:
    """Told each tick's lateness. A tick is late when it comes more than a frame after its time."""

    def __init__(self, fps: int) -> None:
        self.open = False
        self.openings = 0
        self._fps = fps
        self._late_share = 0.0
        self._calm_ticks = 0

    def tick(self, late_ms: float) -> bool:
        """Whether the valve has just opened or closed."""
        late = late_ms > 1000 / self._fps
        self._late_share += (late - self._late_share) / (_MEMORY_S * self._fps)
        self._calm_ticks = 0 if late else self._calm_ticks + 1
        if not self.open and self._late_share >= _OPENS_AT:
            self.open, self.openings = True, self.openings + 1
            return True
        if self.open and self._calm_ticks >= self._calm_s * self._fps:
            self.open, self._late_share = False, 0.0
            return True
        return False

    @property
    def _calm_s(self) -> float:
        return min(_MOST_CALM_S, _CALM_S * 2.0 ** (self.openings - 1))
