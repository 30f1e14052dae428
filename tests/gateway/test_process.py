"""The process as it is run: `uvicorn gateway.app:app`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from models import secrets
from models.schema import upgrade
from tests.servers import free_ports

ROOT = Path(__file__).parents[2]


def test_uvicorn_serves_logs_in_our_format_and_leaves_when_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'reelyard.db'}"
    upgrade(url)
    [port] = free_ports(1)
    environment = os.environ | {
        "REELYARD_DATABASE_URL": url,
        "REELYARD_BROKER_URL": "redis://:planted-password@127.0.0.1:9/0",
        "REELYARD_SECRET_KEYS": secrets.generate_key(),
    }
    command = [sys.executable, "-m", "uvicorn", "gateway.app:app", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("w") as out:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            _until_alive(http, child)
            ready = http.get("/readyz")
            assert (ready.status_code, set(ready.json()["missing"])) == (503, {"workers", "broker"})
            asked = "/v1/apps/a/cloud_recording/resourceid/secretresource/mode/mix/start?token=planted-token"
            assert http.post(asked, headers={"Authorization": "Basic cGxhbnRlZDpzZWNyZXQ="}).status_code == 400
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(15)
    said = log.read_text()
    assert " INFO gateway gateway.middleware request=" in said
    assert "/resourceid/secret…/mode/mix/start → 400" in said
    for secret in ("planted-password", "planted-token", "cGxhbnRlZ", "secretresource"):
        assert secret not in said


def _until_alive(http: httpx.Client, child: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        assert child.poll() is None, "it ended"
        try:
            if http.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("it does not answer")
