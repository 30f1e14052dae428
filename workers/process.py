"""One recorder process as its supervision sees it: lines go down and come up, nothing in here waits for the other side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from models.vocabulary import pipe
from workers.children import Nursery


@dataclass(frozen=True, slots=True)
class Line:
    process: RecorderProcess
    raw: bytes


@dataclass(frozen=True, slots=True)
class Exited:
    process: RecorderProcess
    code: int


class RecorderProcess:
    """`tell` is called from two threads of its own with each line and, last, with the exit."""

    def __init__(self, nursery: Nursery, title: str, tell: Callable[[Line | Exited], None]) -> None:
        self._child = nursery.spawn()
        self._tell = tell
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for work in (self._read, self._write):
            threading.Thread(target=work, name=f"recorder {title}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def say(self, message: pipe.Message) -> None:
        self._outbox.put(pipe.line(message))

    def kill(self) -> None:
        self._child.kill()

    def _write(self) -> None:
        stdin = self._child.stdin
        try:
            while (line := self._outbox.get()) is not None:
                stdin.write(line)
                stdin.flush()
            stdin.close()
        except OSError:
            return  # it is dying; its exit is on the way and is acted upon

    def _read(self) -> None:
        for raw in self._child.stdout:
            self._tell(Line(self, raw))
        code = self._child.wait()
        self._outbox.put(None)
        self._tell(Exited(self, code))
