"""A lock that serves in the order of asking. Python's own goes to whoever comes by while it is free, so that under load one
thread may have it for seconds and the others starve."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class TurnTimeout(Exception):
    """The turn did not come in time."""


class Turns:
    def __init__(self) -> None:
        self._mutex = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    @contextmanager
    def turn(self, within_s: float) -> Iterator[None]:
        """Raises `TurnTimeout` when it does not come. A thread that has it must not ask again."""
        self._take(within_s)
        try:
            yield
        finally:
            self._give()

    def _take(self, within_s: float) -> None:
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=within_s):
            return
        with self._mutex:
            if mine not in self._waiting:
                return  # it was given just now
            self._waiting.remove(mine)
        raise TurnTimeout

    def _give(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
