"""The conclusion of a tenure: capture is over; once all is stored and published, the recording or the tenure is ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from models.database import Database
from models.repositories import backups, recordings, snapshots, tenures, timeline
from models.vocabulary import pipe
from models.vocabulary.journal import CANCELLED
from models.vocabulary.spec import Backup, RecordingSpec
from workers import ending
from workers.bookkeeping import Grantee
from workers.films import Films
from workers.ledger import Ledger
from workers.publication import Publication

#: Whether an ending recording is through depends on others too: looked at so often when nothing is heard here.
LOOK_AGAIN_S: Final = 0.5
#: … and so long for the customer's store, where there is a backup store. `stop` is still waiting then.
BACKUP_S: Final = 10.0
#: So long an ending recording waits for other tenures' segments that no store has acknowledged.
OTHERS_S: Final = 8.0
#: So long a cancelled one waits for a store that takes nothing.
STORE_S: Final = 30.0
#: Why what they do not bring is a hole.
LOST: Final = "the worker was lost before its upload"


class Conclusion:
    """What reaches the state may raise `StateUnavailable`; nothing is lost by looking again."""

    def __init__(
        self,
        database: Database,
        who: Grantee,
        ledger: Ledger,
        publication: Publication,
        films: Films,
        *,
        now: Callable[[], float],
        backup: Backup | None = None,
    ) -> None:
        self._backup = backup
        self._database = database
        self._who = who
        self._ledger = ledger
        self._publication = publication
        self._films = films
        self._now = now
        self._drained: pipe.Drained | None = None
        self._drained_at = 0.0
        self._stirred = True  # something happened since we looked whether all is done
        self._look_again_at = 0.0

    def drained(self, drained: pipe.Drained) -> None:
        self._drained, self._drained_at, self._stirred = drained, self._now(), True

    def start_over(self) -> None:
        """A new recorder process has not drained."""
        self._drained = None

    def stir(self) -> None:
        """Something happened: it is worth looking."""
        self._stirred = True

    @property
    def has_begun(self) -> bool:
        return self._drained is not None

    def is_time_to_look(self) -> bool:
        if self._drained is None or not self._ledger.has_all(self._drained.n):
            return False
        return self._stirred or self._now() >= self._look_again_at

    def look(self, spec: RecordingSpec, *, writer: bool, reads: bool, cancelled: bool = False) -> bool:
        """Capture is over and all of it is committed: whether nothing is left to do here, all being stored and published.

        `reads`: what is in the store can be had back. `cancelled`: what is not stored by now is not waited for.
        """
        assert self._drained is not None
        self._stirred, self._look_again_at = False, self._now() + LOOK_AGAIN_S
        is_last = writer and self._drained.reason != "cut"
        with self._database.unit() as session:
            if is_last:
                ending.capture_is_over(session, self._who, self._drained.reason)
            mine = timeline.unsent(session, self._who.sid, epoch=self._who.epoch)
            if self._now() < self._drained_at + OTHERS_S:  # no snapshot is worth more
                mine += snapshots.count(session, self._who.sid, waiting=True)
        if mine or self._ledger.is_waiting:
            return False
        if not is_last:
            if not reads and not cancelled and not self._films.order_mine(spec):
                return False  # who goes on could not read what we have here
            self._hand_in()
            return True
        if not self._others_are_through(
            patience_s=0.0 if cancelled else OTHERS_S, cause=CANCELLED if cancelled else LOST
        ):
            return False
        filmed = cancelled or self._films.order_all(spec)
        with self._database.unit() as session:
            waiting = backups.waiting(session, self._who.sid)
        self._publication.publish(spec, final=not waiting, filmed=filmed)
        if filmed and not waiting and self._publication.complete:
            self._end()
            return True
        if filmed and self._leave_to_backup(spec):
            return True
        return cancelled and self._now() >= self._drained_at + STORE_S and self._end_without_documents()

    def _leave_to_backup(self, spec: RecordingSpec) -> bool:
        """The customer's store does not take what is left: the backup store has it, and others will move it."""
        if self._backup is None or self._now() < self._drained_at + min(self._backup.after_s, BACKUP_S):
            return False
        if not self._publication.hold(spec):
            return False
        with self._database.unit() as session:
            self._publication.record_held(session)
            ending.all_is_stored(session, self._who, backuped=True)
        return True

    def _end_without_documents(self) -> bool:
        """Cancelled, and the store takes nothing: nobody is to wait for it."""
        with self._database.unit() as session:
            recordings.warn(
                session, self._who.sid, "cancelled while the store took nothing: the playlist was not ended"
            )
            ending.all_is_stored(session, self._who)
        return True

    def _others_are_through(self, *, patience_s: float, cause: str) -> bool:
        """Earlier tenures may still be bringing in what their spools hold; what they do not bring in time is a hole."""
        with self._database.unit() as session:
            left = timeline.unsent(session, self._who.sid)
            if left and self._now() >= self._drained_at + patience_s:
                for track in timeline.tracks(session, self._who.sid):
                    timeline.abandon(session, self._who.sid, track, but_epoch=self._who.epoch, cause=cause)
                left = 0
        return not left

    def _end(self) -> None:
        with self._database.unit() as session:
            self._publication.record(session)
            ending.all_is_stored(session, self._who)

    def _hand_in(self) -> None:
        """What this tenure was granted is in the store. Who is left writes the documents; nobody left: the reaper's turn."""
        with self._database.unit() as session:
            recordings.lock(session, self._who.sid)  # the lock order: recording, then tenure
            others = any(
                t.epoch != self._who.epoch and t.state in tenures.HELD for t in tenures.of(session, self._who.sid)
            )
            cause = "another tenure went on" if others else "what it left behind was brought in"
            tenures.end(session, self._who.sid, self._who.epoch, self._who.owner, cause)
            tenures.promote(session, self._who.sid)
