"""The guide's web backend, taken from its page and run against a farm."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm.home import read_environment
from tests.farm.processes import ROOT, UpFarm, command_of, descendants, environment, eventually
from tests.servers import free_ports

PAGE = ROOT / "docs" / "guide" / "web-backend.md"
CLIENT = ROOT / "client" / "src"
DOORS = ("client", "rest", "celery")
TASKS = ["celery", "-A", "scheduler.app", "worker", "-Q", "reelyard.jobs,reelyard.checks", "-c", "2"]

pytestmark = pytest.mark.skipif(not CLIENT.is_dir(), reason="client/ is not here")


def code() -> str:
    [found] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


@contextmanager
def process(argv: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as out:
        child = subprocess.Popen([sys.executable, "-m", *argv], cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@pytest.fixture
def tasks(farm: UpFarm, tmp_path: Path) -> Iterator[None]:
    """The scheduler's tasks, where the farm does not run them itself."""
    if any("scheduler.app" in command_of(pid) for pid in descendants(farm.pid)):
        yield
        return
    env = environment(read_environment(farm.folder) | {"REELYARD_GATEWAY_URL": farm.ready["url"]})
    with process(TASKS, env, tmp_path / "tasks.log"):
        yield


@pytest.fixture
def backend(farm: UpFarm, tasks: None, tmp_path: Path) -> Iterator[httpx.Client]:
    [port] = free_ports(1)
    (tmp_path / "backend.py").write_text(code())
    ready = farm.ready
    env = {name: value for name, value in os.environ.items() if not name.startswith("REELYARD_")} | {
        "PYTHONPATH": str(CLIENT),
        "FARM_URL": ready["url"],
        "FARM_APPID": ready["appid"],
        "FARM_KEY": ready["customer_key"],
        "FARM_SECRET": ready["customer_secret"],
        "FARM_BROKER": read_environment(farm.folder)["REELYARD_BROKER_URL"],
        "STORE_KEY": "k",
        "STORE_SECRET": "planted-store-secret",
    }
    argv = ["uvicorn", "backend:app", "--app-dir", str(tmp_path), "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "backend.log"
    with process(argv, env, log), httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

        def up() -> bool:
            try:
                return client.get("/openapi.json").is_success
            except httpx.TransportError:
                return False

        eventually(up, "up", 30)
        yield client
    assert "Traceback" not in log.read_text()


def test_the_backend_is_a_page_of_code() -> None:
    lines = [line for line in code().splitlines() if line.strip()]
    assert len(lines) <= 60


@pytest.mark.timeout(240)
def test_lessons_are_recorded_watched_and_stopped_through_each_door(farm: UpFarm, backend: httpx.Client) -> None:
    def told(door: str) -> dict[str, Any]:
        answer = backend.get(f"/{door}/by-{door}")
        if answer.status_code == 404 and door == "celery":  # the message was not taken yet
            return {"state": "sent"}
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert found["state"] != "failed", found
        return found

    def stands(door: str, state: str) -> bool:
        return bool(told(door)["state"] == state)

    assert [backend.get(f"/{door}/never").status_code for door in DOORS] == [404] * 3
    for door in DOORS:
        for _ in range(2):  # once or twice is the same
            assert backend.post(f"/{door}/by-{door}").is_success
    for door in DOORS:
        eventually(partial(stands, door, "running"), f"running by {door}", 90)
    sids = {door: told(door)["sid"] for door in DOORS}
    assert all(told(door)["files"] == [f"{sids[door]}_by-{door}.m3u8"] for door in DOORS)
    for door in DOORS:
        assert backend.delete(f"/{door}/by-{door}").is_success
    for door in DOORS:
        eventually(partial(stands, door, "done"), f"done by {door}", 90)
        assert (told(door)["cause"], told(door)["sid"]) == ("stop_called", sids[door])
        stored = {file: found for file in told(door)["files"] for found in farm.store.rglob(Path(file).name)}
        assert len(stored) == len(told(door)["files"]), "each file that the job names is in the store"
        assert "#EXT-X-ENDLIST" in stored[f"{sids[door]}_by-{door}.m3u8"].read_text()

    listed = farm.backend.request("GET", "/recordings?limit=200").json()["recordings"]
    ours = {line["sid"] for line in listed if line["cname"].startswith("by-")}
    assert ours == set(sids.values()), "one recording for each lesson, though each was submitted twice"
