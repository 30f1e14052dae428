"""One track of a pulled user on its way to whoever subscribed: from a key unit on, and forward in time. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from models.vocabulary.channel import Track, TrackKind, Unit

#: Units of one track are at least so far apart: what is past is told as being now, picture behind picture.
STEP_S: Final = 0.001
#: Nobody can ask the source for a key unit: the pictures since the last one are kept for who subscribes, up to here.
_KEPT_UNITS: Final = 600
_KEPT_BYTES: Final = 16 << 20
_PAST_S: Final = 0.2
#: … unless the newest of them is so old, and older than two pictures last: then the camera is off.
_STALE_S: Final = 0.3


class Lane:
    def __init__(self, track: Track) -> None:
        self.track = track
        self.units = self.gaps = 0
        self._sink: Callable[[Unit], None] | None = None
        self._kept: deque[Unit] = deque()
        self._kept_bytes = 0
        self._last_t = float("-inf")
        self._gap = False  # something was lost since the last unit
        self._waits = track.kind is TrackKind.VIDEO  # for a key unit

    @property
    def heard(self) -> bool:
        return self._sink is not None

    def listen(self, sink: Callable[[Unit], None] | None, now: float) -> None:
        """`None`: nobody does any more."""
        kept, self._kept, self._kept_bytes = self._kept, deque(), 0
        self._sink, self._waits = sink, self.track.kind is TrackKind.VIDEO
        if _is_stale(kept, now):
            return
        for unit in kept:
            unit.t = max(unit.t, now - _PAST_S)
            self.push(unit)

    def broke(self) -> None:
        """The source is read anew: it goes on with another unit than the next."""
        self._gap, self._waits = True, self.track.kind is TrackKind.VIDEO
        self._kept.clear()
        self._kept_bytes = 0

    def push(self, unit: Unit) -> None:
        unit.track = self.track.id
        self._gap = self._gap or unit.gap
        if self._sink is None:
            self._keep(unit)
            return
        if self._waits and not unit.key:
            return
        if unit.t < self._last_t + STEP_S:
            if self.track.kind is TrackKind.AUDIO:
                self._gap = True
                return
            unit.t = self._last_t + STEP_S
        unit.gap, self._gap, self._waits = self._gap, False, False
        self._last_t = unit.t
        self.units += 1
        self.gaps += unit.gap
        self._sink(unit)

    def _keep(self, unit: Unit) -> None:
        if self.track.kind is TrackKind.AUDIO:
            return
        if unit.key:
            self._kept.clear()
            self._kept_bytes = 0
        elif not self._kept:
            return  # nothing begins here, or it was too much
        self._kept.append(unit)
        self._kept_bytes += len(unit.data)
        if len(self._kept) > _KEPT_UNITS or self._kept_bytes > _KEPT_BYTES:
            self._kept.clear()
            self._kept_bytes = 0


def _is_stale(kept: Sequence[Unit], now: float) -> bool:
    if not kept:
        return True
    lasts_s = kept[-1].t - kept[-2].t if len(kept) > 1 else 0.0
    return now - kept[-1].t > max(_STALE_S, 2 * lasts_s)
