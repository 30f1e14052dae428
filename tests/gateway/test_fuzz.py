"""Whatever is sent, the gateway answers with a documented status, never a 5xx, and stays small.

Every operation of the OpenAPI document is called, with bodies that are valid, mutated, or nothing of the kind. A seeded
half minute here; `make fuzz` goes on for ten. FUZZ_SECONDS, FUZZ_SEED.
"""

from __future__ import annotations

import copy
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import secrets
from models.database import open_database, upgrade
from models.repositories import apps, nodes
from models.repositories.apps import Limits
from models.vocabulary.spec import FolderStore
from tests.servers import free_ports

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "25"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
MAX_RSS_KB: Final = 200 * 1024
APPID: Final = "f" * 32
OPERATOR: Final = "planted-operator-key-0123456789abcdef"
NO_ROUTE: Final = {"message": "no Route matched with those values"}
WRONG: Final[list[Any]] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 1.5, 1e308, "", " ", "0", "-1", "a" * 70_000,
    "\0", "\ud800", "💥" * 40, "../../etc/passwd", "%00", "'; DROP TABLE app; --", "#allstream#", "http://169.254.169.254/",
    [], {}, [[]], [None], [1, "1"], {"a": {}}, [{}] * 40, ["x"] * 100,
]  # fmt: skip


class Gateway:
    def __init__(self, folder: Path, redis_url: str) -> None:
        key = secrets.generate_key()
        url = f"sqlite:///{folder / 'reelyard.db'}"
        secrets.use_keys([key])
        upgrade(url)
        self.database = open_database(url)
        with self.database.unit() as session:
            limits = Limits(requests_per_s=100_000, max_recordings=0)
            apps.add(session, appid=APPID, name="f", channel="whip:", store=FolderStore(path="f"), limits=limits)
            self.auth = apps.new_key(session, [APPID])
            nodes.beat(session, "n", "b", 2**31 - 1, "0", "http://127.0.0.1:9", "127.0.0.1:9", True, 10**9)
        [port] = free_ports(1)
        environment = os.environ | {
            "REELYARD_DATABASE_URL": url,
            "REELYARD_BROKER_URL": redis_url,
            "REELYARD_SECRET_KEYS": key,
            "REELYARD_OPERATOR_KEY": OPERATOR,
            "REELYARD_STORES_ROOT": str(folder),
            "REELYARD_START_WAIT_MS": "0",
            "REELYARD_STOP_WAIT_MS": "0",
        }
        command = [sys.executable, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(port)]
        self.log = folder / "log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self._until_alive()
        self.document: dict[str, Any] = self.http.get("/openapi.json").json()
        self.seen: Counter[int] = Counter()

    def _until_alive(self) -> None:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-2000:])

    @property
    def rss_kb(self) -> int:
        [high] = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(high)

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [
            (method.upper(), path, operation)
            for path, operations in self.document["paths"].items()
            for method, operation in operations.items()
        ]

    def send(
        self, method: str, path: str, body: bytes | None, operation: dict[str, Any] | None
    ) -> httpx.Response | None:
        as_operator = path.startswith("/v1/operator")
        headers = {"Authorization": f"Bearer {OPERATOR}"} if as_operator else {}
        auth = None if as_operator else httpx.BasicAuth(*self.auth)
        try:
            answer = self.http.request(method, path, content=body, headers=headers, auth=auth)
        except httpx.TransportError:
            assert body is not None and len(body) > 64 * 1024, "only a body that is too long may be cut off"
            return None
        self.seen[answer.status_code] += 1
        said = f"{method} {path[:200]} {body[:300] if body else b''!r} → {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, said
        if operation is not None and not (answer.status_code == 404 and answer.json() == NO_ROUTE):
            assert str(answer.status_code) in operation["responses"], said
        return answer

    def close(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(20)
        self.database.close()
        secrets.use_keys([])


@pytest.fixture
def gateway(tmp_path: Path, redis_url: str) -> Iterator[Gateway]:
    made = Gateway(tmp_path, redis_url)
    yield made
    made.close()


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from spots(item, (*path, name))


def mutated(chance: random.Random, body: Any) -> Any:
    body = copy.deepcopy(body)
    for _ in range(chance.randint(0, 3)):
        path = chance.choice(list(spots(body)))
        if not path:
            return chance.choice(WRONG) if chance.random() < 0.2 else body
        where = body
        for name in path[:-1]:
            where = where[name]
        match chance.randint(0, 3):
            case 0:
                del where[path[-1]]
            case 1 if isinstance(where, dict):
                where[chance.choice(["uid", "extra", "ſtrange", "clientRequest", "storageConfig"])] = where[path[-1]]
            case _:
                where[path[-1]] = copy.deepcopy(chance.choice(WRONG))
    return body


def raw(chance: random.Random, body: Any) -> bytes:
    text = json.dumps(mutated(chance, body)).encode()
    match chance.randint(0, 30):
        case 0:
            return text[: chance.randint(0, len(text))]
        case 1:
            return bytes(chance.randrange(256) for _ in range(chance.randint(0, 200)))
        case 2:
            return b"[" * chance.randint(1, 60_000)
        case 3:
            return text.replace(b'"uid"', b'"uid": "2", "uid"')
        case 4 if chance.random() < 0.1:
            return b'{"a": "' + b"x" * 10_000_000 + b'"}'
    return text


def example(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example", {})


def test_mutated_requests_of_every_operation(gateway: Gateway) -> None:
    chance = random.Random(SEED)
    known: dict[str, list[str]] = {"resource_id": ["r"], "sid": ["0" * 32], "appid": [APPID], "mode": ["mix"]}
    modes = ["mix", "individual", "web", "MIX", "x"]
    # Not to saw off the branch: our own app keeps its limits.
    kept = ("DELETE", "PATCH")
    operations = [o for o in gateway.operations() if "/operator/apps" not in o[1] or o[0] not in kept]
    weights = [8 if "cloud_recording" in path else 1 for _, path, _ in operations]
    until = time.monotonic() + SECONDS
    sent = 0
    while time.monotonic() < until:
        method, template, operation = chance.choices(operations, weights)[0]
        path = template
        for name in re.findall(r"\{(\w+)\}", template):
            odd = chance.random()
            values = modes if name == "mode" and odd < 0.2 else known.get(name, ["x", "0" * 32])[-5:]
            value = (
                chance.choice(values)
                if odd > 0.03
                else str(chance.choice(["%00", "a" * 3000, "%ff", "..", "💥", "-1"]))
            )
            path = path.replace("{" + name + "}", value)
        if operation.get("parameters") and chance.random() < 0.3:
            names = [p["name"] for p in operation["parameters"] if p["in"] == "query"] or ["x"]
            path += (
                f"?{chance.choice(names)}={chance.choice(['', '-1', '0', '999999999999999999999', 'x', '%00', 'true'])}"
            )
        body = raw(chance, example(operation)) if method in ("POST", "PUT", "PATCH") else None
        if body is not None and "cloud_recording/acquire" in template and chance.random() < 0.5:
            fresh: dict[str, Any] = {"cname": f"c{chance.randrange(10**9)}", "uid": "527841", "clientRequest": {}}
            body = json.dumps(fresh).encode()
        answer = gateway.send(method, path, body, operation)
        sent += 1
        if answer is not None and answer.headers.get("content-type") == "application/json" and answer.status_code < 300:
            found = answer.json()
            for name, key in (
                ("resourceId", "resource_id"),
                ("sid", "sid"),
                ("notice_id", "notice_id"),
                ("job_id", "job_id"),
            ):
                if isinstance(found, dict) and isinstance(found.get(name), str):
                    known.setdefault(key, []).append(found[name])
    assert gateway.process.poll() is None
    assert gateway.rss_kb < MAX_RSS_KB
    assert {200, 400, 404} <= set(gateway.seen)
    print(f"{sent} requests, {dict(sorted(gateway.seen.items()))}, {gateway.rss_kb // 1024} MB at most")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=25,
)
FIELDS = st.sampled_from(["token", "storageConfig", "recordingConfig", "snapshotConfig", "extensionServiceConfig"])


def test_bodies_of_any_shape(gateway: Gateway) -> None:
    [start] = [o for m, p, o in gateway.operations() if m == "POST" and p.endswith("/mode/{mode}/start")]

    @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(FIELDS, JSON, max_size=4), JSON, st.sampled_from(["mix", "individual", "web"]))
    def any_shape(client_request: dict[str, Any], uid: Any, mode: str) -> None:
        body = {"cname": "c", "uid": uid, "clientRequest": client_request}
        path = f"/v1/apps/{APPID}/cloud_recording/resourceid/r/mode/{mode}/start"
        gateway.send("POST", path, json.dumps(body).encode(), start)

    any_shape()
    assert gateway.rss_kb < MAX_RSS_KB
