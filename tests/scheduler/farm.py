"""A farm for the suites of scheduler and gateway: a real database, a real broker, and workers played by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis

from models.database import Database
from models.repositories import apps, nodes, recordings, tenures, timeline
from models.repositories.tenures import Claim
from models.settings import Settings
from models.tables import Recording, Tenure
from models.vocabulary import messages
from models.vocabulary.spec import FolderStore, Mode, StoreAddress
from models.vocabulary.states import Status
from scheduler import orders
from scheduler.broker import Broker
from scheduler.service import Acquired, Service

APPID = "a" * 32
CNAME = "httpClient463224"
UID = "527841"
FOLDER = FolderStore(path="files")


def storage(**changes: Any) -> orders.Storage:
    said: dict[str, Any] = {"vendor": 1, "region": 0, "bucket": "b", "access_key": "AK", "secret_key": "SK"}
    return orders.Storage(**said | changes)


def start_order(**changes: Any) -> orders.Start:
    said: dict[str, Any] = {"cname": CNAME, "uid": UID, "mode": Mode.MIX, "storage": storage()}
    return orders.Start(**said | changes)


@dataclass
class Time:
    """The service's own clock: sleeping moves it, and lets the others work."""

    s: float = 0.0
    meanwhile: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.s

    def sleep(self, seconds_s: float) -> None:
        self.s += seconds_s
        self.meanwhile()


@dataclass
class Worker:
    """A node's part of the protocol, played through the repositories."""

    database: Database
    name: str
    boot: str = "boot"
    claims: dict[str, Claim] = field(default_factory=dict)

    def beat(self, *, capacity: int = 200, ingest_url: str = "", ttl_ms: int = 60_000) -> None:
        with self.database.unit() as session:
            nodes.beat(session, self.name, self.boot, capacity, "0", ingest_url, "", bool(ingest_url), ttl_ms)

    def claim(self, sid: str, epoch: int = 1) -> Claim:
        with self.database.unit() as session:
            claim = tenures.claim(session, sid, epoch, self.name, self.boot)
            assert claim is not None
            recordings.advance(session, sid, expect=None, to=Status.INITIALISED, cause="claimed", epoch=epoch)
        self.claims[sid] = claim
        return claim

    def ready(self, sid: str) -> None:
        claim = self.claims[sid]
        with self.database.unit() as session:
            recordings.advance(session, sid, expect=None, to=Status.READY, cause="ready", epoch=claim.epoch)
            tenures.live(session, sid, claim.epoch, claim.owner)

    def slice(self, sid: str, start_s: int = 0, end_s: int = 6) -> None:
        """Make one slice and store it."""
        claim = self.claims[sid]
        key = f"{sid}_{start_s}.ts"
        with self.database.unit() as session:
            recordings.zero(session, sid, t0_ms=1_700_000_000_000, anchor={"clock_id": "c", "zero_s": 0.0})
            timeline.reserve(
                session, sid, "mix", claim.epoch, claim.owner, start_s * 90_000, end_s * 90_000, key, 1000, "0" * 32
            )
            timeline.stored(session, sid, "mix", key, store="primary")
            recordings.first_slice(session, sid)
            recordings.advance(session, sid, expect=None, to=Status.IN_PROGRESS, cause="file", epoch=claim.epoch)

    def fail(self, sid: str, fault: dict[str, Any]) -> None:
        claim = self.claims[sid]
        with self.database.unit() as session:
            recordings.set_fault(session, sid, fault)
            recordings.advance(session, sid, expect=None, to=Status.FAILED, cause=fault["text"], epoch=claim.epoch)
            tenures.end(session, sid, claim.epoch, claim.owner, fault["text"])

    def finish(self, sid: str, cause: str = "stop called") -> None:
        claim = self.claims[sid]
        with self.database.unit() as session:
            for status in (Status.STOPPING, Status.STOPPED, Status.EXITED):
                recordings.advance(session, sid, expect=None, to=status, cause=cause, epoch=claim.epoch)
            tenures.end(session, sid, claim.epoch, claim.owner, cause)

    def renew(self, sid: str, ttl_ms: int = 6_000) -> None:
        claim = self.claims[sid]
        with self.database.unit() as session:
            tenures.renew(session, self.name, [(sid, claim.epoch, claim.owner, 1)], ttl_ms)


@dataclass
class Farm:
    database: Database
    broker: Broker
    settings: Settings
    time: Time
    service: Service
    queues: redis.Redis
    key: str = ""
    secret: str = field(default="", repr=False)

    def add_app(
        self, appid: str = APPID, *, store: StoreAddress | None = FOLDER, channel: str = "scripted:a.json", **more: Any
    ) -> None:
        more.setdefault("limits", apps.Limits(requests_per_s=100_000, max_recordings=0))
        with self.database.unit() as session:
            apps.add(session, appid=appid, name="an app", channel=channel, store=store, **more)
            self.key, self.secret = apps.new_key(session, [appid])

    def worker(self, name: str = "node-a", **beat: Any) -> Worker:
        worker = Worker(self.database, name)
        worker.beat(**beat)
        return worker

    def acquire(self, cname: str = CNAME, uid: str = UID, appid: str = APPID) -> Acquired:
        return self.service.acquire(appid, orders.Acquire(cname=cname, uid=uid))

    def begin(self, cname: str = CNAME, **changes: Any) -> str:
        """A recording that is dispatched; its sid."""
        resource = self.acquire(cname)
        begun = self.service.begin_start(APPID, resource.resource_id, start_order(cname=cname, **changes))
        return begun.sid

    def recording(self, sid: str) -> Recording:
        with self.database.unit() as session:
            found = recordings.get(session, sid)
            assert found is not None
            return found

    def tenures(self, sid: str) -> list[Tenure]:
        with self.database.unit() as session:
            return tenures.of(session, sid)

    def messages(self, node: str) -> list[tuple[str, list[Any], str]]:
        """(task, arguments, task id) of what waits in a node's queue, the oldest first."""
        found = []
        for raw in reversed(self.queues.lrange(messages.node_queue(node), 0, -1)):
            message = json.loads(raw)
            arguments = json.loads(base64.b64decode(message["body"]))[0]
            found.append((message["headers"]["task"], arguments, message["headers"]["id"]))
        return found
