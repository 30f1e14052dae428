"""Films: which MP4 parts the recording is to have, and which of them are made, as the writer sees to it.

While it is recorded, a part is ordered once it is full; at the end all that is left. Whoever hands the recording on
orders what its successors could not read: a store whose key may only put gives nothing back.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import films, recordings
from models.settings import settings
from models.tables import File
from models.vocabulary import pipe
from models.vocabulary.film import Shot, parts, unclaimed
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.states import ended
from workers.assignment import TRACK
from workers.bookkeeping import Grantee


class Films:
    """`say` passes an order to the recorder; that it is done comes back through the journal, into the rows."""

    def __init__(self, who: Grantee, database: Database, say: Callable[[pipe.Message], None]) -> None:
        self._who = who
        self._database = database
        self._say = say
        self._ordered: set[str] = set()
        self._rushed: list[str] = []  # keys of what was shown of the part that still grows
        self._passed: set[str] = set()  # keys of films of others

    def start_over(self) -> None:
        """A new recorder process knows of no order."""
        self._ordered.clear()
        self._rushed.clear()
        self._passed.clear()

    def order_full(self, spec: RecordingSpec) -> None:
        """Of what is published by now, the parts that cannot grow any more. Of the one that still grows the recorder is
        shown what there is: most of it is made by the time it is ordered.
        """
        self._order(spec, final=False)

    def order_mine(self, spec: RecordingSpec) -> bool:
        """All that this tenure has recorded, before it is gone. Whether it is done."""
        return self._order(spec, final=True, epoch=self._who.epoch)

    def order_all(self, spec: RecordingSpec) -> bool:
        """All that is left. Whether every part of the recording is done."""
        return self._order(spec, final=True)

    def follow(self, spec: RecordingSpec) -> None:
        """Of a tenure that is not the writer: what the writer has made needs no segments here any more."""
        if "mp4" not in spec.av_file_type:
            return
        with self._database.unit() as session:
            made = [row for row in films.of(session, self._who.sid) if row.final and row.key not in self._passed]
        for row in made:
            self._passed.add(row.key)
            self._say(pipe.Filmed(start_90k=row.start_90k, end_90k=row.end_90k))

    def _order(self, spec: RecordingSpec, *, final: bool, epoch: int | None = None) -> bool:
        if "mp4" not in spec.av_file_type:
            return True
        with self._database.unit() as session:
            row = recordings.lock(session, self._who.sid)
            if row is None or ended(row.status):
                return True
            films.take_over(session, self._who.sid, self._who.epoch)
            there = films.shots(session, self._who.sid, TRACK, final=final, epoch=epoch)
            growing = self._claim(session, spec, there, final=final)
            rows = films.of(session, self._who.sid)
            mine = [row for row in rows if row.rev == self._who.epoch and not row.final]
            every = there if epoch is None else films.shots(session, self._who.sid, TRACK, final=final)
        for film in mine:
            self._send(film, every)
        self._rush(growing)
        return not mine if epoch is not None else all(row.final for row in rows)

    def _claim(self, session: Session, spec: RecordingSpec, there: list[Shot], *, final: bool) -> list[Shot]:
        """Claims what is full, or all of it. Returns the part that still grows."""
        claims = [(row.start_90k, row.end_90k) for row in films.of(session, self._who.sid)]
        config = settings()
        runs = unclaimed(there, claims)
        growing: list[Shot] = []
        for run in runs:
            found = parts(run, most_s=config.mp4_part_s, most_bytes=config.mp4_part_bytes)
            if not final and run is runs[-1]:
                growing = found.pop()
            for part in found:
                films.claim(session, self._who.sid, self._who.epoch, spec, part)
        return growing

    def _rush(self, growing: list[Shot]) -> None:
        known = [shot.key for shot in growing]
        n = len(self._rushed) if known[: len(self._rushed)] == self._rushed else 0
        self._rushed = known
        if known[n:]:
            self._say(pipe.Rushes(n=n, shots=tuple(growing[n:])))

    def _send(self, row: File, there: list[Shot]) -> None:
        if row.key not in self._ordered:
            self._ordered.add(row.key)
            shots = tuple(shot for shot in there if row.start_90k <= shot.start_90k < row.end_90k)
            self._say(pipe.Film(key=row.key, start_90k=row.start_90k, end_90k=row.end_90k, shots=shots))
