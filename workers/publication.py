"""Publication: which documents (playlist, index) the writer wants in the store, and which of them are there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import backups, files, recordings, timeline
from models.vocabulary import keys, pipe, playlist
from models.vocabulary.spec import RecordingSpec
from workers import index, playlists

#: Documents of a tenure count from here; a later tenure's revisions are always higher.
REVS_A_TENURE: Final = 1_000_000

#: How much of a recording's upload its playlist may be: at 14 400 slices it is written every 40 s.
PLAYLIST_BYTES_PER_S: Final = 50_000
HELD_TYPE: Final = "application/octet-stream"

Kind = Literal["playlist", "index"]
Store = Literal["primary", "backup"]


@dataclass(frozen=True, slots=True)
class Sent:
    rev: int
    kind: Kind
    text: str

    @property
    def md5(self) -> str:
        return hashlib.md5(self.text.encode(), usedforsecurity=False).hexdigest()

    @property
    def size(self) -> dict[str, Any]:
        return {"bytes_": len(self.text.encode()), "md5": self.md5}


class Publication:
    """`say` passes a document to the recorder, which puts it; `written` is told when it is in the store."""

    def __init__(
        self,
        sid: str,
        epoch: int,
        database: Database,
        say: Callable[[pipe.Message], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._next_at = 0.0
        self._sid = sid
        self._database = database
        self._say = say
        self._rev = epoch * REVS_A_TENURE
        self._sent: dict[tuple[Store, str], Sent] = {}
        self._written: dict[tuple[Store, str], int] = {}
        self.due = False  # something has changed that the documents tell

    def start_over(self) -> None:
        """A new recorder process knows of no document."""
        self._sent.clear()
        self._written.clear()
        self.due = True

    def written(self, key: str, rev: int, store: Store = "primary") -> None:
        self._written[store, key] = max(rev, self._written.get((store, key), 0))

    @property
    def is_time(self) -> bool:
        """Something is due; and a day's playlist of two megabytes is not written anew for every slice."""
        return self.due and self._now() >= self._next_at

    @property
    def complete(self) -> bool:
        """Whether the customer's store has the newest of each."""
        return self._has_all("primary")

    def _has_all(self, store: Store) -> bool:
        return all(self._written.get(at, 0) >= sent.rev for at, sent in self._sent.items() if at[0] == store)

    def publish(self, spec: RecordingSpec, *, final: bool, filmed: bool = True) -> None:
        """`filmed`: every MP4 is made; before that not even the last index is the last word."""
        with self._database.unit() as session:
            row = recordings.get(session, self._sid)
            if row is None:
                return
            written = self._playlists(session, spec, row.t0_ms, final=final)
            index_text = index.render(session, row, final=final and filmed, playlists=written)
            backed = self._backed(session, spec, row.t0_ms)
        names = (spec.file_prefix, self._sid, spec.cname)
        self._send(keys.index_key(*names), "index", index.CONTENT_TYPE, index_text, final=final)
        for key, text in written:
            self._send(key, "playlist", playlist.CONTENT_TYPE, text, final=final)
        self._next_at = self._now() + sum(len(text) for _, text in written) / PLAYLIST_BYTES_PER_S
        for key, text in backed:
            self._send(key, "playlist", playlist.CONTENT_TYPE, text, final=False, store="backup")
        self.due = False

    def _playlists(
        self,
        session: Session,
        spec: RecordingSpec,
        t0_ms: int | None,
        *,
        final: bool,
        stores: tuple[Store, ...] = ("primary",),
    ) -> list[tuple[str, str]]:
        def found(track: str) -> list[playlist.Entry]:
            return timeline.publishable(session, self._sid, track, final=final, stores=stores)

        return self._documents(session, spec, found, t0_ms, ended=final)

    def _backed(self, session: Session, spec: RecordingSpec, t0_ms: int | None) -> list[tuple[str, str]]:
        """The backup store's own, of what it has."""
        return self._documents(
            session, spec, lambda track: backups.entries(session, self._sid, track), t0_ms, ended=False
        )

    def _documents(
        self, session: Session, spec: RecordingSpec, found: playlists.Found, t0_ms: int | None, *, ended: bool
    ) -> list[tuple[str, str]]:
        if t0_ms is None:
            return []
        tracks = timeline.tracks(session, self._sid)
        return playlists.documents(spec, self._sid, tracks, found, t0_ms=t0_ms, ended=ended)

    def hold(self, spec: RecordingSpec) -> bool:
        """The last words, to be moved to the customer's store behind the files that they name. Whether they are safe."""
        with self._database.unit() as session:
            row = recordings.get(session, self._sid)
            if row is None or row.t0_ms is None:
                return False
            written = self._playlists(session, spec, row.t0_ms, final=True, stores=("primary", "backup"))
            index_text = index.render(session, row, final=True, playlists=written)
        names = (spec.file_prefix, self._sid, spec.cname)
        last: dict[str, Any] = {"final": True, "store": "backup"}
        for key, text in written:
            self._send(keys.held_back_key(key), "playlist", HELD_TYPE, text, **last)
        self._send(keys.held_back_key(keys.index_key(*names)), "index", HELD_TYPE, index_text, **last)
        return self._has_all("backup")

    def record(self, session: Session) -> None:
        """Write down what is in the customer's store; and which playlists the backup store has, so that they are deleted
        with the copies that they name.
        """
        for (store, key), sent in self._sent.items():
            if store == "primary":
                files.wrote(session, self._sid, key, sent.kind, rev=sent.rev, final=True, **sent.size)
        if backups.exist(session, self._sid):
            self._record_backed(session)

    def record_held(self, session: Session) -> None:
        """Write down what the backup store holds for the end."""
        self._record_backed(session)
        for (store, key), sent in self._sent.items():
            if store == "backup" and key.endswith(keys.HELD):
                backups.hold(session, self._sid, key, "held", **sent.size)
                there = key.removesuffix(keys.HELD)
                last: dict[str, Any] = {"rev": sent.rev, "final": True, "store": "backup"}
                files.wrote(session, self._sid, there, sent.kind, **last, **sent.size)

    def _record_backed(self, session: Session) -> None:
        for (store, key), sent in self._sent.items():
            if store == "backup" and not key.endswith(keys.HELD):
                backups.hold(session, self._sid, key, "playlist", **sent.size)

    def _send(
        self, key: str, kind: Kind, content_type: str, text: str, *, final: bool, store: Store = "primary"
    ) -> None:
        before = self._sent.get((store, key))
        if before is not None and before.text == text:
            return
        self._rev += 1
        self._sent[store, key] = Sent(self._rev, kind, text)
        self._say(pipe.Document(key=key, content_type=content_type, text=text, rev=self._rev, final=final, store=store))
