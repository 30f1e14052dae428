"""A farm as an operator starts it by hand: each part a process of its own, on PostgreSQL and a real broker."""

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
from tests.farm.conftest import QUICK
from tests.farm.processes import alive, environment, eventually, run
from tests.servers import ServerProcess, free_ports


class HandMade:
    """What an operator starts by hand, each from the same environment."""

    def __init__(
        self, folder: Path, database_url: str, broker_url: str, channel: str, more: Mapping[str, str] | None = None
    ) -> None:
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
            **(more or {}),
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

    def worker(self, name: str, more: Mapping[str, str] | None = None) -> ServerProcess:
        """Up when the farm has one node more."""
        own = {"REELYARD_NODE_NAME": name, "REELYARD_SPOOL": str(self.folder / f"spool-{name}"), **(more or {})}
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
