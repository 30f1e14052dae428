"""The stage: servers, wires, two workers and a scheduler, each of which can be hit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from farm.embedded import worker_argv
from models.database import open_database
from models.repositories import nodes
from models.secrets import generate_key
from models.vocabulary.errors import ResourceExpired
from tests import servers
from tests.chaos.matrix import LEADER_TTL_S, SLICE_S, TTL_S
from tests.chaos.wires import Wire, tcp, unix
from tests.farm.backend import FPS, HEIGHT, WIDTH, Backend, Take
from tests.farm.processes import ROOT, alive, descendants, environment, eventually, run
from tests.servers import S3Server, ServerProcess, free_ports
from tests.stores.fault_proxy import Fault, FaultProxy

NODES = ("one", "two")
STEPPED = Path(__file__).parent / "stepped"


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = servers.PostgresServer(servers.find_postgres())
        self.redis, redis_url = servers.start_redis(servers.find_redis(), self._room("redis"))
        self._redis_port = int(redis_url.rsplit(":", 1)[1].split("/")[0])
        _, self.s3 = servers.start_s3(servers.find_s3(), self._room("s3"))
        self.proxy = FaultProxy(self.s3.endpoint)
        self.proxy.__enter__()
        socket_path = self.postgres.admin.split("host=", 1)[1].split(" ", 1)[0] + "/.s.PGSQL.5432"
        self.wires = {
            name: (Wire(unix(socket_path)), Wire(tcp("127.0.0.1", self._redis_port)))
            for name in (*NODES, "scheduler-a", "scheduler-b", "gateway")
        }
        self._keys = generate_key()
        self._parts: dict[str, ServerProcess] = {}
        self.backend = self._app()
        for name in ("scheduler-a", "scheduler-b"):
            self.start_scheduler(name)
        self.start_worker("one")
        self.start_worker("two")
        self._start_gateway()

    def _room(self, name: str) -> Path:
        room = self.folder / name
        room.mkdir(exist_ok=True)
        return room

    def _environment(self, name: str) -> dict[str, str]:
        database, broker = self.wires[name]
        return {
            "REELYARD_DATABASE_URL": f"postgresql+psycopg://postgres@127.0.0.1:{database.port}/postgres",
            "REELYARD_BROKER_URL": f"redis://127.0.0.1:{broker.port}/0",
            "REELYARD_SECRET_KEYS": self._keys,
            "REELYARD_ALLOW_NETWORKS": "127.0.0.0/8",
            "REELYARD_TENURE_TTL_MS": str(round(TTL_S * 1000)),
            "REELYARD_TENURE_RENEW_MS": "500",
            "REELYARD_LEADER_TTL_MS": str(round(LEADER_TTL_S * 1000)),
            "REELYARD_HOLE_GRACE_MS": "4000",
            "REELYARD_NODE_CAPACITY": "4000",
        }

    def _app(self) -> Backend:
        scene = self.folder / "scene.json"
        actions = [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}]
        user = {"id": "alice", "width": WIDTH, "height": HEIGHT, "fps": FPS, "actions": actions}
        scene.write_text(json.dumps({"users": [user]}))
        env = self._environment("gateway")
        assert run("migrate", cwd=self.folder, env=env).returncode == 0
        channel = ("--channel", f"scripted:{scene}", "--slice", str(SLICE_S))
        made = json.loads(run("app", "add", "chaos", *channel, cwd=self.folder, env=env).stdout)
        [self._port] = free_ports(1)
        url = f"http://127.0.0.1:{self._port}"
        return Backend(url, made["appid"], made["customer_key"], made["customer_secret"])

    def _start(self, name: str, argv: list[str], more: dict[str, str] | None = None) -> None:
        env = environment(self._environment(name) | (more or {}))
        self._parts[name] = ServerProcess(argv, directory=self._room(name), environment=env)

    def start_scheduler(self, name: str) -> None:
        self._start(name, [sys.executable, "-m", "scheduler"])

    def start_worker(self, name: str) -> None:
        log = self._room(name) / "server.log"
        before = log.read_text().count(" ready.") if log.exists() else 0
        clock = {"PYTHONPATH": f"{ROOT}:{STEPPED}", "REELYARD_STEP_FILE": str(self._step_file(name))}
        node = {"REELYARD_NODE_NAME": name, "REELYARD_SPOOL": str(self.spool(name))}
        self._start(name, worker_argv(name), node | clock)
        eventually(lambda: log.read_text().count(" ready.") > before, f"{name} ready", 60)

    def _start_gateway(self) -> None:
        argv = [sys.executable, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(self._port)]
        self._start("gateway", argv)
        eventually(self._ready, "the gateway ready", 60)

    def _ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.backend.url}/readyz", timeout=2).is_success
        return False

    def backend_record(self, cname: str) -> Take:
        """acquire and start into the store behind the proxy, repeated as the contract asks."""
        resource_id = self.backend.acquire(cname)
        for _ in range(12):
            answer = self.backend.try_start(cname, resource_id, self.storage())
            if "sid" in answer.json() and answer.status_code in (200, 201):
                return Take(self.backend, cname, resource_id, answer.json()["sid"])
            if answer.json().get("code") == ResourceExpired.code:
                resource_id = self.backend.acquire(cname)
            time.sleep(1)
        raise AssertionError(f"not started: {answer.text}")

    def only(self, name: str | None) -> None:
        """New recordings are placed on this node alone; None: on any."""
        database = open_database(self._environment("gateway")["REELYARD_DATABASE_URL"])
        with database.unit() as session:
            for each in NODES:
                nodes.cordon(session, each, name not in (None, each), "chaos")
        database.close()

    @staticmethod
    def freeze(pid: int) -> None:
        for each in (pid, *descendants(pid)):
            os.kill(each, signal.SIGSTOP)

    @staticmethod
    def thaw(pid: int) -> None:
        for each in (pid, *descendants(pid)):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)

    # -- what can be hit ----------------------------------------------------------------------------------------

    def spool(self, node: str) -> Path:
        return self.folder / f"spool-{node}"

    def storage(self) -> dict[str, object]:
        s3: S3Server = self.s3
        where = {"vendor": 11, "region": 0, "bucket": s3.bucket, "extensionParams": {"endpoint": self.proxy.url}}
        return where | {"accessKey": s3.access_key, "secretKey": s3.secret_key}

    def pid(self, name: str) -> int:
        return self._parts[name].pid

    def leader(self) -> str:
        """The scheduler that leads, by its log."""
        led = {n: (self._room(n) / "server.log").read_text().count("| leading") for n in ("scheduler-a", "scheduler-b")}
        followed = {n: (self._room(n) / "server.log").read_text().count("another scheduler leads") for n in led}
        return max(led, key=lambda n: (led[n] > followed[n], led[n]))

    def signal_tree(self, name: str, number: signal.Signals) -> None:
        """A host: the worker and all that it started."""
        for pid in [self.pid(name), *descendants(self.pid(name))]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def revive(self, name: str) -> None:
        part = self._parts[name]
        part.stop()
        if name in NODES:
            self.start_worker(name)
        else:
            self.start_scheduler(name)

    def _step_file(self, node: str) -> Path:
        return self.folder / f"clock-{node}"

    def step_clock(self, node: str, by_s: int) -> None:
        """Of a worker's host, and so of its recorders; 0: right again."""
        self._step_file(node).write_text(str(by_s))

    def step_database_clock(self, by_s: int) -> None:
        """The only clock in SQL is ours, and reads this option."""
        self.postgres.set_option("reelyard.shift_ms", str(by_s * 1000))

    def lose_spool(self, node: str) -> None:
        shutil.rmtree(self.spool(node), ignore_errors=True)

    def kill_redis(self) -> None:
        """… and bring an empty one back on the same port."""
        self.redis.stop()

    def revive_redis(self) -> None:
        program = servers.find_redis()
        options = ["--port", str(self._redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.redis = ServerProcess([str(program.path), *options], directory=self._room("redis"))

    @contextmanager
    def store_away(self, fault: Fault) -> Iterator[None]:
        self.proxy.add(fault)
        try:
            yield
        finally:
            self.proxy.heal()

    def close(self) -> None:
        for name, part in reversed(self._parts.items()):
            if alive(part.pid):
                self.signal_tree(name, signal.SIGCONT)
                self.signal_tree(name, signal.SIGKILL)
            part.stop()
        self.proxy.__exit__(None, None, None)
        for wires in self.wires.values():
            for wire in wires:
                wire.close()
        self.postgres.stop()
        time.sleep(0.1)
