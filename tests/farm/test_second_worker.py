"""Two workers, a scheduler and a gateway as processes of their own, on PostgreSQL and a real broker."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from farm.embedded import worker_argv
from models.secrets import generate_key
from tests.farm.backend import Backend
from tests.farm.conftest import LEADER_TTL_S, QUICK, TTL_S
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import alive, environment, eventually, recorder_of, run
from tests.servers import ServerProcess, free_ports

#: Architecture, "Numbers to hold": worker killed, its spool survives.
HOLE_S = TTL_S + 5


class HandMade:
    """What an operator starts by hand, each from the same environment."""

    def __init__(self, folder: Path, database_url: str, broker_url: str, channel: str) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.store.mkdir()
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.env = QUICK | {
            "REELYARD_DATABASE_URL": database_url,
            "REELYARD_BROKER_URL": broker_url,
            "REELYARD_SECRET_KEYS": generate_key(),
            "REELYARD_STORES_ROOT": str(self.store),
        }
        self._parts: list[ServerProcess] = []
        assert run("migrate", cwd=folder, env=self.env).returncode == 0
        added = run(
            "app", "add", "calls", "--channel", channel, "--folder", ".", "--slice", "2", cwd=folder, env=self.env
        )
        assert added.returncode == 0, added.stderr
        made = json.loads(added.stdout)
        self.backend = Backend(self.url, made["appid"], made["customer_key"], made["customer_secret"])
        self.start("scheduler", [sys.executable, "-m", "scheduler"])
        gateway = ["-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(port)]
        self.start("gateway", [sys.executable, *gateway])

    def start(self, name: str, argv: list[str], more: Mapping[str, str] | None = None) -> ServerProcess:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        # The code is found by PYTHONPATH: none of the parts cares where it is started.
        part = ServerProcess(argv, directory=folder, environment=environment(self.env | dict(more or {})))
        self._parts.append(part)
        return part

    def worker(self, name: str) -> ServerProcess:
        """Up when the farm has one node more."""
        own = {"REELYARD_NODE_NAME": name, "REELYARD_SPOOL": str(self.folder / f"spool-{name}")}
        part = self.start(name, worker_argv(name), own)
        eventually(lambda: "ready" in (self.folder / name / "server.log").read_text(), f"{name} ready", 60)
        return part

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        for part in reversed(self._parts):
            os.kill(part.pid, signal.SIGKILL) if alive(part.pid) else None
            part.stop()


@pytest.fixture
def hand_made(scene: Path, tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[HandMade]:
    farm = HandMade(tmp_path, postgres_url, redis_url, f"scripted:{scene}")
    yield farm
    farm.close()


@pytest.mark.slow
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
