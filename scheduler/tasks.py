"""The Celery tasks of supervised jobs: short, idempotent, JSON. A message names rows; the rows are the truth.

`reelyard.jobs.*` is a door: any Celery app that shares the broker may `send_task` to the queue of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from celery import Task
from celery.worker.request import Request

from models.database import open_database
from models.logs import HIDDEN
from models.settings import settings
from models.vocabulary import messages
from models.vocabulary.errors import BadParameter, StateUnavailable
from scheduler.app import app
from scheduler.broker import CeleryBroker
from scheduler.jobs import orders
from scheduler.jobs.limiter import Limiter
from scheduler.jobs.runner import Runner
from scheduler.jobs.service import Jobs

#: Only what outlasts an outage of the database is repeated; what an endpoint answers is the ladder's business.
AGAIN: Final[dict[str, Any]] = {
    "autoretry_for": (StateUnavailable,),
    "retry_backoff": 1,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": 20,
}
MAX_BATCH: Final = 500


class _Discreet(Request):
    """What events and `inspect` tell of a message; else Flower would show an order's keys."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._argsrepr = self._kwargsrepr = HIDDEN

    def info(self, safe: bool = False) -> Any:
        return super().info(safe=True)


class DiscreetTask(Task[Any, Any]):
    Request = "scheduler.tasks:_Discreet"

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Also when it is sent again."""
        return super().apply_async(*args, **options | {"argsrepr": HIDDEN, "kwargsrepr": HIDDEN})


@cache
def _jobs() -> Jobs:
    """One a process, made in the process that works: a pool's child must not inherit connections."""
    chosen = settings()
    return Jobs(open_database(chosen.database_url), CeleryBroker(app, chosen.broker_url))


@cache
def _runner() -> Runner:
    chosen = settings()
    limiter = Limiter(chosen.broker_url, chosen.job_requests_per_s)
    return Runner(open_database(chosen.database_url), chosen, limiter)


@app.task(name=messages.JOB_SUBMIT, base=DiscreetTask, **AGAIN)
def submit(appid: str, order: Mapping[str, Any]) -> None:
    """`order` as in `POST /v1/apps/{appid}/jobs`, its `credentials` included. Idempotent by its key."""
    if not isinstance(order, Mapping):
        raise BadParameter("the order must be an object")
    _jobs().submit(str(appid), orders.parse(order))


@app.task(name=messages.JOB_STOP, **AGAIN)
def stop(appid: str, key: str) -> None:
    """The job of that key is to end."""
    _jobs().stop_by_key(str(appid), str(key))


@app.task(name=messages.CHECK_STEP, **AGAIN)
def step(job_id: str) -> None:
    """Bring one job on now: it is new, or to be stopped."""
    _runner().run([str(job_id)])


@app.task(name=messages.CHECK_BATCH, **AGAIN)
def query_batch(job_ids: Sequence[str]) -> None:
    """Bring on those of the jobs that are due."""
    _runner().run([str(job_id) for job_id in job_ids[:MAX_BATCH]])
