"""The embedded farm: gateway, scheduler, worker and ingest on SQLite, a bundled broker and a local folder, under one directory.

A second start in the same directory finds its state again and finishes what was open.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from farm import flower
from farm.broker import part as broker_part
from farm.home import Home, Identity, write_environment
from farm.processes import Part, PartFailed, Tree, belonging
from models.database import Database, open_database
from models.repositories import nodes, recordings
from models.vocabulary import messages
from models.vocabulary.states import Wanted

NODE: Final = "embedded"
#: How long Ctrl-C waits for recordings to end in order before it goes on regardless.
LAST_UPLOADS_S: Final = 30.0
#: Recorders of a farm that was killed close their slices; they take at most so long.
LAST_WORDS_S: Final = 12.0
#: Below Linux' ephemeral range: no outgoing connection takes a port between our look and a part's bind.
PORTS: Final = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Ports:
    gateway: int
    broker: int
    ingest: int
    units: int
    flower: int

    @classmethod
    def free(cls, gateway: int = 0) -> Ports:
        """Raises `PartFailed` when the gateway's port is not free."""
        if gateway and not is_free(gateway):
            raise PartFailed(f"port {gateway} of 127.0.0.1 is taken; --port 0 finds a free one")
        found = [port for port in random.sample(PORTS, 200) if is_free(port)]
        return cls(gateway or found[0], *found[1:5])


def is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class EmbeddedFarm:
    """Made: the directory is ours and set up. `start`, `watch`, `stop`: its processes. Raises `FarmRuns`."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        channel: str = "whip:",
        slice_s: int = 6,
        node: str = NODE,
        with_flower: bool = False,
    ) -> None:
        self.home = Home(folder, channel=channel, slice_s=slice_s)
        self.ports = ports
        self._node = node
        self._with_flower = with_flower
        self._tree = Tree(self.home.logs, self.environment())

    @property
    def identity(self) -> Identity:
        return self.home.identity

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.flower}"

    @property
    def store(self) -> Path:
        return self.home.store

    def environment(self) -> dict[str, str]:
        ports, home = self.ports, self.home
        return base_environment() | {
            "REELYARD_DATABASE_URL": home.database_url,
            "REELYARD_BROKER_URL": f"redis://127.0.0.1:{ports.broker}/0",
            "REELYARD_SECRET_KEYS": home.identity.secret_key,
            "REELYARD_GATEWAY_URL": self.url,
            "REELYARD_NODE_NAME": self._node,
            "REELYARD_SPOOL": str(home.spool),
            "REELYARD_STORES_ROOT": str(home.store),
            "REELYARD_INGEST_BIND": f"127.0.0.1:{ports.ingest}",
            "REELYARD_INGEST_URL": f"http://127.0.0.1:{ports.ingest}",
            "REELYARD_INGEST_UNITS_BIND": f"127.0.0.1:{ports.units}",
            "REELYARD_INGEST_UNITS": f"127.0.0.1:{ports.units}",
            # A Janus elsewhere is reached from, and lies in, other networks than this machine's loopback.
            "REELYARD_ICE_ADDRESSES": os.environ.get("REELYARD_ICE_ADDRESSES", "127.0.0.1"),
            "REELYARD_ALLOW_NETWORKS": os.environ.get("REELYARD_ALLOW_NETWORKS", "127.0.0.0/8,::1/128"),
        }

    def parts(self) -> list[Part]:
        python, ports = sys.executable, self.ports
        gateway = [python, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(ports.gateway),
                   "--no-access-log", "--timeout-graceful-shutdown", "5"]  # fmt: skip
        return [
            broker_part(self.home.folder / "broker", ports.broker),
            Part("ingest", [python, "-m", "workers.ingest"], lambda: healthy(ports.ingest, "/healthz")),
            Part("worker", worker_argv(self._node), self._node_is_up, stop_s=30.0),
            Part("scheduler", [python, "-m", "scheduler"], lambda: True),
            Part("tasks", tasks_argv(), lambda: True),
            Part("gateway", gateway, lambda: healthy(ports.gateway, "/readyz")),
            *(self._views() if self._with_flower else ()),
        ]

    def _views(self) -> list[Part]:
        port, password = self.ports.flower, self.identity.flower_password
        return [flower.part(self.home.folder / "flower", port, password, lambda: healthy(port, "/healthcheck"))]

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self, said: Callable[[str], None] = lambda _: None) -> None:
        """Bring every part up, the broker first; when one fails all are ended again."""
        try:
            self._bury_the_last_run(said)
            write_environment(self.home.folder, self.environment())
            broker, *others = self.parts()
            for parts in ([broker], others):
                said(", ".join(part.name for part in parts))
                self._tree.start(parts)
        except BaseException:
            self._tree.stop()
            raise

    def _bury_the_last_run(self, said: Callable[[str], None]) -> None:
        """We hold the lock, so the farm that ran here is gone, and its worker with it: the node's name is free again.

        Its recorders leave by themselves; until then their spools are theirs.
        """
        until = time.monotonic() + LAST_WORDS_S
        while belonging(f"REELYARD_SPOOL={self.home.spool}") and time.monotonic() < until:
            said("recorders of the last run close their slices")
            time.sleep(0.25)
        with self._database() as database, database.unit() as session:
            if (old := nodes.get(session, self._node)) is not None:
                nodes.leave(session, self._node, old.boot)

    def _node_is_up(self) -> bool:
        with self._database() as database, database.unit() as session:
            return any(n.name == self._node and n.ingest_up for n in nodes.live(session))

    def pid(self, part: str) -> int:
        return self._tree.pid(part)

    def watch(self) -> None:
        """Until a part has left by itself; raises `PartFailed` naming it."""
        while (dead := self._tree.dead()) is None:
            time.sleep(0.2)
        raise PartFailed(f"the {dead} has left by itself; {self.home.logs / dead}.log says why")

    def stop(self, said: Callable[[str], None] = lambda _: None, hurried: Callable[[], bool] = lambda: False) -> None:
        """End recordings properly, then the parts in order. What a hurry leaves open is finished at the next start."""
        try:
            if self._tree.runs("worker"):
                self._end_recordings(said, hurried)
        finally:
            self._tree.stop(hurried)
            self.home.leave()

    def _end_recordings(self, said: Callable[[str], None], hurried: Callable[[], bool]) -> None:
        with self._database() as database:
            with database.unit() as session:
                running = recordings.live_sids(session)
                for sid in running:
                    recordings.want(session, sid, Wanted.STOP, "the farm was shut down")
            self._nudge(running)
            until = time.monotonic() + LAST_UPLOADS_S
            told = 0
            while running and time.monotonic() < until and not hurried():
                if len(running) != told:
                    told = len(running)
                    said(f"ending {told} recording{'s' if told > 1 else ''}")
                time.sleep(0.1)
                with database.unit() as session:
                    running = recordings.live_sids(session)
        if running:
            said("not waiting any longer; what is open is finished at the next start")

    def _nudge(self, sids: list[str]) -> None:
        import redis

        try:
            with redis.Redis.from_url(self.environment()["REELYARD_BROKER_URL"], socket_timeout=1) as client:
                for sid in sids:
                    client.publish(messages.NUDGE, sid)
        except redis.RedisError:
            return  # the next renewal carries the wish

    @contextmanager
    def _database(self) -> Iterator[Database]:
        database = open_database(self.home.database_url)
        try:
            yield database
        finally:
            database.close()


def base_environment() -> dict[str, str]:
    """Ours, with the way to this code. Settings that a farm does not set itself (times, log level) pass through."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    return dict(os.environ) | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def second_worker(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """The environment of one more worker beside a farm: a name and a spool of its own, and no ingest."""
    spool = Path(environment["REELYARD_SPOOL"])
    own = {
        "REELYARD_NODE_NAME": name,
        "REELYARD_SPOOL": str(spool.with_name(f"{spool.name}-{name}")),
        "REELYARD_INGEST_URL": "",
        "REELYARD_INGEST_UNITS": "",
    }
    return base_environment() | dict(environment) | own


def worker_argv(node: str) -> list[str]:
    return [
        sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "threads", "-c", "1000",
        "-n", f"{node}@reelyard", "-Q", messages.node_queue(node), "--without-gossip", "--without-mingle", "-l", "INFO",
    ]  # fmt: skip


def tasks_argv() -> list[str]:
    """The worker of supervised jobs' short tasks. A thread waits as long as the slowest call of its batch takes."""
    queues = f"{messages.JOBS_QUEUE},{messages.CHECKS_QUEUE}"
    return [
        sys.executable, "-m", "celery", "-A", "scheduler.app", "worker", "-P", "threads", "-c", "32",
        "-n", "tasks@reelyard", "-Q", queues, "--without-gossip", "--without-mingle", "-l", "INFO",
    ]  # fmt: skip


def healthy(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2).is_success
    except httpx.HTTPError:
        return False
