"""A farm without room: an app's setting says whether a start is refused, or waits and begins when there is room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farm.home import read_environment
from tests.farm.backend import Take
from tests.farm.conftest import QUICK
from tests.farm.processes import UpFarm, eventually, run

#: One recording of the tests' size, and not two.
FULL = {"REELYARD_NODE_CAPACITY": "30", "REELYARD_START_WAIT_MS": "1000"}


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_start_without_room_is_refused_or_begins_when_there_is_room_as_the_app_wants_it(
    scene: Path, tmp_path: Path
) -> None:
    farm = UpFarm(tmp_path / "farm", "--channel", f"scripted:{scene}", env=QUICK | FULL)
    try:
        backend = farm.backend
        first = backend.record_channel("first")
        resource_id = backend.acquire("second")
        refused = backend.try_start("second", resource_id)
        assert (refused.status_code, refused.json()["code"]) == (500, 502), refused.text

        wish = ("app", "set", backend.appid, "--when-full", "wait")
        told = run(*wish, cwd=tmp_path, env=read_environment(farm.folder))
        assert json.loads(told.stdout)["behaviour"]["when_full"] == "wait", told.stderr
        waiting = backend.try_start("second", resource_id)
        assert (waiting.status_code, waiting.json()["code"]) == (206, 65), waiting.text
        again = backend.try_start("second", resource_id)
        assert (again.status_code, again.json()["code"]) == (201, 7), again.text
        second = Take(backend, "second", resource_id, again.json()["sid"])
        assert second.told()["tenures"] == []
        assert second.query().json()["serverResponse"]["status"] < 4, "there is no room yet"

        assert first.stop().status_code == 200
        eventually(lambda: second.query().json()["serverResponse"]["status"] == 5, "recording", 30)
        assert second.stop().status_code == 200
        assert "#EXT-X-ENDLIST" in (farm.store / second.playlist_name).read_text()
    finally:
        farm.close()
