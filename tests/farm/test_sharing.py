"""The page about a shared broker: its ACL lines, on a real server, let a backend send jobs and do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from models.vocabulary import messages
from tests.farm.sharing import user


@pytest.fixture
def backend(redis_url: str) -> Iterator[str]:
    with user("backend", redis_url) as url:
        yield url


@pytest.fixture
def farm_user(redis_url: str) -> Iterator[str]:
    with user("farm", redis_url) as url:
        yield url


def test_a_backend_can_send_a_job(backend: str, redis_url: str) -> None:
    app = Celery("backend", broker=backend)
    app.send_task(messages.JOB_SUBMIT, args=("appid", {"key": "k"}), queue=messages.JOBS_QUEUE, retry=False)
    app.close()
    with redis.Redis.from_url(redis_url) as operator:
        assert operator.llen(messages.JOBS_QUEUE) == 1


@pytest.mark.parametrize(
    ("what", "act"),
    [
        ("take a job of others", lambda r: r.rpop(messages.JOBS_QUEUE)),
        ("read jobs of others", lambda r: r.lrange(messages.JOBS_QUEUE, 0, -1)),
        ("send to a node", lambda r: r.lpush(messages.node_queue("node-1"), "x")),
        ("nudge", lambda r: r.publish(messages.NUDGE, "x")),
        ("command workers", lambda r: r.publish("/0.celery.pidbox", "x")),
        ("see keys", lambda r: r.keys("*")),
        ("forget a queue", lambda r: r.delete(messages.JOBS_QUEUE)),
        ("forget everything", lambda r: r.flushdb()),
        ("change settings", lambda r: r.config_set("appendonly", "no")),
    ],
)
def test_a_backend_cannot(backend: str, what: str, act: Callable[[redis.Redis], object]) -> None:
    with redis.Redis.from_url(backend) as theirs, pytest.raises(redis.exceptions.NoPermissionError):
        act(theirs)


def test_a_backend_cannot_send_to_another_queue(backend: str) -> None:
    app = Celery("backend", broker=backend)
    with pytest.raises((OperationalError, redis.exceptions.NoPermissionError)):
        app.send_task(messages.CHECK_STEP, args=("x",), queue=messages.CHECKS_QUEUE, retry=False)
    app.close()


@pytest.mark.parametrize(
    ("what", "act"),
    [
        ("change settings", lambda r: r.config_set("appendonly", "no")),
        ("read settings", lambda r: r.config_get("requirepass")),
        ("make users", lambda r: r.execute_command("ACL", "SETUSER", "another", "on")),
        ("forget everything", lambda r: r.flushall()),
        ("watch everybody", lambda r: r.execute_command("MONITOR")),
        ("end the server", lambda r: r.shutdown(nosave=True)),
        ("copy it all elsewhere", lambda r: r.execute_command("REPLICAOF", "127.0.0.1", "1")),
    ],
)
def test_a_process_of_the_farm_cannot(farm_user: str, what: str, act: Callable[[redis.Redis], object]) -> None:
    """What it can: tests/scheduler/jobs/test_process.py runs as this user."""
    with redis.Redis.from_url(farm_user) as ours, pytest.raises(redis.exceptions.NoPermissionError):
        act(ours)
