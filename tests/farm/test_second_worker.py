"""A worker dies: another one goes on, and what the dead one's spool held is brought in."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

import pytest

from tests.farm.conftest import LEADER_TTL_S, TTL_S
from tests.farm.hand_made import HandMade, hand_made
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import alive, eventually, recorder_of

__all__ = ["hand_made"]

#: Architecture, "Numbers to hold": worker killed, its spool survives.
HOLE_S = TTL_S + 5


def test_a_killed_workers_recording_goes_on_at_the_other_and_its_spool_is_brought_in(hand_made: HandMade) -> None:
    farm = hand_made
    first_worker = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    first = farm.backend.record_channel("first")
    second_worker = farm.worker("two")
    second = farm.backend.record_channel("second")
    assert [tenure["node"] for tenure in first.told()["tenures"]] == ["one"]
    assert [tenure["node"] for tenure in second.told()["tenures"]] == ["two"]  # the one with less to do
    second.until_more(2)
    recorder = recorder_of(second.sid, second_worker.pid)

    os.kill(second_worker.pid, signal.SIGKILL)
    second_worker.wait(5)
    eventually(lambda: not alive(recorder), "the recorder gone with its worker", 10)
    left_behind = list((farm.folder / "spool-two").rglob("*.ts"))
    assert left_behind  # the slice it was in, closed
    # Found dead after TTL and one round of the leader, which has led for long; then claimed and joined.
    told = second.until(lambda told: len(told["tenures"]) > 1, "taken over", TTL_S + LEADER_TTL_S + 5)
    assert [(t["node"], t["cause"]) for t in told["tenures"]] == [("two", "its lease ran out"), ("one", "")]
    second.until_more(2, 30)
    recorder_of(second.sid, first_worker.pid)
    before = longest_hole(second.told())
    assert second.query().json()["sid"] == second.sid

    farm.worker("two")  # again, on its old spool
    eventually(lambda: not list((farm.folder / "spool-two").rglob("*.ts")), "its spool brought in", 30)
    assert second.stop().status_code == 200
    assert first.stop().status_code == 200

    told = second.told()
    assert told["status"] == 8
    assert [(t["node"], t["state"]) for t in told["tenures"]] == [("two", "ended"), ("one", "ended")]
    assert longest_hole(told) < before  # what the spool held is in
    assert {hole["state"] for hole in told["holes"]} == {"lost"}
    assert {p.name for p in farm.store.glob("*.m3u8")} == {first.playlist_name, second.playlist_name}
    playlist = farm.store / second.playlist_name
    assert playlist.read_text().count("#EXT-X-DISCONTINUITY\n") == 1
    seen = pictures(playlist)
    assert out_of_step(seen) == []
    assert 0 < longest_hole_s(seen) <= HOLE_S
    undisturbed = pictures(farm.store / first.playlist_name)
    assert out_of_step(undisturbed) == []
    assert longest_hole_s(undisturbed) == pytest.approx(0, abs=1e-4)


def longest_hole(told: Mapping[str, list[Mapping[str, float]]]) -> float:
    return max((hole["end_s"] - hole["start_s"] for hole in told["holes"]), default=0.0)
