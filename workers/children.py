"""Recorder subprocesses, all spawned by one long-lived thread.

PR_SET_PDEATHSIG is tied to the *thread* that spawned (traps 3): a pool thread that ends would take its recorders with it.
The child asks for the signal itself; nothing of ours runs between fork and exec in a threaded parent.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

Argv = list[str]


class Nursery:
    def __init__(self, argv: Callable[[str], Argv] | None = None) -> None:
        self._argv = argv or recorder_argv
        self._orders: queue.SimpleQueue[tuple[str, Path, Future[subprocess.Popen[bytes]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="nursery", daemon=True)
        self._thread.start()

    def spawn(self, title: str, log: Path) -> subprocess.Popen[bytes]:
        """A new recorder; `title` (sid.epoch) is all that its command line shows, its log goes to a file of its spool."""
        future: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((title, log, future))
        return future.result(timeout=30)

    def close(self) -> None:
        self._orders.put(None)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            title, log, future = order
            try:
                future.set_result(self._start(title, log))
            except BaseException as error:  # raised again in the thread that asked
                future.set_exception(error)

    def _start(self, title: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as stderr:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._argv(title),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C reaches the farm, which ends recorders in order
                env=child_environment(),
            )


def recorder_argv(title: str) -> Argv:
    return [sys.executable, "-m", "workers.recorder", title]


def child_environment() -> dict[str, str]:
    """No secrets in a recorder's environment: it needs none of the worker's."""
    hidden = ("REELYARD_DATABASE_URL", "REELYARD_BROKER_URL", "REELYARD_SECRET_KEYS")
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    root = str(Path(__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(p for p in (root, kept.get("PYTHONPATH", "")) if p)
    kept["REELYARD_PARENT_PID"] = str(os.getpid())
    return kept
