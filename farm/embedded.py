"""The embedded farm: gateway, scheduler, worker and ingest on SQLite, a bundled broker and a local folder, under one directory.

A second start in the same directory finds its state again and finishes what was open.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import httpx

from farm import broker
from farm.processes import Part, PartFailed, Tree
from models import secrets
from models.database import open_database, upgrade
from models.repositories import apps, recordings
from models.vocabulary import messages
from models.vocabulary.spec import FolderStore
from models.vocabulary.states import Wanted

IDENTITY: Final = "farm.json"
NODE: Final = "embedded"
#: How long Ctrl-C waits for recordings to end in order before it goes on regardless.
LAST_UPLOADS_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a directory this farm: its keys, and its one app."""

    secret_key: str
    appid: str
    customer_key: str
    customer_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ports:
    gateway: int
    broker: int
    ingest: int
    units: int

    @classmethod
    def free(cls, gateway: int = 0) -> Ports:
        return cls(gateway or free_port(), free_port(), free_port(), free_port())


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class EmbeddedFarm:
    def __init__(
        self, folder: Path, ports: Ports, *, channel: str = "whip:", slice_s: int = 6, node: str = NODE
    ) -> None:
        self.folder = folder.resolve()
        self.ports = ports
        self._channel = channel
        self._slice_s = slice_s
        self._node = node
        self.identity = self._open_folder()
        self._tree = Tree(self.folder / "logs", self.environment())

    # -- its directory ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'reelyard.db'}"

    def environment(self) -> dict[str, str]:
        ports = self.ports
        kept = {k: v for k, v in os.environ.items() if not k.startswith("REELYARD_")}
        root = str(Path(__file__).resolve().parent.parent)
        return kept | {
            "PYTHONPATH": os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p),
            "PYTHONUNBUFFERED": "1",
            "REELYARD_DATABASE_URL": self.database_url,
            "REELYARD_BROKER_URL": f"redis://127.0.0.1:{ports.broker}/0",
            "REELYARD_SECRET_KEYS": self.identity.secret_key,
            "REELYARD_NODE_NAME": self._node,
            "REELYARD_SPOOL": str(self.folder / "spool"),
            "REELYARD_STORES_ROOT": str(self.store),
            "REELYARD_INGEST_BIND": f"127.0.0.1:{ports.ingest}",
            "REELYARD_INGEST_URL": f"http://127.0.0.1:{ports.ingest}",
            "REELYARD_INGEST_UNITS_BIND": f"127.0.0.1:{ports.units}",
            "REELYARD_INGEST_UNITS": f"127.0.0.1:{ports.units}",
            "REELYARD_ICE_ADDRESSES": "127.0.0.1",
            "REELYARD_ALLOW_NETWORKS": "127.0.0.0/8,::1/128",
        }

    def _open_folder(self) -> Identity:
        for folder in (self.folder, self.folder / "logs", self.folder / "spool", self.store):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / IDENTITY
        if path.exists():
            identity = Identity(**json.loads(path.read_text()))
            secrets.use_keys([identity.secret_key])
            upgrade(self.database_url)
            return identity
        key = secrets.generate_key()
        secrets.use_keys([key])
        upgrade(self.database_url)
        identity = self._new_app(key)
        private = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(private, "w") as f:
            json.dump(asdict(identity), f)
        return identity

    def _new_app(self, key: str) -> Identity:
        database = open_database(self.database_url)
        try:
            with database.unit() as session:
                app = apps.add(
                    session,
                    appid=None,
                    name="embedded",
                    channel=self._channel,
                    store=FolderStore(path=str(self.store)),
                    slice_s=self._slice_s,
                )
                customer_key, customer_secret = apps.new_key(session, [app.appid])
                return Identity(key, app.appid, customer_key, customer_secret)
        finally:
            database.close()

    # -- its processes ------------------------------------------------------------------------------------------

    def parts(self) -> list[Part]:
        python, ports = sys.executable, self.ports
        gateway = [python, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(ports.gateway),
                   "--no-access-log", "--timeout-graceful-shutdown", "5"]  # fmt: skip
        return [
            broker.part(self.folder / "broker", ports.broker),
            Part("ingest", [python, "-m", "workers.ingest"], lambda: healthy(ports.ingest, "/healthz")),
            Part("worker", worker_argv(self._node), self._node_is_up, stop_s=30.0),
            Part("scheduler", [python, "-m", "scheduler"], lambda: True),
            Part("gateway", gateway, lambda: healthy(ports.gateway, "/readyz")),
        ]

    def start(self, said: Callable[[str], None] = lambda _: None) -> None:
        """Bring every part up, in order; when one fails all are ended again."""
        try:
            for part in self.parts():
                said(part.name)
                self._tree.start(part)
        except BaseException:
            self._tree.stop()
            raise

    def _node_is_up(self) -> bool:
        from models.repositories import nodes

        database = open_database(self.database_url)
        try:
            with database.unit() as session:
                return any(n.name == self._node and n.ingest_up for n in nodes.live(session))
        finally:
            database.close()

    def pid(self, part: str) -> int:
        return self._tree.pid(part)

    def watch(self) -> None:
        """Return when a part has left by itself; raises `PartFailed` naming it."""
        while (dead := self._tree.dead()) is None:
            time.sleep(0.2)
        raise PartFailed(f"{dead} has left by itself; {self.folder / 'logs' / dead}.log says why")

    def stop(self, said: Callable[[str], None] = lambda _: None) -> None:
        """End recordings properly, then the parts in order. A second Ctrl-C skips the waiting."""
        try:
            self._end_recordings(said)
        except KeyboardInterrupt:
            said("not waiting; what is open is finished at the next start")
        finally:
            self._tree.stop()

    def _end_recordings(self, said: Callable[[str], None]) -> None:
        database = open_database(self.database_url)
        try:
            with database.unit() as session:
                running = recordings.live_sids(session)
                for sid in running:
                    recordings.want(session, sid, Wanted.STOP, "the farm was shut down")
            self._nudge(running)
            until = time.monotonic() + LAST_UPLOADS_S
            while running and time.monotonic() < until:
                said(f"ending {len(running)} recording{'s' if len(running) > 1 else ''}")
                time.sleep(0.25)
                with database.unit() as session:
                    running = recordings.live_sids(session)
        finally:
            database.close()

    def _nudge(self, sids: list[str]) -> None:
        import redis

        try:
            with redis.Redis.from_url(self.environment()["REELYARD_BROKER_URL"], socket_timeout=1) as client:
                for sid in sids:
                    client.publish(messages.NUDGE, sid)
        except redis.RedisError:
            return  # the next renewal carries the wish


def worker_argv(node: str) -> list[str]:
    return [
        sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "threads", "-c", "1000",
        "-n", node, "-Q", messages.node_queue(node), "--without-gossip", "--without-mingle", "-l", "INFO",
    ]  # fmt: skip


def healthy(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2).is_success
    except httpx.HTTPError:
        return False
