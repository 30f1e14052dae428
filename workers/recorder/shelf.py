"""The shelf: closed slices on disk. One is freed when everybody who needs its bytes has passed it, not before.

The store is one of them (it has passed a slice when it has proven the slice's bytes); a writer of MP4 files is another.
Who registers, registers before the first slice. Files of an earlier process of the same spool are put back by `add`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

STORE: Final = "store"


class Shelf:
    def __init__(self, folder: Path, consumers: Iterable[str] = (STORE,)) -> None:
        self._folder = folder
        self._consumers = set(consumers)
        self._waited_for: dict[str, set[str]] = {}  # key → who has not passed it
        self._files: dict[str, str] = {}

    def register(self, consumer: str) -> None:
        """From the next `add` on, its slices wait for this one too."""
        self._consumers.add(consumer)

    def leave(self, consumer: str) -> None:
        """It needs nothing more."""
        self._consumers.discard(consumer)
        for key in list(self._waited_for):
            self.passed(key, consumer)

    def add(self, key: str, file: str) -> None:
        self._files[key] = file
        self._waited_for[key] = set(self._consumers)
        self._free(key)

    def passed(self, key: str, consumer: str) -> None:
        """It needs the slice no more. Said twice, or of a slice that is gone: nothing happens."""
        if (left := self._waited_for.get(key)) is not None:
            left.discard(consumer)
            self._free(key)

    def path(self, key: str) -> Path | None:
        """Where the slice lies; None: freed, or never here."""
        file = self._files.get(key)
        return None if file is None else self._folder / file

    def __len__(self) -> int:
        return len(self._files)

    def _free(self, key: str) -> None:
        if self._waited_for[key]:
            return
        del self._waited_for[key]
        with suppress(OSError):  # what cannot be deleted now goes with the spool
            (self._folder / self._files.pop(key)).unlink()
