"""The node of this process: one, started with the Celery worker and reached by its task."""

from __future__ import annotations

import threading

from models.database import open_database
from models.settings import settings
from workers.node import Node

_node: Node | None = None
_up = threading.Event()


def start() -> None:
    global _node
    config = settings()
    _node = Node(config, open_database(config.database_url))
    _node.start()
    _up.set()


def node() -> Node:
    """A message may be there before `worker_ready` is through: it waits."""
    if not _up.wait(timeout=30) or _node is None:
        raise RuntimeError("the node did not come up; its log says why")
    return _node


def drain() -> None:
    if _node is not None:
        _node.drain()


def stop() -> None:
    if _node is not None:
        _node.stop()
