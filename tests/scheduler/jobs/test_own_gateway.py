"""A job at this farm's own gateway, over real HTTP; the worker is played by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from gateway.app import create_app
from models.vocabulary.states import Status
from scheduler.jobs.limiter import Limiter
from scheduler.jobs.orders import Credentials, parse
from scheduler.jobs.runner import Runner
from scheduler.jobs.service import Jobs
from tests.scheduler.farm import APPID, Farm
from tests.scheduler.jobs.standin import Standin
from tests.scheduler.jobs.test_runner import Rig
from tests.servers import free_ports

START = {"storageConfig": {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "AK", "secretKey": "SK"}}


@pytest.fixture
def rig(sqlite_farm: Farm) -> Iterator[Rig]:
    farm = sqlite_farm
    farm.service.settings = farm.settings.model_copy(update={"start_wait_ms": 3_000})
    [port] = free_ports(1)
    server = uvicorn.Server(
        uvicorn.Config(create_app(farm.service), host="127.0.0.1", port=port, log_config=None, lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end_s = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end_s, "the gateway does not start"
        time.sleep(0.01)
    settings = farm.settings.model_copy(update={"gateway_url": f"http://127.0.0.1:{port}"})
    runner = Runner(farm.database, settings, Limiter(settings.broker_url, 1_000), chance=lambda: 0.5)
    yield Rig(farm, Standin(), Jobs(farm.database, farm.broker), runner)
    runner.close()
    server.should_exit = True
    thread.join(20)


def submitted(rig: Rig) -> str:
    order = parse({"key": "lesson", "cname": "lesson", "uids": ["1", "2"], "start": START})
    return str(rig.jobs.submit(APPID, order, Credentials(key=rig.farm.key, secret=rig.farm.secret))[0]["job_id"])


def recorded(rig: Rig, job_id: str, seconds: float) -> str:
    """Bring the job on while a worker takes what is dispatched; the sid."""
    rig.farm.queues.flushdb()
    worker = rig.farm.worker()
    taken: list[str] = []

    def work() -> None:
        end_s = time.monotonic() + 20
        while not (waiting := rig.farm.messages(worker.name)) and time.monotonic() < end_s:
            time.sleep(0.01)
        sid = str(waiting[0][1][0])
        worker.claim(sid)
        worker.ready(sid)
        worker.slice(sid)
        taken.append(sid)

    thread = threading.Thread(target=work)
    thread.start()
    rig.later(seconds, job_id)
    thread.join()
    rig.worker = worker
    return taken[0]


def test_it_is_recorded_stopped_and_done_with_what_the_record_names(rig: Rig) -> None:
    job_id = submitted(rig)
    sid = recorded(rig, job_id, 6)
    job = rig.job(job_id)
    assert (job["state"], job["sid"], job["attempts"][0]["status"]) == ("running", sid, Status.IN_PROGRESS)
    assert job["files"] == [f"{sid}_lesson.m3u8"]
    rig.jobs.stop(APPID, job_id)
    rig.later(1, job_id)
    rig.worker.finish(sid)
    job = rig.later(10, job_id)
    assert (job["state"], job["cause"]) == ("done", "stop_called")
    assert "stop called" in job["attempts"][0]["ending"]


def test_what_failed_is_started_again_with_the_other_uid_and_what_was_idle_is_not(rig: Rig) -> None:
    job_id = submitted(rig)
    first = recorded(rig, job_id, 6)
    rig.worker.fail(first, {"code": 47, "scope": "node", "retryable": True, "text": "the disk broke"})
    second = recorded(rig, job_id, 60)
    job = rig.later(10, job_id)
    assert (job["state"], [attempt["uid"] for attempt in job["attempts"]]) == ("running", ["1", "2"])
    assert "the disk broke" in job["attempts"][0]["ending"]
    rig.worker.finish(second, "nobody was in the channel for maxIdleTime")
    job = rig.later(120, job_id)
    assert (job["state"], job["cause"]) == ("done", "idle")


def test_a_wrong_storage_config_ends_the_job_with_the_gateways_reason(rig: Rig) -> None:
    order = parse({"key": "k", "cname": "lesson", "start": {}})
    rig.farm.worker()
    made, _ = rig.jobs.submit(APPID, order, Credentials(key=rig.farm.key, secret=rig.farm.secret))
    job = rig.later(0, made["job_id"])
    assert (job["state"], job["cause"]) == ("failed", "refused")
    assert "storageConfig" in job["reason"]
