"""The scheduler's Celery app: `celery -A scheduler.app worker -Q reelyard.jobs,reelyard.checks`, and the sender of wake-ups."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from models import logs
from models.settings import settings

app = Celery("scheduler", include=["scheduler.tasks"])
app.config_from_object("models.celery_config")
app.conf.update(broker_url=settings().broker_url)


@setup_logging.connect
def _log(**_: Any) -> None:
    logs.configure("jobs", settings().log_level)
