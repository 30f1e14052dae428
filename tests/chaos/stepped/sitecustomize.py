"""A wall clock that can be stepped from outside, for the processes that find this folder on PYTHONPATH and REELYARD_STEP_FILE in
their environment: the file says by how many seconds. CLOCK_MONOTONIC goes on as if nothing were, as it does on a real host.

What reads the time in C (libav, the signatures of S3 requests) still sees the true one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_true_time_ns = time.time_ns


def _stepped_ns(file: Path) -> int:
    try:
        step_s = int(file.read_text() or 0)
    except (OSError, ValueError):  # not written yet, or just being written
        step_s = 0
    return _true_time_ns() + step_s * 1_000_000_000


if "REELYARD_STEP_FILE" in os.environ:
    _file = Path(os.environ["REELYARD_STEP_FILE"])
    time.time_ns = lambda: _stepped_ns(_file)
    time.time = lambda: _stepped_ns(_file) / 1e9
