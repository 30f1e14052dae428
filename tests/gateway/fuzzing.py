"""A gateway to be fuzzed: uvicorn in a process of its own, the limiter off, one node that takes everything and does nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx

from models import secrets
from models.database import open_database
from models.repositories import apps, nodes
from models.repositories.apps import Limits
from models.schema import upgrade
from models.vocabulary.spec import FolderStore
from tests.servers import free_ports

ROOT: Final = Path(__file__).parents[2]
#: Of all fuzzing together. `make fuzz-gateway` goes on for ten minutes.
SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "18"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
MAX_RSS_KB: Final = 200 * 1024
APPID: Final = "f" * 32
OPERATOR: Final = "planted-operator-key-0123456789abcdef"
NO_ROUTE: Final = {"message": "no Route matched with those values"}
#: What each part saw, for the last line of `python -m tests.gateway`.
REPORT: Final[list[dict[str, Any]]] = []
TELL_EVERY_S: Final = 30.0


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
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self._until_alive()
        self.document: dict[str, Any] = self.http.get("/openapi.json").json()
        self.seen: Counter[int] = Counter()
        self._told_s = time.monotonic()

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
        self.saw(answer.status_code)
        said = f"{method} {path[:200]} {body[:300] if body else b''!r} → {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, said + self.log.read_text()[-3000:]
        if operation is not None and not (answer.status_code == 404 and answer.json() == NO_ROUTE):
            assert str(answer.status_code) in operation["responses"], said
        return answer

    def saw(self, status: int) -> None:
        self.seen[status] += 1
        if time.monotonic() - self._told_s > TELL_EVERY_S:
            self._told_s = time.monotonic()
            print(f"… {self.seen.total()} requests, {self.rss_kb // 1024} MB", flush=True)

    def begin(self) -> dict[str, str]:
        """resource_id and sid of a recording that no worker takes up."""
        base = f"/v1/apps/{APPID}/cloud_recording"
        names: dict[str, Any] = {"cname": f"c{self.seen.total()}", "uid": "527841"}
        acquired = self.http.post(f"{base}/acquire", json=names | {"clientRequest": {}}, auth=self.auth).json()
        storage = {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "k", "secretKey": "s"}
        path = f"{base}/resourceid/{acquired['resourceId']}/mode/mix/start"
        begun = self.http.post(path, json=names | {"clientRequest": {"storageConfig": storage}}, auth=self.auth).json()
        return {"resource_id": acquired["resourceId"], "sid": begun["sid"]}

    def is_well(self, what: str) -> None:
        """It runs, and never took more memory than it may; one line about what was seen."""
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        assert self.rss_kb < MAX_RSS_KB, f"{self.rss_kb} kB"
        assert "Traceback" not in self.log.read_text()
        statuses = dict(sorted(self.seen.items()))
        REPORT.append({"part": what, "requests": self.seen.total(), "statuses": statuses, "rss_kb": self.rss_kb})
        print(f"{what}: {self.seen.total()} requests, {statuses}, {self.rss_kb // 1024} MB at most", flush=True)

    def close(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(20)
        self.database.close()
        secrets.use_keys([])
