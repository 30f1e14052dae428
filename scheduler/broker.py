"""The broker, as the scheduler uses it: wake a node up, nudge a generation. What is lost here, SQL's deadlines find."""

from __future__ import annotations

import logging
from typing import Protocol

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from models.vocabulary import messages
from models.vocabulary.errors import StateUnavailable

log = logging.getLogger(__name__)


class Broker(Protocol):
    def record(self, node: str, sid: str, epoch: int, shown: str = "") -> bool:
        """Tell a node to look at (sid, epoch). Whether it was sent; the dispatch deadline covers what was not.

        `shown` is what an operator sees in the arguments' place: `appid/cname`.
        """
        ...

    def nudge(self, sid: str) -> bool:
        """Tell every node that what is wanted of a recording has changed. Whether it was sent; the renewal carries it anyway."""
        ...

    def task(self, name: str, *args: object) -> bool:
        """Send one of the scheduler's own tasks. Whether it was sent; what is due in SQL is sent again."""
        ...

    def check(self) -> None:
        """Raises `StateUnavailable` when the broker does not answer."""
        ...

    def close(self) -> None: ...


class CeleryBroker:
    """Redis or Valkey behind a Celery app."""

    def __init__(self, app: Celery, url: str) -> None:
        self._app = app
        self._redis = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1)

    def record(self, node: str, sid: str, epoch: int, shown: str = "") -> bool:
        try:
            self._app.send_task(
                messages.RECORD,
                args=(sid, epoch),
                queue=messages.node_queue(node),
                task_id=messages.task_id(sid, epoch),
                argsrepr=shown or repr((sid, epoch)),
            )
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("not sent to node %s: %s", node, error, extra={"sid": sid, "epoch": epoch})
            return False
        return True

    def nudge(self, sid: str) -> bool:
        try:
            self._redis.publish(messages.NUDGE, sid)
        except (redis.RedisError, OSError) as error:
            log.warning("nudge not sent: %s", error, extra={"sid": sid})
            return False
        return True

    def task(self, name: str, *args: object) -> bool:
        try:
            self._app.send_task(name, args=args)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("%s not sent: %s", name, error)
            return False
        return True

    def check(self) -> None:
        try:
            self._redis.ping()
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(f"the broker does not answer: {error}") from error

    def close(self) -> None:
        self._redis.close()
        self._app.close()
