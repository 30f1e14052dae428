"""Which node this worker is, where several of the same service stand on one host and share one volume of spools.

A name is the identity of a spool: a worker that comes back must find what it left, and no two may have the same. So a
worker takes the first name whose spool nobody holds, by a lock that lasts as long as its process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from models.vocabulary.errors import ReelyardError

MOST: Final = 1_000
LOCK: Final = ".held"


class NoSlot(ReelyardError):
    """Every node's spool in this folder is held."""

    code, reason = 9540, "node"


def take(root: Path, prefix: str) -> tuple[str, Path]:
    """The node's name and its spool, held until this process ends, also across exec. Raises `NoSlot`.

    One that was held before comes first, so that what lies in its spool is uploaded.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for n in range(1, MOST + 1):
        name = f"{prefix}-{n}"
        if hold(root / name):
            return name, root / name
    raise NoSlot(f"{MOST} workers hold the spools in {root}")


def hold(spool: Path) -> bool:
    """Whether it is ours now."""
    spool.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(spool / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    os.set_inheritable(fd, True)
    return True
