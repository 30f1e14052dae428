"""The nursery: a node's recorders, born of one mother process that has imported all they need (workers.recorder.__main__).

Nothing of ours runs between fork and exec in this threaded process: the mother forks, and she has a single thread. A
recorder learns of this process's death by the end of its stdin.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

log = logging.getLogger(__name__)

BIRTH_S = 30.0


class Child:
    """A recorder that waits for its first line."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._left = threading.Event()
        self._code = 0

    def left(self, code: int) -> None:
        self._code = code
        self._left.set()

    def poll(self) -> int | None:
        return self._code if self._left.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        """Exit code; negative: the signal that ended it. Raises `TimeoutError`."""
        if not self._left.wait(timeout):
            raise TimeoutError(f"the recorder {self.pid} is still there")
        return self._code

    def kill(self) -> None:
        if self.poll() is None:  # else its number may be another's by now
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Nursery:
    def __init__(self) -> None:
        self._lock = threading.Lock()  # one birth at a time
        self._mother: Mother | None = None
        self._closed = False
        threading.Thread(target=self._prepare, name="nursery", daemon=True).start()

    def spawn(self) -> Child:
        """Raises `OSError` when the machine has no room for a process more."""
        with self._lock:
            for attempt in (1, 2):
                mother = self._the_mother()
                try:
                    return mother.bear()
                except ConnectionError:
                    log.warning("the recorders' mother died; another takes her place")
                    self._mother = None
                    if attempt == 2:
                        raise
        raise AssertionError

    def warm(self, within_s: float) -> bool:
        """Wait until a start costs nothing any more. Whether it does."""
        with self._lock:
            return self._the_mother().ready.wait(within_s)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._mother is not None:
                self._mother.close()

    def _prepare(self) -> None:
        with self._lock, suppress(OSError):  # the first start says what is wrong
            self._the_mother()

    def _the_mother(self) -> Mother:
        if self._mother is None:
            self._mother = Mother()
            if self._closed:
                self._mother.close()
        return self._mother


class Mother:
    """One mother process, from this side of the socket."""

    def __init__(self) -> None:
        ours, hers = socket.socketpair()
        with hers:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.recorder"],
                stdin=hers.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the farm, which ends recorders in order
                env=child_environment(),
            )
        self._socket = ours
        self.ready = threading.Event()
        self._births: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._children: dict[int, Child] = {}
        self._early: dict[int, int] = {}  # exit codes of children that left before they were announced
        self._guard = threading.Lock()
        threading.Thread(target=self._listen, name="mother", daemon=True).start()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def bear(self) -> Child:
        """Raises `ConnectionError` when she is dead, `OSError` when she could not."""
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        try:
            socket.send_fds(self._socket, [b"+"], [stdin_read, stdout_write])
            told = self._births.get(timeout=BIRTH_S)
        except BaseException:
            os.close(stdin_write)
            os.close(stdout_read)
            raise
        finally:
            os.close(stdin_read)
            os.close(stdout_write)
        if told is None or "refused" in told:
            os.close(stdin_write)
            os.close(stdout_read)
            if told is None:
                raise ConnectionError("the recorders' mother is dead")
            raise OSError(told["refused"])
        return self._adopt(told["born"], stdin_write, stdout_read)

    def _adopt(self, pid: int, stdin_write: int, stdout_read: int) -> Child:
        with self._guard:
            child = Child(pid, os.fdopen(stdin_write, "wb"), os.fdopen(stdout_read, "rb"))
            self._children[pid] = child
            if pid in self._early:
                child.left(self._early.pop(pid))
                del self._children[pid]
        return child

    def close(self) -> None:
        """She leaves; her children stay until their own stdin ends."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)

    def _listen(self) -> None:
        with suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                self._hear(json.loads(line))
        self._process.wait()
        with self._guard:
            orphans = list(self._children.values())
        for child in orphans:
            _watch(child)  # she can tell no more who leaves
        self._births.put(None)

    def _hear(self, told: dict[str, Any]) -> None:
        match told:
            case {"ready": _}:
                self.ready.set()
            case {"left": pid, "code": code}:
                with self._guard:
                    child = self._children.pop(pid, None)
                    if child is None:
                        self._early[pid] = code
                if child is not None:
                    child.left(code)
            case _:
                self._births.put(told)


def _watch(child: Child) -> None:
    """A recorder whose mother died: somebody else's child now. Its exit code is not to be had."""

    def wait() -> None:
        try:
            descriptor = os.pidfd_open(child.pid)
        except OSError:
            child.left(-1)  # it is gone already
            return
        with os.fdopen(descriptor):
            select.select([descriptor], [], [])
        child.left(-1)

    threading.Thread(target=wait, name=f"orphan {child.pid}", daemon=True).start()


def child_environment() -> dict[str, str]:
    """No secrets in a recorder's environment: it needs none of the worker's. Forks want a single thread."""
    hidden = ("REELYARD_DATABASE_URL", "REELYARD_BROKER_URL", "REELYARD_SECRET_KEYS", "REELYARD_BACKUP_KEYS")
    kept = {k: v for k, v in os.environ.items() if k not in hidden}
    root = str(Path(__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(p for p in (root, kept.get("PYTHONPATH", "")) if p)
    return kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
