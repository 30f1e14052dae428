"""The clock of Janus' host on ours: it is the room's, since Janus puts its own reports in the place of the publishers'."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from models.vocabulary.channel import Anchor
from workers.webrtc.senderclock import SenderClock

#: Janus reports every second. Its clock is waited for so long by the first units, and so long by who needs it to begin.
_HOLD_S: Final = 1.6
_ANCHOR_WITHIN_S: Final = 4.0
_LOOK_EVERY_S: Final = 0.03


class HostClock:
    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.clock_id = ""
        self.sender = SenderClock(reports_needed=1)  # one for all feeds
        self._transit_s: float | None = None
        self._hold_until: float | None = None

    def renew(self) -> None:
        """Another connection, whose packets may take longer; until its first report the last known delay counts."""
        self.sender = SenderClock(reports_needed=1)

    @property
    def transit_s(self) -> float | None:
        """Ours minus Janus' clock, with the least delay between; the last known while a connection is made again."""
        known = self.sender.transit_s()
        if known is not None:
            self._transit_s = known
        return self._transit_s

    def holds(self) -> bool:
        """Whether units are to wait because the clock is not known yet."""
        if self._transit_s is not None:
            return False
        if self._hold_until is None:
            self._hold_until = self.now() + _HOLD_S
        return self.transit_s is None and self.now() < self._hold_until

    async def learned(self) -> None:
        """Wait for the first report, but not for ever: wall time is the other way to find a recording's zero."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANCHOR_WITHIN_S):
                while self.transit_s is None:  # noqa: ASYNC110  (reports have no event)
                    await asyncio.sleep(_LOOK_EVERY_S)

    def anchor(self, t: float) -> Anchor:
        return Anchor("", 0.0) if self.transit_s is None else Anchor(self.clock_id, t - self.transit_s)

    def time_of(self, anchor: Anchor) -> float | None:
        return None if self.transit_s is None or anchor.clock_id != self.clock_id else anchor.zero_s + self.transit_s
