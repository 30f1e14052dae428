"""Footage: where the bytes of a film's shots are. On this disk; else a store that gives them back lends them, one at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from models.vocabulary import journal, keys
from models.vocabulary.errors import DiskFull, StorageError, StoreUnavailable
from models.vocabulary.film import Shot
from stores.base import Store
from workers.spool import Spool

#: What is read back from a store lies here for a moment.
_LOAN: Final = "loan.film"


class Footage:
    def __init__(self, spool: Spool, appid: str) -> None:
        self._spool = Spool(spool.folder)  # its own place in the journal
        self._appid = appid
        self._n = 0
        self._slices: list[journal.Slice] = []
        self._by_key: dict[str, Path] = {}
        self._by_range: dict[tuple[int, int], Path] = {}
        self._store: Store | None = None
        self._backup: Store | None = None

    def open(self, store: Store, backup: Store | None) -> None:
        """The customer's store, or another one with newer keys; and the operator's."""
        self._store, self._backup = store, backup

    def slices(self) -> list[journal.Slice]:
        """Every one that this spool's processes have closed so far."""
        for n, entry in self._spool.entries(self._n):
            self._n = n
            if isinstance(entry, journal.Slice):
                self._slices.append(entry)
                path = self._spool.folder / entry.file
                self._by_key[entry.key] = self._by_range[entry.start_90k, entry.end_90k] = path
        return self._slices

    def path(self, shot: Shot, *, patient: bool) -> Path | None:
        """Its bytes; None: nobody has them any more. What was lent is good until the next one. A `patient` asker gets
        `StoreUnavailable` of a store that does not answer; without room for a loan there is `DiskFull`.
        """
        self.slices()
        # Another tenure's slice of the same range holds the same moment, whichever of the two the playlist names.
        for path in (self._by_key.get(shot.key), self._by_range.get((shot.start_90k, shot.end_90k))):
            if path is not None and path.exists():
                return path
        body = self._borrowed(shot, patient=patient)
        if body is None:
            return None
        loan = self._spool.folder / _LOAN
        try:
            loan.write_bytes(body)
        except OSError as error:
            raise DiskFull from error
        return loan

    def give_back(self) -> None:
        (self._spool.folder / _LOAN).unlink(missing_ok=True)

    def _borrowed(self, shot: Shot, *, patient: bool) -> bytes | None:
        away: StoreUnavailable | None = None
        for store, key in ((self._store, shot.key), (self._backup, keys.backup_key(self._appid, shot.key))):
            if store is None or not store.caps.reads:
                continue
            try:
                body = store.get_range(key, 0, shot.bytes + 1)  # whatever lies there by now
            except StoreUnavailable as error:
                away = error
            except StorageError:
                continue  # it may not be read, or is not there
            else:
                if hashlib.md5(body, usedforsecurity=False).hexdigest() == shot.md5:
                    return body
        if away is not None and patient:
            raise away
        return None
