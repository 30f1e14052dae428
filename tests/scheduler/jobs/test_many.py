"""A hundred jobs as Celery tasks on a real broker, against a service of which every third answer fails."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from celery.contrib.testing.worker import start_worker
from sqlalchemy import func, select

from models.database import now_ms, shift_time
from models.tables import Job
from models.vocabulary import messages
from scheduler import tasks
from scheduler.app import app
from scheduler.jobs import orders
from scheduler.jobs.due import Due
from scheduler.jobs.limiter import Limiter
from scheduler.jobs.orders import Credentials
from scheduler.jobs.runner import Runner
from scheduler.jobs.service import Jobs
from scheduler.jobs.view import Cause
from tests.scheduler.farm import APPID, Farm
from tests.scheduler.jobs.standin import Standin

JOBS = 100
#: Time moves in steps, so that a message has some jobs in it.
LATE_MS = 3_000


@pytest.fixture
def worker(postgres_farm: Farm, standin: Standin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """A Celery worker of this process, whose tasks work on the test's database and its moved time."""
    settings = postgres_farm.settings.model_copy(update={"gateway_url": standin.url})
    chance = random.Random(7)
    runner = Runner(postgres_farm.database, settings, Limiter(settings.broker_url, 100_000), chance=chance.random)
    monkeypatch.setattr(tasks, "_runner", lambda: runner)
    monkeypatch.setattr(app.conf, "broker_url", settings.broker_url)
    queues = [messages.JOBS_QUEUE, messages.CHECKS_QUEUE]
    with start_worker(app, pool="threads", concurrency=2, queues=queues, perform_ping_check=False, shutdown_timeout=20):
        yield runner
    runner.close()


@pytest.mark.usefixtures("worker")
def test_a_hundred_jobs_end_verified_or_with_a_named_cause_and_no_uid_is_in_the_channel_twice(
    postgres_farm: Farm, standin: Standin
) -> None:
    farm = postgres_farm
    standin.faults, standin.deaths = 0.3, 0.05
    door = Jobs(farm.database, farm.broker)
    caller = Credentials(key="k", secret="s")
    made = [
        door.submit(APPID, orders.parse({"key": f"k{n}", "cname": f"c{n}", "uids": ["1", "2"], "for_s": 180}), caller)[
            0
        ]
        for n in range(JOBS)
    ]
    _live_through(farm)

    found = [door.get(APPID, job["job_id"]) for job in made]
    ends = Counter((job["state"], job["cause"]) for job in found)
    assert set(ends) <= {(state, cause.value) for state in ("done", "failed") for cause in Cause}, ends
    assert ends["done", "length_reached"] > JOBS * 0.8, ends
    assert not standin.twice, standin.twice
    done = {job["cname"] for job in found if job["state"] == "done"}
    left = [recorded for recorded in standin.live() if recorded.cname in done]
    assert not left, "of a job that is done nothing records, be it a start whose answer was lost"
    assert all(job["files"] for job in found if job["state"] == "done")
    assert len(standin.recordings) > JOBS, "some died, and were started again"


def _live_through(farm: Farm, within_s: float = 60.0) -> None:
    """Send what is due; when nothing is under way, move time to what is due next. Until all jobs are over."""
    due, shift_ms = Due(farm.database, farm.broker, now_s=time.monotonic), 0
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        sent = due.tick()
        with farm.database.unit() as session:
            now = now_ms(session)
            under_way = session.scalar(
                select(func.count()).where((Job.busy_until_ms > now) | (Job.queued_until_ms > now))
            )
            next_ms = session.scalar(select(func.min(Job.next_due_ms)))
        if next_ms is None:
            return
        if not sent and not under_way and next_ms > now:
            shift_ms += next_ms - now + LATE_MS
            shift_time(farm.database, shift_ms)
        else:
            time.sleep(0.01)
    raise AssertionError("some jobs did not end")
