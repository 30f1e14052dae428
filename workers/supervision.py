"""Supervision of one tenure: a recorder process on one side, the state on the other, and a queue of what happened between.

One thread runs `Supervision.run` from claim to end. It commits journals, answers the recorder, restarts it when it dies,
publishes documents while its tenure is the writer, and ends the recording. Nothing in here blocks the recorder.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import recordings, tenures, timeline
from models.vocabulary import pipe
from models.vocabulary.errors import Internal, StateUnavailable
from models.vocabulary.states import Role, Status
from workers import bookkeeping, ending
from workers.assignment import Assignment
from workers.bookkeeping import Grantee, Outcome
from workers.children import Nursery
from workers.conclusion import Conclusion
from workers.films import Films
from workers.incarnations import RESTART_S, Incarnations
from workers.ledger import Ledger
from workers.orders import Orders
from workers.process import Exited, Line
from workers.publication import Publication
from workers.spool import Spool

log = logging.getLogger(__name__)

STEP_S: Final = 0.1
RETRY_STATE_S: Final = 0.5
#: How often a receiver is told how far the uploads are (contract §7, event 33).
PROGRESS_S: Final = 60.0
#: How often who is not the writer asks which films the writer has made.
FOLLOW_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Fenced:
    """The tenure is another's, or over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a renewal that was asked for at `asked_at_s` of our monotonic clock: the lease counts from there."""

    renewed: tenures.Renewed
    asked_at_s: float


Happening = Line | Exited | Fenced | Answer


class Supervision:
    def __init__(
        self,
        database: Database,
        nursery: Nursery,
        spools: Path,
        assignment: Assignment,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._now = now
        self.who = Grantee(assignment.sid, assignment.epoch, assignment.owner)
        self._tag = {"sid": assignment.sid, "epoch": assignment.epoch}
        self._role = assignment.role
        self._spool = Spool.make(spools, assignment.sid, assignment.owner)
        self._inbox: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        title = f"{assignment.sid}.{assignment.epoch}"
        self._recorders = Incarnations(nursery, title, self._inbox.put, now=now, tag=self._tag)
        self._orders = Orders(assignment, self._recorders, now=now, tag=self._tag)
        say = self._recorders.say
        self._ledger = Ledger(database, self.who, self._spool, say, now=now, tag=self._tag)
        self._publication = Publication(assignment.sid, assignment.epoch, database, say)
        self._films = Films(self.who, database, say)
        self._conclusion = Conclusion(
            database, self.who, self._ledger, self._publication, self._films, now=now, backup=assignment.backup
        )
        self._settle_at = 0.0
        self._follow_at = now() + FOLLOW_S
        self._progress_at = now() + PROGRESS_S
        self._hopeless: pipe.Fault | None = None
        self._sealed = False
        self._done = False

    # -- for the node -------------------------------------------------------------------------------------------

    @property
    def observed_gen(self) -> int:
        return self._orders.assignment.spec_gen

    @property
    def proves_itself(self) -> bool:
        """Whether the tenure deserves to be renewed: it is not over, and its recorder lives, or is being started again."""
        return not self._done and not self._sealed and self._recorders.proves_itself

    @property
    def recorder_pid(self) -> int | None:
        return self._recorders.pid

    @property
    def unsent_bytes(self) -> int:
        """Of files that no store has proven."""
        alive = self._recorders.alive
        return 0 if alive is None else alive.unsent_bytes

    def renewed(self, renewed: tenures.Renewed, asked_at_s: float) -> None:
        self._inbox.put(Answer(renewed, asked_at_s))

    def fenced(self) -> None:
        self._inbox.put(Fenced())

    # -- life ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Returns when nothing is left to do for this tenure here."""
        self._start_recorder()
        try:
            while not self._done:
                self._step()
        finally:
            self._recorders.kill()

    def _step(self) -> None:
        with suppress(queue.Empty):
            self._happened(self._inbox.get(timeout=STEP_S))
            while True:  # all of it: after a wait for the state the signs of life may stand far behind
                self._happened(self._inbox.get_nowait())
        if self._recorders.is_due:
            self._start_recorder()
        self._recorders.kill_frozen()
        if self._now() >= self._settle_at:
            try:
                self._settle()
            except StateUnavailable as error:
                log.warning("the state cannot be reached: %s", error.text, extra=self._tag)
                self._settle_at = self._now() + RETRY_STATE_S

    def _happened(self, happening: Happening) -> None:
        match happening:
            case Line(process, raw) if self._recorders.says(process):
                try:
                    self._heard(pipe.up(raw))
                except ValidationError:
                    log.warning("a line of the recorder is no message", extra=self._tag)
                except pipe.WrongVersion as error:
                    self._misunderstood(str(error))
            case Exited(process, code) if self._recorders.left(process):
                self._left(code)
            case Answer(renewed, asked_at_s):
                self._publication.due |= self._orders.renewed(renewed, asked_at_s)
            case Fenced() if not self._sealed:  # else we ended it ourselves while a renewal was on its way
                self._orders.fenced(cancelled=self._is_cancelled())
            case _:
                pass  # the last words of a recorder that has been replaced

    def _is_cancelled(self) -> bool:
        try:
            with self._database.unit() as session:
                return ending.is_cancelled(recordings.get(session, self.who.sid))
        except StateUnavailable:
            return False

    # -- the recorder -------------------------------------------------------------------------------------------

    def _start_recorder(self) -> None:
        if not self._recorders.start():
            self._despair()
            return
        self._conclusion.start_over()
        known = self._orders.assignment if self._recorders.is_first else self._refreshed()
        self._recorders.say(known.begin(self._role, self._spool.folder))
        self._ledger.greet()
        self._orders.repeat()
        self._publication.start_over()
        self._films.start_over()

    def _refreshed(self) -> Assignment:
        """The row knows more by now than at the claim; if it cannot be read, the spool's journal does."""
        known = self._orders.assignment
        try:
            with self._database.unit() as session:
                return known.refreshed(session)
        except StateUnavailable:
            log.warning("restarting from the journal alone", extra=self._tag)
            return known

    def _left(self, code: int) -> None:
        """The recorder process is gone: as it should, for good, or to be started again."""
        if self._sealed:
            self._over()
            return
        log.warning("the recorder left with code %s", code, extra=self._tag)
        words = self._recorders.last_words
        if words is not None and not words.retryable:
            self._hopeless = words  # for `_settle`: it depends on the state what becomes of it
        else:
            self._recorders.restart()
            self._despair()

    def _despair(self) -> None:
        """They die too fast."""
        if self._recorders.is_poisoned:
            self._hopeless = self._recorders.poisoned()

    def _give_up(self, fault: pipe.Fault) -> None:
        """It records no further. With nothing recorded it has failed; else what it has is brought to its end, once it
        is sure that another try would not go better.
        """
        poisoned = self._recorders.is_poisoned
        if poisoned and self._role is Role.FINALISER:
            self._leave_it()
            return
        with self._database.unit() as session:
            nothing = timeline.reach(session, self.who.sid) == 0
            if nothing or poisoned:
                ending.condemn(session, self.who, fault)
            if nothing:
                ending.nothing_was_recorded(session, self.who, fault)
        self._hopeless = None
        if nothing:
            self._over()
        elif poisoned:
            self._role = Role.FINALISER
            self._recorders.forgive()
            self._recorders.restart_in(RESTART_S[1])
        else:
            self._recorders.restart()
            self._despair()

    def _leave_it(self) -> None:
        """Not even what there is can be brought to its end here. The spool stays: it may yet be read by somebody."""
        with self._database.unit() as session:
            tenures.end(session, self.who.sid, self.who.epoch, self.who.owner, "its finalisers keep dying")
        self._done = True

    # -- hearing ------------------------------------------------------------------------------------------------

    def _heard(self, message: pipe.Up) -> None:
        match message:
            case pipe.Alive():
                self._recorders.alive = message
                self._ledger.grown_to(message.n)
            case pipe.Journal():
                self._ledger.grown_to(message.n)
            case pipe.State():
                self._parts_come_up(message.status)
            case pipe.Documented():
                self._publication.written(message.key, message.rev, message.store)
                self._conclusion.stir()
            case pipe.Fault():
                self._faulted(message)
            case pipe.Warn():
                self._ledger.write_down(lambda session: recordings.warn(session, self.who.sid, message.text))
            case pipe.Stream():
                if self._orders.writer:
                    self._ledger.write_down(lambda session: bookkeeping.stream(session, self.who, message))
            case pipe.Drained():
                self._ledger.grown_to(message.n)
                self._conclusion.drained(message)
            case _:
                pass

    def _faulted(self, fault: pipe.Fault) -> None:
        """Fatal to that recorder process is not fatal to the recording: another one may do better."""
        if fault.fatal:
            self._recorders.last_words = fault
        if self._orders.writer:
            self._ledger.write_down(lambda session: ending.note(session, self.who, fault))

    def _misunderstood(self, text: str) -> None:
        log.error("%s", text, extra=self._tag)
        code, scope = Internal.code, Internal.scope
        self._faulted(pipe.Fault(code=code, scope=scope, retryable=True, text=text, fatal=True))

    def _parts_come_up(self, status: Status) -> None:
        def step(session: Session) -> None:
            before = {s for s in Status if s < status}
            cause = "its parts come up"
            sid, epoch = self.who.sid, self.who.epoch
            moved = recordings.advance(session, sid, expect=before, to=status, cause=cause, epoch=epoch)
            if status is Status.READY:
                if moved:
                    bookkeeping.started(session, self.who)
                tenures.live(session, self.who.sid, self.who.epoch, self.who.owner)

        if self._role is not Role.FINALISER:
            self._ledger.write_down(step)

    # -- settling -----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Bring the state up to the journal, the documents up to the state, and the recording to its end."""
        self._ledger.write_notes()
        if self._orders.cancelling:
            self._ledger.forget()
        if self._ledger.is_behind or self._hopeless is not None:
            self._commit()  # a recorder's last entries may never have been told: before it is given up, they count
        if self._hopeless is not None:
            self._give_up(self._hopeless)
            return
        if self._orders.writer and not self._sealed and self._now() >= self._progress_at:
            self._progress_at = self._now() + PROGRESS_S
            with self._database.unit() as session:
                bookkeeping.progress(session, self.who)
        if self._ledger.ask_again(slot_90k=None if self._orders.finishing else self._orders.slot_90k):
            self._conclusion.stir()
        if self._publication.is_time and self._orders.writer and not self._conclusion.has_begun:
            self._publication.publish(self._orders.spec, final=False)
            self._films.order_full(self._orders.spec)
        if not self._orders.writer and self._now() >= self._follow_at:
            self._follow_at = self._now() + FOLLOW_S
            self._films.follow(self._orders.spec)
        if not self._sealed and self._conclusion.is_time_to_look():
            reads = self._recorders.alive is None or self._recorders.alive.store_reads
            self._sealed = self._conclusion.look(
                self._orders.spec, writer=self._orders.writer, reads=reads, cancelled=self._orders.cancelling
            )
            if self._sealed:
                self._recorders.say(pipe.Sealed())

    def _commit(self) -> None:
        def also(session: Session, outcome: Outcome) -> None:
            if outcome.stored and self._orders.writer:
                bookkeeping.first_file(session, self.who)

        alive = self._recorders.alive
        outcome = self._ledger.commit(
            slot_90k=self._orders.slot_90k,
            ending=self._orders.finishing,
            last_user_90k=None if alive is None else alive.last_user_90k,
            also=also,
        )
        self._publication.due |= outcome.stored > 0
        self._conclusion.stir()
        if outcome.sliced:
            self._recorders.forgive()

    def _over(self) -> None:
        self._spool.remove()
        self._done = True
