"""`reelyard rollover`: a new worker takes the place of an old one on this host, and no frame is lost."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import pytest

from tests.farm.hand_made import HandMade, hand_made
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import descendants, eventually, run

__all__ = ["hand_made"]

GONE_S = 60.0


@pytest.mark.slow
def test_a_new_worker_takes_the_place_of_an_old_one_and_no_frame_is_lost(hand_made: HandMade) -> None:
    farm = hand_made
    old = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call")
    call.until_more(2)

    spool = {"REELYARD_NODE_NAME": "one", "REELYARD_SPOOL": str(farm.folder / "spool")}
    rollover = farm.start("rollover", [sys.executable, "-m", "farm.cli", "rollover", "one", "two"], spool)
    try:
        old.wait(GONE_S)
        log = farm.folder / "rollover" / "server.log"
        eventually(lambda: "one has left" in log.read_text(), "says so", 10)
        told = call.until_more(2)
        assert [(t["node"], t["state"]) for t in told["tenures"]] == [("one", "ended"), ("two", "live")]
        assert (farm.folder / "spool-two" / call.sid).is_dir(), "a spool of its own"
        assert call.stop().status_code == 200
        os.kill(rollover.pid, signal.SIGTERM)
        assert rollover.wait(30) == 0, "the command is the new worker, and ends as it does"
    finally:
        for pid in descendants(rollover.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    seen = pictures(farm.store / call.playlist_name)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(0, abs=1e-4)
    assert call.told()["holes"] == []


@pytest.mark.slow
def test_nothing_is_started_where_there_is_nobody_to_take_the_place_of(hand_made: HandMade) -> None:
    for words, said in (
        (("one", "two"), "Error: rollover: no node one is up; up are: none\n"),
        (("embedded", "two"), "Error: rollover: embedded is a part of `reelyard up`"),
    ):
        done = run("rollover", *words, cwd=hand_made.folder, env=hand_made.env)
        assert done.returncode == 1
        assert done.stderr.startswith(said)
