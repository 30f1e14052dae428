"""Farms of real processes, and the scene they record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm.backend import FPS, HEIGHT, WIDTH
from tests.farm.processes import UpFarm

#: A lease is found dead after TTL, by a leader that has led for one TTL itself: bounds in these tests are sums of these.
#: (Not shorter: a document is put only while the lease still lasts for half of the longest put, 2 s.)
TTL_S = 3.0
LEADER_TTL_S = 1.0
QUICK = {
    "REELYARD_TENURE_TTL_MS": str(round(TTL_S * 1000)),
    "REELYARD_TENURE_RENEW_MS": "500",
    "REELYARD_LEADER_TTL_MS": str(round(LEADER_TTL_S * 1000)),
    "REELYARD_HOLE_GRACE_MS": "5000",
}


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One camera and microphone that never end."""
    alice = {
        "id": "alice", "name": "Alice", "width": WIDTH, "height": HEIGHT, "fps": FPS,
        "actions": [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}],
    }  # fmt: skip
    path = tmp_path_factory.mktemp("scene") / "alice.json"
    path.write_text(json.dumps({"users": [alice]}))
    return path


@pytest.fixture(scope="session")
def farm(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpFarm]:
    """An embedded farm that tests share; who kills its parts starts one of his own."""
    up = UpFarm(tmp_path_factory.mktemp("shared") / "farm", "--channel", f"scripted:{scene}", env=QUICK)
    yield up
    up.close()
