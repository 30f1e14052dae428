"""Recorder subprocesses, all spawned by one long-lived thread, and one always ready for the next start.

A new interpreter needs a second or more to import libav, numpy and the stores; a spare that has done so and waits for its
first line makes starts and restarts as short as joining the channel.

PR_SET_PDEATHSIG is tied to the *thread* that spawned (traps 3): a pool thread that ends would take its recorders with it.
The child asks for the signal itself; nothing of ours runs between fork and exec in a threaded parent.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

log = logging.getLogger(__name__)

Child = subprocess.Popen[bytes]


class Nursery:
    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[Future[Child] | None] = queue.SimpleQueue()
        self._spare: Child | None = None
        threading.Thread(target=self._run, name="nursery", daemon=True).start()

    def spawn(self) -> Child:
        """A recorder that waits for its first line. Its log goes where ours goes."""
        future: Future[Child] = Future()
        self._orders.put(future)
        return future.result(timeout=30)

    def warm(self, within_s: float) -> bool:
        """Wait until the spare has imported what a recorder needs. Whether it has."""
        until = time.monotonic() + within_s
        while (left_s := until - time.monotonic()) > 0:
            spare = self._spare
            if spare is not None and spare.stdout is not None:
                return bool(select.select([spare.stdout], [], [], left_s)[0])  # its first sign of life, left unread
            time.sleep(0.05)
        return False

    def close(self) -> None:
        self._orders.put(None)

    def _run(self) -> None:
        self._prepare()
        while (order := self._orders.get()) is not None:
            try:
                order.set_result(self._next())
            except BaseException as error:  # raised again in the thread that asked
                order.set_exception(error)
            self._prepare()
        if self._spare is not None and self._spare.stdin is not None:
            self._spare.stdin.close()  # it leaves at the end of its stdin
            self._spare.wait()

    def _prepare(self) -> None:
        """A spare for the next order, if the machine has room for one."""
        if self._spare is not None and self._spare.poll() is None:
            return
        try:
            self._spare = start()
        except OSError as error:
            self._spare = None
            log.warning("no recorder is kept ready: %s", error)

    def _next(self) -> Child:
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.poll() is None else start()


def start() -> Child:
    return subprocess.Popen(
        [sys.executable, "-m", "workers.recorder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches the farm, which ends recorders in order
        env=child_environment(),
    )


def child_environment() -> dict[str, str]:
    """No secrets in a recorder's environment: it needs none of the worker's."""
    hidden = ("REELYARD_DATABASE_URL", "REELYARD_BROKER_URL", "REELYARD_SECRET_KEYS")
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    root = str(Path(__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(p for p in (root, kept.get("PYTHONPATH", "")) if p)
    kept["REELYARD_PARENT_PID"] = str(os.getpid())
    return kept
