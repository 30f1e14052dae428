"""Fixtures that the suites of scheduler and gateway share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from models import secrets
from models.database import open_database
from models.schema import upgrade
from models.settings import Settings
from scheduler.broker import CeleryBroker
from scheduler.service import Service
from tests.scheduler.farm import Farm, Time


def open_farm(database_url: str, redis_url: str) -> Iterator[Farm]:
    key = secrets.generate_key()
    secrets.use_keys([key])
    upgrade(database_url)
    database = open_database(database_url)
    celery = Celery("test")
    celery.config_from_object("models.celery_config")
    celery.conf.update(broker_url=redis_url)
    broker = CeleryBroker(celery, redis_url)
    settings = Settings.model_validate({"database_url": database_url, "broker_url": redis_url, "secret_keys": key})
    time = Time()
    service = Service(database, broker, settings, now_s=time.now, sleep=time.sleep)
    queues = redis.Redis.from_url(redis_url)
    farm = Farm(database, broker, settings, time, service, queues)
    yield farm
    queues.close()
    broker.close()
    database.close()
    secrets.use_keys([])


@pytest.fixture
def farm(database_url: str, redis_url: str) -> Iterator[Farm]:
    """On SQLite and on PostgreSQL, with one app whose store is its own."""
    for opened in open_farm(database_url, redis_url):
        opened.add_app()
        yield opened


@pytest.fixture
def postgres_farm(postgres_url: str, redis_url: str) -> Iterator[Farm]:
    for opened in open_farm(postgres_url, redis_url):
        opened.add_app()
        yield opened


@pytest.fixture
def sqlite_farm(sqlite_url: str, redis_url: str) -> Iterator[Farm]:
    for opened in open_farm(sqlite_url, redis_url):
        opened.add_app()
        yield opened
