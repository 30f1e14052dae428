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
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
#: The worker is dead: so long the recorder may take to close its slice before it goes.
LAST_WORDS_S = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


def keep_heap_small() -> None:
    """One heap for all threads, and freed pages go back (mallopt(3)): glibc's own defaults cost 40 MB with 17 users."""
    if hasattr(_libc, "mallopt"):  # not with musl
        _libc.mallopt(M_ARENA_MAX, 1)
        _libc.mallopt(M_MMAP_THRESHOLD, 1 << 20)
        _libc.mallopt(M_TRIM_THRESHOLD, 1 << 18)


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
    link.send(pipe.Alive(n=0))  # everything is imported: a start need not wait
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
    keep_heap_small()
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
