"""The farm of this run, as real processes; and its jobs by SQL and by REST."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import select

from farm.embedded import tasks_argv, worker_argv
from models import secrets
from models.database import Database, open_database
from models.repositories import apps, jobs
from models.repositories.apps import Limits
from models.schema import upgrade
from models.secrets import generate_key
from models.tables import Job, Recording
from models.vocabulary.spec import FolderStore
from models.vocabulary.states import JOB, terminal
from tests import servers
from tests.chaos.jobs.road import Road, paved
from tests.chaos.jobs.verdict import Span
from tests.farm.processes import environment, eventually
from tests.servers import ServerProcess, free_ports

NODE: Final = "one"
#: Of the cheapest recording there is, sound alone (scheduler/weights.py).
WEIGHT: Final = 5
SCENE: Final = {
    "users": [{"id": "alice", "actions": [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish", "what": ["audio"]}]}],
    "duration_s": 240,  # what a lost job left behind ends some day
}
START: Final = {
    "recordingConfig": {"maxIdleTime": 30, "streamTypes": 0},
    "storageConfig": {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "k", "secretKey": "s"},
}
SLICE_S: Final = 2


@dataclass(frozen=True, slots=True)
class Rig:
    database: Database
    rest: httpx.Client
    store: Path
    road: Road

    def submit(self, key: str, for_s: int | None) -> str:
        order: dict[str, Any] = {"key": key, "cname": f"channel-{key}", "uids": ["1", "2"], "start": START}
        if for_s is not None:
            order["for_s"] = for_s
        return str(self.rest.post("/jobs", json=order).raise_for_status().json()["job_id"])

    def stop(self, job_id: str) -> None:
        self.rest.post(f"/jobs/{job_id}/stop").raise_for_status()

    def job(self, job_id: str) -> dict[str, Any]:
        told: dict[str, Any] = self.rest.get(f"/jobs/{job_id}").raise_for_status().json()
        return told

    def live(self) -> dict[str, str]:
        """The state of each job that has not ended."""
        with self.database.unit() as session:
            found = session.execute(select(Job.job_id, Job.state).where(Job.state.not_in(terminal(JOB))))
            return {job_id: state.value for job_id, state in found}

    def late_s(self) -> float:
        """How long the longest overdue step has waited."""
        with self.database.unit() as session:
            return jobs.late_ms(session) / 1000

    def spans(self) -> list[Span]:
        with self.database.unit() as session:
            found = session.execute(select(Recording.cname, Recording.uid, Recording.created_ms, Recording.ended_ms))
            return [Span(*row) for row in found]


@contextmanager
def rig(folder: Path, *, rooms: int, share: float, seed: int) -> Iterator[Rig]:
    """Everything up; `rooms` recordings fit on the node at once."""
    with ExitStack() as stack:
        postgres = servers.PostgresServer(servers.find_postgres())
        stack.callback(postgres.stop)
        redis, redis_url = servers.start_redis(servers.find_redis(), _room(folder, "redis"))
        stack.callback(redis.stop)
        gateway_port, road_port = free_ports(2)
        key, url = generate_key(), postgres.url("postgres")
        settings = {
            "REELYARD_DATABASE_URL": url,
            "REELYARD_BROKER_URL": redis_url,
            "REELYARD_SECRET_KEYS": key,
            "REELYARD_GATEWAY_URL": f"http://127.0.0.1:{road_port}",
            "REELYARD_ALLOW_NETWORKS": "127.0.0.0/8",
            "REELYARD_STORES_ROOT": str(_room(folder, "store")),
            "REELYARD_NODE_NAME": NODE,
            "REELYARD_SPOOL": str(_room(folder, "spool")),
            "REELYARD_NODE_CAPACITY": str(WEIGHT * rooms),
            "REELYARD_JOB_REQUESTS_PER_S": "200",
            "REELYARD_LOG_LEVEL": "WARNING",
        }
        secrets.use_keys([key])
        upgrade(url)
        database = open_database(url)
        stack.callback(database.close)
        base_url, auth = _app(database, folder, gateway_port)
        uvicorn = [sys.executable, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port"]
        for name, argv in (
            ("worker", worker_argv(NODE)),
            ("scheduler", [sys.executable, "-m", "scheduler"]),
            ("tasks", tasks_argv()),
            ("gateway", [*uvicorn, str(gateway_port), "--no-access-log"]),
        ):
            stack.callback(_started(folder, name, argv, settings).stop)
        eventually(lambda: _ready(gateway_port), "the gateway ready", 60)
        road = Road(gateway_port, share, random.Random(seed))
        stack.enter_context(paved(road, road_port))
        rest = stack.enter_context(httpx.Client(base_url=base_url, auth=auth, timeout=30))
        yield Rig(database, rest, folder / "store", road)


def _app(database: Database, folder: Path, gateway_port: int) -> tuple[str, tuple[str, str]]:
    scene = folder / "scene.json"
    scene.write_text(json.dumps(SCENE))
    with database.unit() as session:
        app = apps.add(
            session, appid=None, name="chaos", channel=f"scripted:{scene}", slice_s=SLICE_S,
            store=FolderStore(path=str(folder / "store")), limits=Limits(requests_per_s=1_000),
        )  # fmt: skip
        return f"http://127.0.0.1:{gateway_port}/v1/apps/{app.appid}", apps.new_key(session, [app.appid])


def _started(folder: Path, name: str, argv: list[str], settings: Mapping[str, str]) -> ServerProcess:
    return ServerProcess(argv, directory=_room(folder, name), environment=environment(settings))


def _room(folder: Path, name: str) -> Path:
    room = folder / name
    room.mkdir(exist_ok=True)
    return room


def _ready(port: int) -> bool:
    """/readyz also wants a node."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).is_success
    return False
