"""The workers' Celery app: `celery -A workers.app worker -P threads -c 1000 -n NAME -Q reelyard.node.NAME`.

One process is one node. It comes up with its node row, its renewals and its nudges, and it has one task.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_ready, worker_shutdown, worker_shutting_down

from models import logs
from models.settings import settings
from workers import running

app = Celery("workers", include=["workers.task"])
app.config_from_object("models.celery_config")
app.conf.update(broker_url=settings().broker_url)


@worker_ready.connect
def _up(**_: Any) -> None:
    logs.configure("worker", settings().log_level)
    running.start()


@worker_shutting_down.connect
def _leaving(**_: Any) -> None:
    running.drain()


@worker_shutdown.connect
def _down(**_: Any) -> None:
    running.stop()


@worker_process_init.connect
def _forked(**_: Any) -> None:
    raise SystemExit("a node runs with `-P threads`: its recorders are its only child processes")
