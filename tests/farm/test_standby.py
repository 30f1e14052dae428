"""Two tenures make one recording: killing either costs not one frame."""

from __future__ import annotations

import os
import signal
import time

import pytest
from sqlalchemy import update

from models.database import open_database
from models.repositories.apps import Behaviour
from models.tables import App
from tests.farm.conftest import LEADER_TTL_S, TTL_S
from tests.farm.hand_made import HandMade, hand_made
from tests.farm.holds import hold
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import eventually

__all__ = ["hand_made"]


def want_standby(farm: HandMade) -> None:
    database = open_database(farm.env["REELYARD_DATABASE_URL"])
    with database.unit() as session:
        session.execute(update(App).values(behaviour=Behaviour(redundancy=2).model_dump(mode="json")))
    database.close()


@pytest.mark.parametrize("victim", ["writer", "standby"])
def test_killing_either_of_two_workers_costs_not_one_frame(hand_made: HandMade, victim: str) -> None:
    farm = hand_made
    want_standby(farm)
    workers = {"one": farm.worker("one"), "two": farm.worker("two")}
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call")
    both = call.until(lambda t: [x["state"] for x in t["tenures"]] == ["live", "live"], "two live", 30)
    call.until_more(3)
    node = both["tenures"][0 if victim == "writer" else 1]["node"]

    os.kill(workers[node].pid, signal.SIGKILL)
    workers[node].wait(5)
    within_s = 2 * TTL_S + LEADER_TTL_S + 10
    call.until(lambda t: [x["state"] for x in t["tenures"]].count("ended") == 1, "noticed", within_s)
    call.until_more(3, 40)
    assert call.stop().status_code == 200

    told = call.told()
    assert told["status"] == 8
    assert told["holes"] == []
    assert {p.name for p in farm.store.glob("*.m3u8")} == {call.playlist_name}
    seen = pictures(farm.store / call.playlist_name)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_a_pause_of_two_workers_is_one_hole_though_the_writer_dies_in_it(hand_made: HandMade) -> None:
    farm = hand_made
    want_standby(farm)
    workers = {"one": farm.worker("one"), "two": farm.worker("two")}
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call")
    both = call.until(lambda t: [x["state"] for x in t["tenures"]] == ["live", "live"], "two live", 30)
    call.until_more(2)
    hold(call, on=True)
    since_s = call.until(lambda t: t["held_since_s"] is not None, "on hold", 6)["held_since_s"]
    time.sleep(3)  # what was recorded before is up
    kept = call.stored()

    writer = both["tenures"][0]["node"]
    os.kill(workers[writer].pid, signal.SIGKILL)
    workers[writer].wait(5)
    within_s = 2 * TTL_S + LEADER_TTL_S + 10
    call.until(lambda t: [x["state"] for x in t["tenures"]].count("ended") == 1, "noticed", within_s)
    told = call.told()
    assert (told["segments"]["stored"], told["held_since_s"], told["wanted"]) == (kept, since_s, "hold")

    hold(call, on=False)
    call.until_more(3, 40)
    assert call.stop().status_code == 200
    told = call.told()
    assert told["status"] == 8
    [hole] = told["holes"]
    assert (hole["start_s"], hole["state"], hole["cause"]) == (since_s, "paused", "paused")
    assert {p.name for p in farm.store.glob("*.m3u8")} == {call.playlist_name}
    seen = pictures(farm.store / call.playlist_name)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(hole["end_s"] - hole["start_s"], abs=0.1)
