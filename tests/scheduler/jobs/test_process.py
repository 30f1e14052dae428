"""The processes as they are run: a scheduler, its Celery worker, and a foreign Celery app as the caller."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery
from redis.client import PubSub

from scheduler.jobs.service import Jobs
from tests.farm.sharing import user
from tests.scheduler.farm import APPID, Farm
from tests.scheduler.jobs.standin import Standin

ROOT = Path(__file__).parents[3]
WORKER = ["celery", "-A", "scheduler.app", "worker", "-Q", "reelyard.jobs,reelyard.checks", "-c", "2"]


def _told(events: PubSub) -> str:
    """Every event that was sent, as text."""
    found = []
    while (event := events.get_message(timeout=0.1)) is not None:
        if event["type"] == "pmessage" and event["data"].startswith(b"{"):
            found.append(base64.b64decode(json.loads(event["data"])["body"]).decode())
    events.close()
    return "\n".join(found)


def until(found: Callable[[], bool], within_s: float = 90.0) -> None:
    end_s = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.05)


def test_any_celery_app_on_the_broker_may_order_a_job_and_end_it(
    sqlite_farm: Farm, standin: Standin, tmp_path: Path
) -> None:
    farm = sqlite_farm
    with user("farm", farm.settings.broker_url) as ours, user("backend", farm.settings.broker_url) as theirs:
        _ordered_and_ended(farm, standin, tmp_path, ours, theirs)


def _ordered_and_ended(farm: Farm, standin: Standin, tmp_path: Path, ours: str, theirs: str) -> None:
    """Each side as its user of the broker."""
    environment = os.environ | {
        "REELYARD_DATABASE_URL": farm.settings.database_url,
        "REELYARD_BROKER_URL": ours,
        "REELYARD_SECRET_KEYS": farm.settings.secret_keys.get_secret_value(),
        "REELYARD_GATEWAY_URL": standin.url,
    }
    log = tmp_path / "log"
    with log.open("w") as out:
        children = [
            subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=out, stderr=out)
            for command in (["scheduler"], WORKER)
        ]
    events = farm.queues.pubsub()  # type: ignore[no-untyped-call] # the library has no types here
    events.psubscribe("*")
    backend = Celery("somebody's backend", broker=theirs, set_as_current=False)
    door = Jobs(farm.database, farm.broker)
    order = {"key": "lesson", "cname": "lesson", "uids": ["1", "2"], "credentials": {"key": "k", "secret": "planted-s"}}

    def state() -> str:
        return str(door.list(APPID, key="lesson")["jobs"][0]["state"])

    try:
        for _ in range(2):  # a message may come twice
            backend.send_task("reelyard.jobs.submit", args=[APPID, order], queue="reelyard.jobs")
        until(lambda: bool(standin.live()))
        until(lambda: state() == "running")
        backend.send_task("reelyard.jobs.stop", args=[APPID, "lesson"], queue="reelyard.jobs")
        until(lambda: state() == "done")
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(20)
        backend.close()
    told = _told(events)
    assert "reelyard.jobs.submit" in told, "what Flower reads"
    assert "planted-s" not in told
    assert not standin.live()
    assert [verb for verb, *_ in standin.calls] == ["acquire", "start", "query", "stop", "query", "record"]
    said = log.read_text()
    assert "is running" in said
    assert "Traceback" not in said
    assert "planted-s" not in said
