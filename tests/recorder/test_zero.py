"""Where a later tenure finds the recording's zero when somebody has set a clock meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from models.vocabulary import pipe
from models.vocabulary.channel import Anchor, Channel
from models.vocabulary.ticks import ticks
from models.vocabulary.timing import Clock
from workers.recorder.zero import later_zero

T0_MS = 1_700_000_000_000
NOW_S = 500.0
#: The recording began 100 s ago and was carried until 10 s ago.
ZERO_S = 400.0
REACHED = ticks(90)
HOUR_S = 3_600.0


@dataclass
class Clocks:
    """What a recorder asks: its host, with the wall off by so much, and a channel with its own clock."""

    wall_off_s: float = 0.0
    channel_off_s: float = 0.0
    known: bool = True

    def now(self) -> float:
        return NOW_S

    def wall_ms(self) -> int:
        return T0_MS + round((NOW_S - ZERO_S + self.wall_off_s) * 1000)

    def anchor(self, t: float) -> Anchor:
        return Anchor("c", t + self.channel_off_s)

    def time_of(self, anchor: Anchor) -> float | None:
        return anchor.zero_s - self.channel_off_s if self.known else None


def position_s(clocks: Clocks) -> float:
    """Of now, as the later tenure takes it. The earlier one kept the zero on a channel's clock that was right."""
    point = pipe.Point(clock_id="c", zero_s=ZERO_S)
    return NOW_S - later_zero(T0_MS, point, REACHED, cast(Channel, clocks), cast(Clock, clocks)).at_s


@pytest.mark.parametrize("off_s", [0.0, 2.0, -40.0])
def test_the_channels_clock_counts_and_a_host_may_be_off(off_s: float) -> None:
    assert position_s(Clocks(wall_off_s=off_s)) == pytest.approx(100)


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S])
def test_a_step_of_the_hosts_or_the_databases_clock_moves_nothing(off_s: float) -> None:
    assert position_s(Clocks(wall_off_s=off_s)) == pytest.approx(100)


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S])
def test_a_step_of_the_channels_clock_moves_nothing(off_s: float) -> None:
    assert position_s(Clocks(channel_off_s=off_s)) == pytest.approx(100)


def test_without_the_channels_clock_the_wall_must_do() -> None:
    assert position_s(Clocks(known=False, wall_off_s=2.0)) == pytest.approx(102)
