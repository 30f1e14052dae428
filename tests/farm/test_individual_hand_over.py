"""A node that is told to leave hands each user's streams over: each unit is there once, and none is missing."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import pytest

from tests.farm.backend import FPS
from tests.farm.hand_made import HandMade, hand_made
from tests.farm.processes import eventually
from tests.farm.test_individual import STREAMS, listed, pictures, started, times

__all__ = ["hand_made"]


@pytest.mark.slow
def test_a_worker_that_gets_sigterm_hands_over_each_stream_without_losing_a_unit(hand_made: HandMade) -> None:
    farm = hand_made
    leaving = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    take = started(farm.backend, "individual")
    take.until_more(4)
    farm.worker("two")
    os.kill(leaving.pid, signal.SIGTERM)
    leaving.wait(60)
    told = take.until_more(4)
    assert [(t["node"], t["state"]) for t in told["tenures"]] == [("one", "ended"), ("two", "live")]
    assert take.stop().status_code == 200
    assert [hole for hole in take.told()["holes"] if hole["state"] != "paused"] == []
    for stream in STREAMS:
        name = f"{take.sid}_individual__uid_s_alice__uid_e_{stream}.m3u8"
        assert "#EXT-X-DISCONTINUITY\n" not in (farm.store / name).read_text()
        files = listed(farm.store, name)
        at = times(files)
        step = 1 / FPS if stream == "video" else 1024 / 48_000
        assert [b - a for a, b in pairwise(at)] == pytest.approx([step] * (len(at) - 1), abs=0.002)
        assert stream == "audio" or pictures(files) == len(at)
