"""The outbox: what is closed and in the journal, on its way to the uploader. It waits for its place in the timeline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from models.vocabulary import journal, pipe
from models.vocabulary.streams import MIX, Stream
from workers.recorder.aftermath import Aftermath, Upload
from workers.recorder.notebook import Notebook
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.shelf import STORE, Shelf
from workers.recorder.upload.uploader import PRIMARY, Item, StoreName

CONTENT_TYPES: Final = {".ts": "video/mp2t", ".webm": "video/webm", ".jpg": "image/jpeg"}


class Put(Protocol):
    def __call__(self, item: Item, *, backed: bool = False) -> None: ...


class Outbox:
    """`prefix`: of every key. Until `open` all waits, whatever is committed."""

    def __init__(self, folder: Path, prefix: str, shelf: Shelf, notebook: Notebook) -> None:
        self._folder = folder
        self._prefix = prefix
        self._shelf = shelf
        self._notebook = notebook
        self._waiting: dict[str, tuple[int, Upload]] = {}  # key → (n, slice)
        self._tracks: dict[str, str] = {}  # key → the track of what is not stored yet
        self._backed: set[str] = set()  # the backup store has them from an earlier process
        self._committed = 0
        self._refused: set[str] = set()
        self._held: set[str] = set()  # the timeline may have room for them later
        self._put: Put | None = None

    def remember(self, found: Aftermath) -> None:
        """What an earlier process of this spool has closed."""
        self._waiting = found.unsent
        self._backed = found.backed
        for key, (_, slice_) in found.unsent.items():
            self._tracks[key] = slice_.track
            self._shelf.add(key, slice_.file)
        for key, slice_ in found.stored.items():
            self._shelf.add(key, slice_.file)
            self._shelf.passed(key, STORE)

    def open(self, put: Put) -> None:
        """There is an uploader."""
        self._put = put
        self._hand_over()

    def slice(self, closed: ClosedSlice) -> None:
        self._add(
            journal.Slice(
                track=closed.track,
                start_90k=closed.start_90k,
                end_90k=closed.end_90k,
                key=self._prefix + closed.path.name,
                file=closed.path.name,
                bytes=closed.bytes,
                md5=closed.md5,
                shape=closed.shape,
            )
        )

    def snapshot(self, stream: Stream, at_90k: int, path: Path) -> None:
        content = path.read_bytes()
        self._add(
            journal.Snapshot(
                track=stream.track,
                at_90k=at_90k,
                key=self._prefix + path.name,
                file=path.name,
                bytes=len(content),
                md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            )
        )

    def committed(self, told: pipe.Committed) -> None:
        """How far the timeline has come, and what it has decided."""
        self._committed = max(self._committed, told.n)
        self._refused.update(told.refused)
        for key in told.covered:
            self._shelf.passed(key, STORE)
        self._held = (self._held | set(told.later)) - set(told.granted) - self._refused
        self._hand_over()

    def stored(self, key: str, store: StoreName) -> None:
        """A store has proven it; it may be a film, which never waited here."""
        self._notebook.write(journal.Stored(track=self._tracks.get(key, MIX), key=key, store=store))
        if store == PRIMARY:
            self._shelf.passed(key, STORE)
            self._tracks.pop(key, None)

    def lost(self, key: str) -> None:
        """Its file is gone."""
        self._notebook.write(journal.Lost(track=self._tracks.get(key, MIX), key=key, cause="gone from the spool"))

    def drop(self, unsent: Iterable[str] = ()) -> None:
        """What waits is never sent, nor are these, which an uploader had."""
        gone = [*self._waiting, *unsent]
        self._waiting.clear()
        for key in gone:
            self._notebook.write(journal.Lost(track=self._tracks.pop(key, MIX), key=key, cause=journal.CANCELLED))

    def _add(self, entry: Upload) -> None:
        def written(n: int) -> None:
            self._waiting[entry.key] = (n, entry)

        self._notebook.write(entry, written)
        self._tracks[entry.key] = entry.track
        self._shelf.add(entry.key, entry.file)

    def _hand_over(self) -> None:
        """What has its place in the timeline goes up."""
        if self._put is None:
            return
        for key, (n, slice_) in list(self._waiting.items()):
            if n > self._committed or key in self._held:
                continue
            del self._waiting[key]
            if key not in self._refused:
                path = self._folder / slice_.file
                item = Item(key, path, slice_.bytes, slice_.md5, CONTENT_TYPES[path.suffix])
                self._put(item, backed=key in self._backed)
