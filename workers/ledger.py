"""The ledger of a tenure: what its journal holds and its recorder says, brought into the recording's state in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import recordings, timeline
from models.vocabulary import journal, pipe
from models.vocabulary.errors import StateUnavailable
from workers import bookkeeping
from workers.bookkeeping import Grantee, Outcome
from workers.spool import Spool

log = logging.getLogger(__name__)

ASK_AGAIN_S: Final = 2.0
#: States, warnings and faults that wait for the state to come back.
NOTES_KEPT: Final = 100


class Ledger:
    """`say` passes on to the recorder which entries are committed. What reaches the state may raise `StateUnavailable`."""

    def __init__(
        self,
        database: Database,
        who: Grantee,
        spool: Spool,
        say: Callable[[pipe.Message], None],
        *,
        now: Callable[[], float],
        tag: Mapping[str, object],
    ) -> None:
        self._database = database
        self._who = who
        self._spool = spool
        self._say = say
        self._now = now
        self._tag = tag
        self._told = 0  # entries that the recorder says there are
        self._committed = 0
        self._later: dict[str, journal.Slice] = {}  # slices whose place another tenure's work may leave free
        self._refused: set[str] = set()
        self._ask_again_at = 0.0
        self._noted_user_90k: int | None = None
        self._notes: deque[Callable[[Session], object]] = deque(maxlen=NOTES_KEPT)

    # -- notes --------------------------------------------------------------------------------------------------

    def write_down(self, work: Callable[[Session], object]) -> None:
        """At once, or as soon as the state can be reached; what must not be lost for sure is in the journal."""
        self._notes.append(work)
        try:
            self.write_notes()
        except StateUnavailable as error:
            log.warning("not written down yet: %s", error.text, extra=self._tag)

    def write_notes(self) -> None:
        while self._notes:
            with self._database.unit() as session:
                self._notes[0](session)
            self._notes.popleft()

    # -- the journal --------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Tell a new recorder process how its spool stands."""
        self._say(pipe.Committed(n=self._committed, refused=tuple(self._refused), later=tuple(self._later)))

    def grown_to(self, n: int) -> None:
        """The recorder says that there are so many entries."""
        self._told = max(self._told, n)

    @property
    def is_behind(self) -> bool:
        return self._told > self._committed

    def has_all(self, n: int) -> bool:
        return self._committed >= n

    @property
    def is_waiting(self) -> bool:
        """Slices are left whose place is not decided."""
        return bool(self._later)

    def forget(self) -> None:
        """Nothing that still waits for its place is wanted any more."""
        self._later.clear()

    def commit(
        self, *, slot_90k: int, ending: bool, last_user_90k: int | None, also: Callable[[Session, Outcome], None]
    ) -> Outcome:
        """Bring the state up to the journal; `also` happens in the same unit of work."""
        entries = self._spool.entries(after=self._committed)
        with self._database.unit() as session:
            self._place_anew(session, entries)
            outcome = bookkeeping.commit(session, self._who, entries, slot_90k=slot_90k, ending=ending)
            also(session, outcome)
            self._note_user(session, last_user_90k)
        self._committed = max(self._told, outcome.n)
        self._later |= outcome.later
        self._refused.update(outcome.refused)
        refused, later = tuple(outcome.refused), tuple(outcome.later)
        covered = tuple(outcome.covered)
        self._say(pipe.Committed(n=self._committed, refused=refused, covered=covered, later=later))
        return outcome

    def _place_anew(self, session: Session, entries: Sequence[tuple[int, journal.AnyEntry]]) -> None:
        """What a store has, but was given up because we could not say so for too long."""
        placed = {entry.key for _, entry in entries if isinstance(entry, journal.Slice)}
        stored = {entry.key for _, entry in entries if isinstance(entry, journal.Stored)} - placed
        gone = stored - timeline.known(session, self._who.sid, stored)
        if not gone:
            return
        for _, entry in self._spool.entries():
            if isinstance(entry, journal.Slice) and entry.key in gone:
                bookkeeping.reserve(session, self._who, entry, Outcome(), slot_90k=None)

    def _note_user(self, session: Session, last_90k: int | None) -> None:
        if last_90k is not None and last_90k != self._noted_user_90k:
            self._noted_user_90k = last_90k
            recordings.seen_user(session, self._who.sid, last_90k)

    def ask_again(self, *, slot_90k: int | None) -> bool:
        """Slices that came before the tenure which took over had passed them: now they may fill its holes. Whether
        anything was decided; asked now and then.
        """
        if not self._later or self._now() < self._ask_again_at:
            return False
        self._ask_again_at = self._now() + ASK_AGAIN_S
        outcome = Outcome()
        with self._database.unit() as session:
            for slice_ in self._later.values():
                bookkeeping.reserve(session, self._who, slice_, outcome, slot_90k=slot_90k)
        self._later = outcome.later
        if not outcome.granted and not outcome.refused:
            return False
        self._refused.update(outcome.refused)
        refused, granted = tuple(outcome.refused), tuple(outcome.granted)
        covered = tuple(outcome.covered)
        self._say(pipe.Committed(n=self._committed, refused=refused, covered=covered, granted=granted))
        return True
