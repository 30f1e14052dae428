"""The recording's zero: where tick 0 lies on the recorder's clock, on the wall, and on the channel's own clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.vocabulary import pipe
from models.vocabulary.channel import Anchor, Channel
from models.vocabulary.ticks import seconds, ticks
from models.vocabulary.timing import Clock

#: A monotonic clock drifts by minutes in a month; further apart two clocks are only where one was set.
APART_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Zero:
    at_s: float
    t0_ms: int
    anchor: Anchor

    def tick_of(self, t_s: float) -> int:
        """Of a moment on the recorder's clock; below 0 before the zero."""
        return ticks(t_s - self.at_s)

    def time_of(self, tick_90k: int) -> float:
        return self.at_s + seconds(tick_90k)

    def wall_ms(self, t_s: float) -> int:
        """Unix time, of a moment on the recorder's clock."""
        return self.t0_ms + round((t_s - self.at_s) * 1000)


def first_zero(t_s: float, channel: Channel, clock: Clock) -> Zero:
    """The recording begins with a unit of that time."""
    late_ms = round((clock.now() - t_s) * 1000)
    return Zero(t_s, clock.wall_ms() - late_ms, channel.anchor(t_s))


def later_zero(t0_ms: int, point: pipe.Point | None, reached_90k: int, channel: Channel, clock: Clock) -> Zero:
    """An earlier tenure has set it: on the channel's clock, if that is still known there, or else on the wall.

    Where the two are far apart, somebody has set one of them since: the one that is nearer to what is recorded already is right.
    """
    wall_s = clock.now() - (clock.wall_ms() - t0_ms) / 1000
    channel_s = None if point is None else channel.time_of(Anchor(point.clock_id, point.zero_s))
    at_s = wall_s if channel_s is None else channel_s
    if channel_s is not None and abs(channel_s - wall_s) > APART_S:
        expected_s = clock.now() - seconds(reached_90k)
        at_s = min(channel_s, wall_s, key=lambda s: abs(s - expected_s))
    return Zero(at_s, t0_ms, channel.anchor(at_s))
