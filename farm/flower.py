"""Flower beside the embedded farm: the operator's view of Celery. A view, never the truth, so nothing depends on it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from farm.processes import Part

USER: Final = "operator"
#: A recording runs for minutes and hours; the default ends at ten seconds.
RUNTIME_BUCKETS_S: Final = (10, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800)
#: The task's name is the same everywhere; its arguments are `appid/cname`.
COLUMNS: Final = "state,args,worker,uuid,started"
SAVE_EVERY_MS: Final = 10_000


def options(*, address: str, port: int, memory: str) -> list[str]:
    """For `celery … flower`. Who may look is told by the environment (FLOWER_BASIC_AUTH), since argv is public.

    Read only: its buttons are Celery's and know nothing of recordings.
    """
    return [
        f"--address={address}",
        f"--port={port}",
        "--persistent=True",
        f"--db={memory}",
        f"--state_save_interval={SAVE_EVERY_MS}",
        f"--tasks_columns={COLUMNS}",
        f"--task_runtime_metric_buckets={','.join(map(str, RUNTIME_BUCKETS_S))}",
        "--read_only=True",
    ]


def part(folder: Path, port: int, password: str, ready: Callable[[], bool]) -> Part:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    chosen = options(address="127.0.0.1", port=port, memory=str(folder / "memory"))
    argv = [sys.executable, "-m", "celery", "-A", "scheduler.app", "flower", *chosen]
    return Part("flower", argv, ready, environment={"FLOWER_BASIC_AUTH": f"{USER}:{password}"}, vital=False)
