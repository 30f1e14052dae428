"""The notebook: facts on their way into the journal, in order. While the disk is full they wait in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from models.vocabulary.errors import DiskFull
from models.vocabulary.journal import Entry
from workers.spool import Spool


class Notebook:
    """`on_written` is told the number of each entry as it is in the journal."""

    def __init__(self, spool: Spool, on_written: Callable[[int], None]) -> None:
        self._spool = spool
        self._on_written = on_written
        self._waiting: deque[tuple[Entry, Callable[[int], None] | None]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def write(self, entry: Entry, then: Callable[[int], None] | None = None) -> None:
        """`then` is called with the entry's number, now or as soon as there is room."""
        self._waiting.append((entry, then))
        self.flush()

    def flush(self) -> None:
        while self._waiting:
            entry, then = self._waiting[0]
            try:
                n = self._spool.append(entry)
            except DiskFull:
                return
            self._waiting.popleft()
            if then is not None:
                then(n)
            self._on_written(n)
