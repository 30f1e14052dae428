"""A recording is paused over HTTP, its worker leaves meanwhile, and it goes on elsewhere: one playlist, one hole, nothing doubled."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.farm.hand_made import HandMade, hand_made
from tests.farm.holds import hold
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import eventually, recorder_of

__all__ = ["hand_made"]

SLOT_S = 2
#: A wish reaches its recorder so soon while there is a broker.
REACHES_S = 0.5
WATCHED_S = 2.0


def cpu_s(pid: int) -> float:
    """proc(5): utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def used_s(pid: int) -> float:
    before = cpu_s(pid)
    time.sleep(WATCHED_S)
    return cpu_s(pid) - before


@pytest.mark.slow
def test_a_paused_recording_is_handed_over_stays_paused_and_goes_on(hand_made: HandMade) -> None:
    farm = hand_made
    leaving = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call")
    call.until_more(2)
    recorder = recorder_of(call.sid, leaving.pid)
    busy_s = used_s(recorder)

    called_s = time.time() - call.told()["started_ms"] / 1000
    hold(call, on=True)
    told = call.until(lambda t: t["held_since_s"] is not None, "on hold", 2 * SLOT_S + 2)
    since_s = told["held_since_s"]
    assert since_s % SLOT_S == 0
    assert since_s <= called_s + SLOT_S + REACHES_S
    time.sleep(1)  # the last slice is closed and up
    idle_s = used_s(recorder)
    assert idle_s < busy_s / 2
    kept = call.stored()

    farm.worker("two")
    os.kill(leaving.pid, signal.SIGTERM)
    leaving.wait(30)
    told = call.told()
    assert [(t["node"], t["state"]) for t in told["tenures"]] == [("one", "ended"), ("two", "live")]
    assert (told["segments"]["stored"], told["held_since_s"], told["wanted"]) == (kept, since_s, "hold")

    hold(call, on=False)
    told = call.until_more(2)
    assert told["held_since_s"] is None
    assert call.stop().status_code == 200
    [hole] = call.told()["holes"]
    assert (hole["start_s"], hole["state"], hole["cause"], hole["end_s"] % SLOT_S) == (since_s, "paused", "paused", 0)
    assert {p.name for p in farm.store.glob("*.m3u8")} == {call.playlist_name}
    playlist = farm.store / call.playlist_name
    assert playlist.read_text().count("#EXT-X-DISCONTINUITY\n") == 1
    seen = pictures(playlist)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(hole["end_s"] - hole["start_s"], abs=0.1)
