"""A spool: the directory of one (recording, owner nonce), with its journal and its slices. It outlives its process.

Layout below a node's spool root: `<sid>/<owner>/journal`, slices beside it; mode 0700, since it holds people's calls.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from models.vocabulary.journal import AnyEntry, Entry, line, parse

JOURNAL: Final = "journal"


class Spool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._n = 0
        self._end = 0  # bytes of the journal up to which entries are counted

    @classmethod
    def make(cls, root: Path, sid: str, owner: str) -> Spool:
        folder = root / sid / owner
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(folder)

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL

    @property
    def n(self) -> int:
        """Number of the last entry read or written."""
        return self._n

    def append(self, entry: Entry) -> int:
        """Write one fact; returns its number. The journal's only writer is the recorder."""
        with self.journal.open("ab") as f:
            if f.tell() and not self._ends_whole():
                f.write(b"\n")  # a crash tore the last line: close it, so that ours is whole
                self._n += 1
            f.write(line(entry))
        self._n += 1
        return self._n

    def _ends_whole(self) -> bool:
        with self.journal.open("rb") as f:
            f.seek(-1, os.SEEK_END)
            return f.read(1) == b"\n"

    def read(self) -> list[AnyEntry]:
        """Every entry so far, and from then on `append` counts behind them."""
        entries = [entry for _, entry in self.entries()]
        self._n = self._lines()
        return entries

    def entries(self, after: int = 0) -> Iterator[tuple[int, AnyEntry]]:
        """(n, entry) with n > after."""
        if self.journal.exists():
            yield from ((n, e) for n, e in parse(self.journal.read_bytes()) if n > after)

    def _lines(self) -> int:
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0

    def partials(self) -> list[Path]:
        """Slices that a killed recorder was still writing."""
        return sorted(self.folder.glob("*.part"))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # another tenure's spool of the same recording may lie beside it
            self.folder.parent.rmdir()


def spools(root: Path) -> list[Spool]:
    """Every spool below a node's root, oldest first."""
    found = sorted(root.glob(f"*/*/{JOURNAL}"), key=lambda p: p.stat().st_mtime)
    return [Spool(p.parent) for p in found]
