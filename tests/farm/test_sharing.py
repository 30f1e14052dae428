"""The page about a shared broker: its ACL lines, on a real server, let a backend send jobs and do nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from models.vocabulary import messages

PAGE = Path(__file__).parents[2] / "docs/guide/sharing-the-broker.md"


def rules(user: str) -> list[str]:
    [line] = re.findall(rf"^ACL SETUSER {user} (.+)$", PAGE.read_text(), re.MULTILINE)
    return str(line).split()


@pytest.fixture
def backend(redis_url: str) -> Iterator[str]:
    """The broker's URL as the backend has it."""
    with redis.Redis.from_url(redis_url) as operator:
        operator.execute_command("ACL", "SETUSER", "backend", *rules("backend"))
        yield redis_url.replace("redis://", "redis://backend:PASSWORD@")
        operator.execute_command("ACL", "DELUSER", "backend")


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
