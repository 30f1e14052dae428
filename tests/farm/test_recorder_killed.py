"""A recorder that is killed costs at most 3 s of its recording, and nothing else."""

from __future__ import annotations

import os
import signal

from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import UpFarm, alive, eventually, recorder_of

#: Architecture, "Numbers to hold": recorder killed.
HOLE_S = 3.0


def test_killing_a_recorder_leaves_one_playlist_with_a_hole_below_3_s(farm: UpFarm) -> None:
    take = farm.backend.record_channel("killed")
    take.until_more(2)
    victim = recorder_of(take.sid, farm.worker)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not alive(victim), "dead", 2)
    take.until_more(3)
    assert recorder_of(take.sid, farm.worker) != victim
    assert take.query().json()["sid"] == take.sid

    answer = take.stop()

    assert answer.status_code == 200, answer.text
    assert answer.json()["serverResponse"]["uploadingStatus"] == "uploaded"
    told = take.told()
    assert told["status"] == 8
    assert [tenure["epoch"] for tenure in told["tenures"]] == [1]
    assert [(hole["state"], hole["cause"]) for hole in told["holes"]] == [("lost", "the recorder died")]
    assert [p.name for p in farm.store.glob(f"{take.sid}*.m3u8")] == [take.playlist_name]
    playlist = farm.store / take.playlist_name
    assert playlist.read_text().count("#EXT-X-DISCONTINUITY\n") == 1
    seen = pictures(playlist)
    assert 0 < longest_hole_s(seen) <= HOLE_S
    assert out_of_step(seen) == []
    (hole,) = told["holes"]
    assert (
        abs(longest_hole_s(seen) - (hole["end_s"] - hole["start_s"])) < 0.5
    )  # a key picture comes within half a second
