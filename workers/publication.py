"""Publication: which documents (playlist, index) the writer wants in the store, and which of them are there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import files, recordings, timeline
from models.vocabulary import keys, pipe, playlist
from models.vocabulary.spec import RecordingSpec
from workers import index
from workers.assignment import TRACK

#: Documents of a tenure count from here; a later tenure's revisions are always higher.
REVS_A_TENURE: Final = 1_000_000

Kind = Literal["playlist", "index"]


@dataclass(frozen=True, slots=True)
class Sent:
    rev: int
    kind: Kind
    text: str


class Publication:
    """`say` passes a document to the recorder, which puts it; `written` is told when it is in the store."""

    def __init__(self, sid: str, epoch: int, database: Database, say: Callable[[pipe.Message], None]) -> None:
        self._sid = sid
        self._database = database
        self._say = say
        self._rev = epoch * REVS_A_TENURE
        self._sent: dict[str, Sent] = {}
        self._written: dict[str, int] = {}
        self.due = False  # something has changed that the documents tell

    def start_over(self) -> None:
        """A new recorder process knows of no document."""
        self._sent.clear()
        self._written.clear()
        self.due = True

    def written(self, key: str, rev: int) -> None:
        self._written[key] = max(rev, self._written.get(key, 0))

    @property
    def complete(self) -> bool:
        """Whether the store has the newest of each."""
        return all(self._written.get(key, 0) >= sent.rev for key, sent in self._sent.items())

    def publish(self, spec: RecordingSpec, *, final: bool, filmed: bool = True) -> None:
        """`filmed`: every MP4 is made; before that not even the last index is the last word."""
        with self._database.unit() as session:
            row = recordings.get(session, self._sid)
            if row is None:
                return
            entries = timeline.publishable(session, self._sid, TRACK, final=final)
            index_text = index.render(session, row, track=TRACK, final=final and filmed)
            t0_ms = row.t0_ms
        names = (spec.file_prefix, self._sid, spec.cname)
        self._send(keys.index_key(*names), "index", index.CONTENT_TYPE, index_text, final=final)
        if entries and t0_ms is not None:
            text = playlist.render(entries, t0_ms=t0_ms, slice_s=spec.slice_s, ended=final)
            self._send(keys.playlist_key(*names), "playlist", playlist.CONTENT_TYPE, text, final=final)
        self.due = False

    def record(self, session: Session) -> None:
        """Write down what is in the store."""
        for key, sent in self._sent.items():
            body = sent.text.encode()
            md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
            files.wrote(session, self._sid, key, sent.kind, rev=sent.rev, bytes_=len(body), md5=md5, final=True)

    def _send(self, key: str, kind: Kind, content_type: str, text: str, *, final: bool) -> None:
        before = self._sent.get(key)
        if before is not None and before.text == text:
            return
        self._rev += 1
        self._sent[key] = Sent(self._rev, kind, text)
        self._say(pipe.Document(key=key, content_type=content_type, text=text, rev=self._rev, final=final))
