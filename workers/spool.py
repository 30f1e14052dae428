"""A spool: the directory of one (recording, owner nonce), with its journal and its slices. It outlives its process.

Layout below a node's spool root: `<sid>/<owner>/journal`, slices beside it; mode 0700, since it holds people's calls.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.vocabulary.errors import DiskFull
from models.vocabulary.journal import AnyEntry, Entry, line, parse

JOURNAL: Final = "journal"


@dataclass(frozen=True, slots=True)
class Place:
    """So many lines of the journal end before this byte."""

    n: int = 0
    at_bytes: int = 0


class Spool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._n = 0
        self._passed = Place()

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
        """Write one fact; returns its number. The journal's only writer is the recorder. Raises `DiskFull`: nothing of it
        is written then.
        """
        size_bytes = self.journal.stat().st_size if self.journal.exists() else 0
        # A crash tore the last line: close it, so that ours is whole.
        torn = size_bytes > 0 and not self._ends_whole()
        try:
            with self.journal.open("ab") as f:
                f.write((b"\n" if torn else b"") + line(entry))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            with suppress(OSError):
                os.truncate(self.journal, size_bytes)
            raise DiskFull from error
        self._n += 2 if torn else 1
        return self._n

    def _ends_whole(self) -> bool:
        with self.journal.open("rb") as f:
            f.seek(-1, os.SEEK_END)
            return f.read(1) == b"\n"

    def read(self) -> list[tuple[int, AnyEntry]]:
        """Every entry so far, and from then on `append` counts behind them."""
        whole = self._whole_lines(0)
        self._n = whole.count(b"\n")
        return list(parse(whole))

    def entries(self, after: int = 0) -> list[tuple[int, AnyEntry]]:
        """(n, entry) with n > after. Asked with a growing `after`, it reads only what lies behind it."""
        if after < self._passed.n:
            self._passed = Place()
        fresh = self._whole_lines(self._passed.at_bytes)
        skipped = min(after - self._passed.n, fresh.count(b"\n"))
        at = 0
        for _ in range(skipped):
            at = fresh.index(b"\n", at) + 1
        self._passed = Place(self._passed.n + skipped, self._passed.at_bytes + at)
        return [(self._passed.n + n, entry) for n, entry in parse(fresh[at:])]

    def _whole_lines(self, from_bytes: int) -> bytes:
        if not self.journal.exists():
            return b""
        with self.journal.open("rb") as f:
            f.seek(from_bytes)
            fresh = f.read()
        return fresh[: fresh.rfind(b"\n") + 1]

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
