"""`python -m workers.recorder`: a worker's child. It takes its orders from stdin and tells its facts on stdout.

What to record, and every secret, comes in the first line of stdin; until then it waits, with everything imported.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import random
import signal
import sys

from models import logs
from models.vocabulary import pipe
from workers.recorder.capture import whip  # noqa: F401 - imported ahead: a start must not wait for it
from workers.recorder.clock import RealClock
from workers.recorder.link import StdioLink
from workers.recorder.recorder import Recorder

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
#: The worker is dead: so long the recorder may take to close its slice before it goes.
LAST_WORDS_S = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


def follow_parent() -> None:
    """Learn of the worker's death by SIGTERM too, not only by the end of stdin (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    expected = os.environ.get("REELYARD_PARENT_PID")
    if expected is not None and os.getppid() != int(expected):
        raise SystemExit("the worker that started this recorder is gone")


async def run() -> int:
    loop = asyncio.get_running_loop()
    # Stray prints (a library's) must not end up in the pipe: stdout becomes stderr, the pipe keeps its own descriptor.
    out_fd = os.dup(1)
    os.dup2(2, 1)
    link = await StdioLink.open(0, out_fd)
    messages = link.messages()
    first = await anext(messages, None)
    if first is None:
        return 0  # a spare that nobody needed
    if not isinstance(first, pipe.Begin):
        return 2
    _libc.prctl(PR_SET_NAME, f"rec {first.sid[:8]}".encode())
    with logs.bound(sid=first.sid, epoch=first.epoch):
        recorder = Recorder(first, link, messages, RealClock(first.wall_offset_ms), random.random)
        loop.add_signal_handler(signal.SIGTERM, recorder.orphaned)
        recorder.on_orphaned = lambda: loop.call_later(LAST_WORDS_S, os._exit, 3)
        return await recorder.run()


def main() -> None:
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure("recorder", os.environ.get("REELYARD_LOG_LEVEL", "INFO"))
    logging.getLogger("libav").setLevel(logging.ERROR)
    code = asyncio.run(run())
    # The interpreter's own teardown would wait for executor threads that hang in a dead store's socket.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
