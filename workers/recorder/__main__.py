"""`python -m workers.recorder`: the mother of a node's recorders. Its stdin is a socket to the worker.

A new interpreter needs a second of CPU to import libav, numpy and the stores. The mother has done so once and forks: a
start, a restart, or fifty of them after another host's death, cost milliseconds each. She has one thread, opens nothing
and records nothing, so that a fork is safe. When the worker goes, its end of the socket closes and she leaves.

On the socket: one byte and two descriptors (the child's stdin and stdout) ask for a child; JSON lines tell the rest.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import select
import signal
import socket
import sys

from models import logs
from models.vocabulary import pipe
from workers.recorder.capture import whip  # noqa: F401 - imported ahead: a start must not wait for it
from workers.recorder.clock import RealClock
from workers.recorder.heap import keep_heap_small
from workers.recorder.link import StdioLink
from workers.recorder.naming import name_process
from workers.recorder.recorder import Recorder

#: The worker is dead: so long a recorder may take to close its slice before it goes.
LAST_WORDS_S = 10.0


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the farm, which ends recorders in order
    logs.configure("recorder", os.environ.get("REELYARD_LOG_LEVEL", "INFO"))
    logging.getLogger("libav").setLevel(logging.ERROR)
    name_process("recorders")
    keep_heap_small()
    worker = socket.socket(fileno=os.dup(0))
    gc.freeze()  # what is imported is shared with every child
    serve(worker)


def serve(worker: socket.socket) -> None:
    """Give birth when asked, and tell who has left; until the worker goes."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    tell(worker, {"ready": os.getpid()})
    while True:
        ready, _, _ = select.select([worker.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 512)
            bury(worker)
        if worker.fileno() in ready:
            asked, descriptors, _, _ = socket.recv_fds(worker, 1, 2)
            if not asked:
                return
            bear(worker, *descriptors)


def bear(worker: socket.socket, stdin_fd: int, stdout_fd: int) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        tell(worker, {"refused": error.strerror or str(error)})
        pid = -1
    if pid == 0:
        worker.close()
        os._exit(child(stdin_fd, stdout_fd))
    os.close(stdin_fd)
    os.close(stdout_fd)
    if pid > 0:
        tell(worker, {"born": pid})


def bury(worker: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        tell(worker, {"left": pid, "code": os.waitstatus_to_exitcode(status)})


def tell(worker: socket.socket, message: dict[str, object]) -> None:
    try:
        worker.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return  # the worker is gone; the end of the socket says so too


def child(stdin_fd: int, stdout_fd: int) -> int:
    """A recorder from here on. Its exit code."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(stdin_fd, 0)
    # Stray prints (a library's) must not end up in the pipe: stdout is stderr, the pipe has its own descriptor.
    os.dup2(2, 1)
    try:
        return asyncio.run(record(stdout_fd))
    except BaseException:
        logging.getLogger(__name__).exception("the recorder failed")
        return 1
    finally:
        # The interpreter's own teardown would wait for executor threads that hang in a dead store's socket.
        sys.stderr.flush()


async def record(out_fd: int) -> int:
    link = await StdioLink.open(0, out_fd)
    messages = link.messages()
    first = await anext(messages, None)
    if not isinstance(first, pipe.Begin):
        return 2
    name_process(f"rec {first.sid[:8]}")
    loop = asyncio.get_running_loop()
    with logs.bound(sid=first.sid, epoch=first.epoch):
        recorder = Recorder(first, link, messages, RealClock(first.wall_offset_ms), random.random)
        loop.add_signal_handler(signal.SIGTERM, recorder.orphaned)
        recorder.on_orphaned = lambda: loop.call_later(LAST_WORDS_S, os._exit, 3)
        return await recorder.run()


if __name__ == "__main__":
    main()
