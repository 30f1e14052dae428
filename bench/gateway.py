"""What the gateway takes: acquire and query, at once on many connections, on SQLite and on PostgreSQL.

`python -m bench.gateway [--seconds 5] [--connections 16]`: uvicorn in a process of its own, the limiter off, the client in
this one; PostgreSQL as the tests start it, without fsync. The last line is one JSON object; its `databases`
has acquire_rps, query_rps, acquire_p99_ms, query_p99_ms (and p50) and db for each.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from models import secrets
from models.database import open_database
from models.repositories import apps, recordings, resources
from models.repositories.apps import Limits
from models.schema import upgrade
from models.vocabulary.spec import FolderStore, RecordingSpec, Secrets
from models.vocabulary.states import Status
from tests import servers

ROOT = Path(__file__).parents[1]
NAMES = {"cname": "lesson-7", "uid": "527841"}


@dataclass(frozen=True)
class Load:
    rps: float
    p50_ms: float
    p99_ms: float
    refused: int


@dataclass(frozen=True)
class Target:
    port: int
    acquire: bytes
    query: bytes


@contextmanager
def gateway(folder: Path, url: str, redis_url: str) -> Iterator[Target]:
    """A running one, with one recording to ask for."""
    key = secrets.generate_key()
    secrets.use_keys([key])
    upgrade(url)
    database = open_database(url)
    with database.unit() as session:
        limits = Limits(requests_per_s=100_000, max_recordings=0)
        app = apps.add(session, appid=None, name="bench", channel="whip:", store=FolderStore(path="b"), limits=limits)
        customer, secret = apps.new_key(session, [app.appid])
        resource = resources.acquire(session, appid=app.appid, **NAMES, options={}, ttl_ms=10**7)
        spec = RecordingSpec(appid=app.appid, channel="whip:", store=FolderStore(path="b"), **NAMES)
        sid = "5" * 32
        recordings.create(session, sid=sid, resource=resource, spec=spec, secrets=Secrets(), weight=1)
        recordings.advance(session, sid, expect=None, to=Status.READY, cause="bench")
        appid, resource_id = app.appid, resource.resource_id
    database.close()
    [port] = servers.free_ports(1)
    environment = os.environ | {
        "REELYARD_DATABASE_URL": url,
        "REELYARD_BROKER_URL": redis_url,
        "REELYARD_SECRET_KEYS": key,
        "REELYARD_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _until_alive(port)
        auth = base64.b64encode(f"{customer}:{secret}".encode()).decode()
        base = f"/v1/apps/{appid}/cloud_recording"
        yield Target(
            port,
            _request("POST", f"{base}/acquire", auth, json.dumps(NAMES | {"clientRequest": {}}).encode()),
            _request("GET", f"{base}/resourceid/{resource_id}/sid/{sid}/mode/mix/query", auth, b""),
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _until_alive(port: int) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the gateway does not come up")


def _request(method: str, path: str, auth: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {auth}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def load(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Each connection asks again as soon as it is answered."""
    took_ms: list[float] = []
    refused = 0
    until = time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            refused += not head.startswith(b"HTTP/1.1 200")
            took_ms.append((time.perf_counter() - began) * 1000)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(connections)))
    spent_s = time.perf_counter() - began
    took_ms.sort()
    return Load(
        rps=round(len(took_ms) / spent_s, 1),
        p50_ms=round(took_ms[len(took_ms) // 2], 1),
        p99_ms=round(took_ms[len(took_ms) * 99 // 100], 1),
        refused=refused,
    )


def measure(db: str, url: str, redis_url: str, *, connections: int, seconds: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, gateway(Path(folder), url, redis_url) as target:
        asyncio.run(load(target.port, target.query, connections=connections, seconds=1))  # warm
        found: dict[str, object] = {}
        for name, request in (("acquire", target.acquire), ("query", target.query)):
            made = asyncio.run(load(target.port, request, connections=connections, seconds=seconds))
            print(f"{db:10} {name:8} {made.rps:8.0f}/s  p50 {made.p50_ms:6.1f} ms  p99 {made.p99_ms:6.1f} ms")
            if made.refused:
                raise SystemExit(f"{made.refused} answers were no 200")
            found |= {f"{name}_rps": made.rps, f"{name}_p50_ms": made.p50_ms, f"{name}_p99_ms": made.p99_ms}
    return found | {"db": db}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--connections", type=int, default=16)
    args = asked.parse_args()
    shape = {"connections": args.connections, "seconds": args.seconds}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis_process, redis_url = servers.start_redis(servers.find_redis(), folder)
        stack.callback(redis_process.stop)
        postgres = servers.PostgresServer(servers.find_postgres())
        stack.callback(postgres.stop)
        found = [measure("sqlite", f"sqlite:///{folder / 'bench.db'}", redis_url, **shape)]
        found.append(measure("postgresql", postgres.url("postgres"), redis_url, **shape))
    print(json.dumps({"databases": found, "connections": args.connections, "seconds": args.seconds}))


if __name__ == "__main__":
    main()
