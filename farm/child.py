"""`python -m farm.child ARGV…`: become ARGV, and die with the farm that started it (prctl(2) survives exec)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ["REELYARD_FARM_PID"]):
        raise SystemExit("the farm that started this process is gone")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the farm's own command, no shell


if __name__ == "__main__":
    main()
