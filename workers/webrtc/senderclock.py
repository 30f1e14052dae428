"""The time of a sender's units on this host's monotonic clock. Pure.

A unit's time is when it was captured, as told by when it arrived: RTP timestamp plus the least transit seen lately. A
sender report ties an RTP timestamp to the sender's own wall clock; that clock may be 40 s wrong, so it relates only
that sender's own tracks to each other: with reports of two tracks, both share one transit (RFC 3550 §6.4.1).
"""

from __future__ import annotations

from typing import Final

from models.vocabulary.offset import Floor, Slewed

#: A target so far from what is applied is no drift: the sender paused, slept, or restarted its timestamps.
STEP_S: Final = 0.1
#: A young track's first packets were late with the handshake, and its first report is yet to come: until it is so old
#: its time may step, too little to be heard, rather than be wrong for minutes.
_SETTLING_S: Final = 4.0
_SETTLING_STEP_S: Final = 0.003
#: A report so much earlier than those before, or so many later in a row, mean that the sender's wall clock was set.
_REPORT_JUMP_S: Final = 0.1
_REPORTS_LATER: Final = 3
#: One report alone may be late; two seldom both are.
_REPORTS_NEEDED: Final = 2
#: Encoding makes one track later than another, but tracks that seem further apart have a report that is wrong.
_APART_S: Final = 0.5
#: A packet may come so long before or after its predicted time; beyond that its timestamps have a new origin.
_EARLY_S: Final = 1.0
_LATE_S: Final = 10.0

_NTP_UNITS: Final = 1 << 32


class Unwrapper:
    """32-bit RTP timestamps to a line without wraps, by the shortest way from the last one."""

    def __init__(self) -> None:
        self._last: int | None = None

    def see(self, timestamp: int) -> int:
        self._last = self.at(timestamp)
        return self._last

    def at(self, timestamp: int) -> int:
        if self._last is None:
            return timestamp
        return self._last + ((timestamp - self._last + (1 << 31)) % (1 << 32) - (1 << 31))


class TrackClock:
    """One track of a sender. Media time (RTP timestamp / rate) plus `time_of`'s offset is this host's time."""

    def __init__(self, sender: SenderClock) -> None:
        self._sender = sender
        self._floor = Floor()
        self._applied = Slewed()
        self._reports = Floor()  # sender's wall clock minus media time: a sender under load reports late, never early
        self._later = self._reported = 0
        self._stepped = False
        self._born: float | None = None

    @property
    def transit_s(self) -> float | None:
        """Least (arrival - sender's wall clock) of this track; None before it has reported enough."""
        if self._reports.value is None or self._floor.value is None or self._reported < self._sender.reports_needed:
            return None
        return self._floor.value - self._reports.value

    def arrived(self, media_s: float, now: float) -> None:
        """A packet came. To be told of every packet, in any order."""
        if self._applied.value is not None:
            late_s = now - media_s - self._applied.value
            if not -_EARLY_S <= late_s <= _LATE_S:
                self._restart()
        if self._born is None:
            self._born = now
        before = self._floor.value
        if self._floor.see(now - media_s, now) != before:
            self._sender.changed()

    def reported(self, ntp: int, media_s: float, now: float) -> None:
        """A sender report: its 64-bit NTP time and the media time it stands for."""
        if ntp == 0:  # nothing was sent yet
            return
        seen = ntp / _NTP_UNITS - media_s
        off_s = 0.0 if self._reports.value is None else seen - self._reports.value
        self._later = self._later + 1 if off_s > _REPORT_JUMP_S else 0
        if off_s < -_REPORT_JUMP_S or self._later >= _REPORTS_LATER:
            self._sender.forget_reports()
        self._reported += 1
        self._reports.see(seen, now)
        self._sender.changed()

    def forget_reports(self) -> None:
        self._reports, self._later, self._reported = Floor(), 0, 0
        self._sender.changed()

    def time_of(self, media_s: float, now: float) -> float:
        """Capture time of a unit that has arrived."""
        target, applied = self._target(), self._applied.value
        if applied is None:
            return media_s + self._applied.step(target, now)
        off_s = abs(target - applied)
        self._stepped = self._stepped or off_s > STEP_S
        if off_s > (_SETTLING_STEP_S if self._settling(now) else STEP_S):
            return media_s + self._applied.step(target, now)
        return media_s + self._applied.follow(target, now)

    def take_step(self) -> bool:
        """Whether the clock has broken since this was last asked: the next unit follows a gap."""
        stepped, self._stepped = self._stepped, False
        return stepped

    def _settling(self, now: float) -> bool:
        return self._born is None or now - self._born < _SETTLING_S

    def _target(self) -> float:
        assert self._floor.value is not None, "a unit has arrived before its packets"
        own_s, shared_s = self.transit_s, self._sender.transit_s()
        if own_s is None or shared_s is None or own_s - shared_s > _APART_S:
            return self._floor.value
        return self._floor.value - (own_s - shared_s)

    def _restart(self) -> None:
        self._floor, self._applied, self._born = Floor(), Slewed(), None
        self.forget_reports()
        self._stepped = True


class SenderClock:
    """All tracks of one sender."""

    def __init__(self, reports_needed: int = _REPORTS_NEEDED) -> None:
        """`reports_needed`: of a track, before they count; 1 for a sender that is a server."""
        self.reports_needed = reports_needed
        self._tracks: list[TrackClock] = []
        self._is_known = False  # whether the least transit is still that of the tracks
        self._transit_s: float | None = None

    def track(self) -> TrackClock:
        clock = TrackClock(self)
        self._tracks.append(clock)
        self.changed()
        return clock

    def drop(self, clock: TrackClock) -> None:
        self._tracks.remove(clock)
        self.changed()

    def changed(self) -> None:
        """What a track knows of its transit."""
        self._is_known = False

    def transit_s(self) -> float | None:
        """The tracks share one network: the least transit of any is nearest to the truth."""
        if not self._is_known:
            self._transit_s = min((t.transit_s for t in self._tracks if t.transit_s is not None), default=None)
            self._is_known = True
        return self._transit_s

    def forget_reports(self) -> None:
        for track in self._tracks:
            track.forget_reports()
