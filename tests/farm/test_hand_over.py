"""A node that is told to leave hands its recordings over: not one frame is lost or doubled, and it is soon gone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.farm.films import assert_equal_to_the_playlist
from tests.farm.hand_made import HandMade, hand_made
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import eventually

__all__ = ["hand_made"]

#: Architecture, "Numbers to hold".
GONE_S = 60.0


def test_a_worker_that_gets_sigterm_hands_over_without_losing_a_frame(hand_made: HandMade) -> None:
    farm = hand_made
    leaving = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call", "hls", "mp4")
    call.until_more(2)
    farm.worker("two")

    os.kill(leaving.pid, signal.SIGTERM)
    told_at = time.monotonic()
    leaving.wait(GONE_S)
    gone_s = time.monotonic() - told_at
    assert gone_s < GONE_S
    told = call.until_more(2)
    assert [(t["node"], t["state"]) for t in told["tenures"]] == [("one", "ended"), ("two", "live")]
    assert call.stop().status_code == 200

    assert {p.name for p in farm.store.glob("*.m3u8")} == {call.playlist_name}
    playlist = farm.store / call.playlist_name
    assert "#EXT-X-DISCONTINUITY\n" not in playlist.read_text()
    seen = pictures(playlist)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(0, abs=1e-4)
    assert call.told()["holes"] == []
    (film,) = farm.store.glob("*.mp4")
    assert_equal_to_the_playlist([film], playlist)


def test_with_no_other_node_it_says_so_records_on_and_takes_the_first_that_appears(hand_made: HandMade) -> None:
    farm = hand_made
    leaving = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call")
    call.until_more(1)

    os.kill(leaving.pid, signal.SIGTERM)
    log = farm.folder / "one" / "server.log"
    eventually(lambda: "no other node is there" in log.read_text(), "says so", 6)
    call.until_more(2)  # it records on
    farm.worker("two")
    leaving.wait(GONE_S)
    call.until_more(1)
    assert call.stop().status_code == 200
    seen = pictures(farm.store / call.playlist_name)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(0, abs=1e-4)
