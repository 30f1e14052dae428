"""MP4s of recordings that moved between nodes: frame by frame what the playlist shows, whoever died with what."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.farm.backend import Json, Take
from tests.farm.conftest import LEADER_TTL_S, QUICK, TTL_S
from tests.farm.films import assert_equal_to_the_playlist
from tests.farm.hand_made import HandMade, hand_made
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import alive, eventually, recorder_of

__all__ = ["hand_made"]

GRACE_S = int(QUICK["REELYARD_HOLE_GRACE_MS"]) / 1000


def films(farm: HandMade, call: Take) -> list[Path]:
    """In the order of their numbers; the record and the index tell of the same bytes."""
    found = [farm.store / file["key"] for file in mp4s(call.told())]
    assert {path.name for path in farm.store.glob("*.mp4")} == {path.name for path in found}
    index = json.loads((farm.store / f"{call.sid}_call.json").read_text())
    told = {file["key"]: (file["bytes"], file["md5"]) for file in index["files"]}
    for path in found:
        body = path.read_bytes()
        assert told[path.name] == (len(body), hashlib.md5(body).hexdigest())
    return found


def mp4s(told: Json) -> list[Json]:
    found = sorted((f for f in told["files"] if f["kind"] == "mp4"), key=lambda f: (len(f["key"]), f["key"]))
    assert [(file["final"], file["error"]) for file in found] == [(True, "")] * len(found)
    return found


@pytest.mark.slow
def test_a_host_that_is_gone_with_its_disk_leaves_one_mp4_with_its_hole_cut_out(hand_made: HandMade) -> None:
    farm = hand_made
    lost = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call", "hls", "mp4")
    call.until_more(3)
    farm.worker("two")
    recorder = recorder_of(call.sid, lost.pid)

    os.kill(lost.pid, signal.SIGKILL)
    os.kill(recorder, signal.SIGKILL)
    lost.wait(5)
    eventually(lambda: not alive(recorder), "the recorder gone with its worker", 10)
    shutil.rmtree(farm.folder / "spool-one")
    call.until(lambda told: len(told["tenures"]) > 1, "taken over", TTL_S + LEADER_TTL_S + 5)
    call.until_more(4, TTL_S + GRACE_S + 30)
    assert call.stop().status_code == 200

    told = call.told()
    assert told["status"] == 8
    assert {hole["state"] for hole in told["holes"]} == {"lost"}
    playlist = farm.store / call.playlist_name
    seen = pictures(playlist)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) > 1
    found = films(farm, call)
    assert [path.name for path in found] == [f"{call.sid}_call_0.mp4"]
    assert_equal_to_the_playlist(found, playlist)


@pytest.mark.slow
def test_parts_of_a_recording_that_is_handed_over_are_whole_whoever_made_them(hand_made: HandMade) -> None:
    farm = hand_made
    farm.env["REELYARD_MP4_PART_S"] = "10"
    leaving = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call", "hls", "mp4")
    call.until(lambda told: any(file["final"] for file in told["files"]), "a first part", 40)
    farm.worker("two")
    os.kill(leaving.pid, signal.SIGTERM)
    leaving.wait(60)
    call.until_more(7, 40)
    assert call.stop().status_code == 200

    assert call.told()["holes"] == []
    found = films(farm, call)
    assert [path.name for path in found] == [f"{call.sid}_call_{n}.mp4" for n in range(len(found))]
    assert len(found) >= 3
    assert_equal_to_the_playlist(found, farm.store / call.playlist_name)
