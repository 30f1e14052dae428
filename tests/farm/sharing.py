"""The users of docs/guide/sharing-the-broker.md, made on a real server by the page's own lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

PAGE = Path(__file__).parents[2] / "docs/guide/sharing-the-broker.md"


def rules(user: str) -> list[str]:
    [line] = re.findall(rf"^ACL SETUSER {user} (.+)$", PAGE.read_text(), re.MULTILINE)
    return str(line).split()


@contextmanager
def user(name: str, redis_url: str) -> Iterator[str]:
    """The broker's URL as that user has it."""
    with redis.Redis.from_url(redis_url) as operator:
        operator.execute_command("ACL", "SETUSER", name, *rules(name))
        yield redis_url.replace("redis://", f"redis://{name}:PASSWORD@")
        operator.execute_command("ACL", "DELUSER", name)
