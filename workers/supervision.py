"""Supervision of one tenure: a recorder process on one side, the state on the other, and a queue of what happened between.

One thread runs `Supervision.run` from claim to end. It commits journals, answers the recorder, restarts it when it dies,
publishes documents while its tenure is the writer, and ends the recording. Nothing in here blocks the recorder.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import recordings, tenures, timeline
from models.vocabulary import journal, pipe
from models.vocabulary.errors import Poisoned, StateUnavailable
from models.vocabulary.states import Role, Status, TenureState, Wanted
from models.vocabulary.ticks import seconds, slot_end_after, slot_ticks, ticks
from workers import bookkeeping, ending
from workers.assignment import TRACK, Assignment
from workers.bookkeeping import Grantee, Outcome
from workers.children import Nursery
from workers.process import Exited, Line, RecorderProcess
from workers.publication import Publication
from workers.spool import Spool

log = logging.getLogger(__name__)

#: A recorder that has not said it is alive for so long is frozen: it is killed and started again.
FROZEN_S: Final = 3.0
#: … but its first words may take longer: a new interpreter imports libav on a busy machine.
FIRST_WORDS_S: Final = 15.0
POISON_DEATHS: Final = 5
POISON_WITHIN_S: Final = 60.0
#: Before the 1st, 2nd … restart in a row.
RESTART_S: Final = (0.0, 0.2, 1.0, 2.0, 5.0)
STEP_S: Final = 0.1
RETRY_STATE_S: Final = 0.5
ASK_AGAIN_S: Final = 2.0
#: Whether an ending recording is through depends on others too: looked at so often when nothing is heard here.
LOOK_AGAIN_S: Final = 0.5
#: States, warnings and faults that wait for the state to come back.
NOTES_KEPT: Final = 100
#: How often a receiver is told how far the uploads are (contract §7, event 33).
PROGRESS_S: Final = 60.0
#: So long an ending recording waits for other tenures' segments that no store has acknowledged.
#: The edge at which a relieved tenure leaves is at least so far ahead that its recorder has not passed it.
EDGE_S: Final = 0.5
OTHERS_S: Final = 8.0


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
        self._nursery = nursery
        self._now = now
        self.who = Grantee(assignment.sid, assignment.epoch, assignment.owner)
        self._tag = {"sid": assignment.sid, "epoch": assignment.epoch}
        self._assignment = assignment
        self._role = assignment.role
        self._writer = assignment.writer
        self._spool = Spool.make(spools, assignment.sid, assignment.owner)
        self._publication = Publication(assignment.sid, assignment.epoch, database, self._say)
        self._inbox: queue.SimpleQueue[Happening] = queue.SimpleQueue()

        self._child: RecorderProcess | None = None
        self._heard_at = 0.0
        self._alive: pipe.Alive | None = None  # its newest sign of life
        self._deaths: list[float] = []
        self._restart_at: float | None = None

        self._journal = 0  # entries that the recorder says there are
        self._committed = 0
        self._later: dict[str, journal.Slice] = {}  # slices whose place another tenure's work may leave free
        self._refused: set[str] = set()
        self._ask_again_at = 0.0
        self._settle_at = 0.0
        self._noted_user_90k: int | None = None
        self._progress_at = now() + PROGRESS_S

        self._finishing = False
        self._leaving = False
        self._drained: pipe.Drained | None = None
        self._drained_at = 0.0
        self._last_words: pipe.Fault | None = None  # a recorder's, which left because of it
        self._hopeless: pipe.Fault | None = None
        self._notes: deque[Callable[[Session], object]] = deque(maxlen=NOTES_KEPT)
        self._stirred = True  # something happened since we looked whether all is done
        self._look_again_at = 0.0
        self._sealed = False
        self._done = False

    # -- for the node -------------------------------------------------------------------------------------------

    @property
    def observed_gen(self) -> int:
        return self._assignment.spec_gen

    @property
    def proves_itself(self) -> bool:
        """Whether the tenure deserves to be renewed: its recorder lives, or is being started again."""
        return not self._done and (self._child is None or self._now() - self._heard_at < self._silence_s() + 1)

    def renewed(self, renewed: tenures.Renewed, asked_at_s: float) -> None:
        self._inbox.put(Answer(renewed, asked_at_s))

    def fenced(self) -> None:
        self._inbox.put(Fenced())

    # -- life ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Returns when nothing is left to do for this tenure here."""
        self._start_child()
        try:
            while not self._done:
                self._step()
        finally:
            if self._child is not None:
                self._child.kill()

    def _step(self) -> None:
        with suppress(queue.Empty):
            self._happened(self._inbox.get(timeout=STEP_S))
            while True:  # all of it: after a wait for the state the signs of life may stand far behind
                self._happened(self._inbox.get_nowait())
        now = self._now()
        if self._restart_at is not None and now >= self._restart_at:
            self._restart_at = None
            self._start_child()
        if self._child is not None and now - self._heard_at > self._silence_s():
            log.warning("the recorder is frozen and is killed", extra=self._tag)
            self._child.kill()
            self._heard_at = now
        if now >= self._settle_at:
            try:
                self._settle()
            except StateUnavailable as error:
                log.warning("the state cannot be reached: %s", error.text, extra=self._tag)
                self._settle_at = now + RETRY_STATE_S

    def _silence_s(self) -> float:
        return FIRST_WORDS_S if self._alive is None else FROZEN_S

    def _happened(self, happening: Happening) -> None:
        match happening:
            case Line(child, raw) if child is self._child:
                self._heard_at = self._now()
                try:
                    self._heard(pipe.up(raw))
                except ValidationError:
                    log.warning("a line of the recorder is no message", extra=self._tag)
            case Exited(child, code) if child is self._child:
                self._left(code)
            case Answer(renewed, asked_at_s):
                self._wish(renewed, asked_at_s)
            case Fenced():
                self._fence()
            case _:
                pass  # the last words of a recorder that has been replaced

    # -- the recorder -------------------------------------------------------------------------------------------

    def _start_child(self) -> None:
        title = f"{self.who.sid}.{self.who.epoch}"
        try:
            self._child = RecorderProcess(self._nursery, title, self._inbox.put)
        except (OSError, TimeoutError) as error:
            log.error("no recorder could be started: %s", error, extra=self._tag)
            self._restart()
            return
        self._heard_at, self._alive, self._drained = self._now(), None, None
        self._say(self._begin())
        refused, later = tuple(self._refused), tuple(self._later)
        self._say(pipe.Committed(n=self._committed, refused=refused, later=later))
        if self._finishing:
            self._say(pipe.Finish())
        self._publication.start_over()

    def _begin(self) -> pipe.Begin:
        known = self._refreshed() if self._deaths else self._assignment
        anchor = known.anchor
        return pipe.Begin(
            sid=known.sid,
            epoch=known.epoch,
            owner=known.owner,
            role=self._role,
            spec=known.spec,
            secrets=known.secrets,
            spec_gen=known.spec_gen,
            opened_ms=known.opened_ms,
            wall_offset_ms=known.wall_offset_ms,
            t0_ms=known.t0_ms,
            anchor=None if anchor is None else pipe.Point(clock_id=anchor["clock_id"], zero_s=anchor["zero_s"]),
            resume_at_90k=known.resume_at_90k,
            last_user_90k=known.last_user_90k,
            channel_address=known.joining.address,
            credentials=dict(known.joining.credentials),
            spool=str(self._spool.folder),
        )

    def _refreshed(self) -> Assignment:
        """The row knows more by now than at the claim; if it cannot be read, the spool's journal does."""
        try:
            with self._database.unit() as session:
                row = recordings.get(session, self.who.sid)
                if row is not None:
                    return replace(
                        self._assignment,
                        t0_ms=row.t0_ms,
                        anchor=row.anchor,
                        last_user_90k=row.last_user_90k,
                        resume_at_90k=timeline.head(session, self.who.sid, TRACK),
                    )
        except StateUnavailable:
            log.warning("restarting from the journal alone", extra=self._tag)
        return self._assignment

    def _say(self, message: pipe.Message) -> None:
        if self._child is not None:
            self._child.say(message)

    def _left(self, code: int) -> None:
        """The recorder process is gone: as it should, for good, or to be started again."""
        self._child = None
        if self._sealed:
            self._over()
            return
        log.warning("the recorder left with code %s", code, extra=self._tag)
        if self._last_words is not None and not self._last_words.retryable:
            self._hopeless = self._last_words  # for `_settle`: it depends on the state what becomes of it
        else:
            self._restart()

    def _restart(self) -> None:
        now = self._now()
        self._deaths = [*(t for t in self._deaths if now - t < POISON_WITHIN_S), now]
        if len(self._deaths) >= POISON_DEATHS:
            self._hopeless = self._poisoned()
        else:
            self._restart_in(RESTART_S[len(self._deaths) - 1])

    def _restart_in(self, wait_s: float) -> None:
        self._last_words = None
        self._restart_at = self._now() + wait_s

    def _poisoned(self) -> pipe.Fault:
        why = f" The last one said: {self._last_words.text}" if self._last_words is not None else ""
        error = Poisoned((Poisoned.__doc__ or "") + why)
        log.error("%s", error.text, extra=self._tag)
        return pipe.Fault(code=error.code, scope=error.scope, retryable=False, text=error.text, fatal=True)

    def _give_up(self, fault: pipe.Fault) -> None:
        """It records no further. With nothing recorded it has failed; else what it has is brought to its end, once it
        is sure that another try would not go better.
        """
        poisoned = len(self._deaths) >= POISON_DEATHS
        if poisoned and self._role is Role.FINALISER:
            self._leave_it()
            return
        with self._database.unit() as session:
            nothing = timeline.head(session, self.who.sid, TRACK) == 0
            if nothing or poisoned:
                ending.condemn(session, self.who, fault)
            if nothing:
                ending.nothing_was_recorded(session, self.who, fault)
        self._hopeless = None
        if nothing:
            self._over()
        elif poisoned:
            self._role = Role.FINALISER
            self._deaths.clear()
            self._restart_in(RESTART_S[1])
        else:
            self._restart()

    def _leave_it(self) -> None:
        """Not even what there is can be brought to its end here. The spool stays: it may yet be read by somebody."""
        with self._database.unit() as session:
            tenures.end(session, self.who.sid, self.who.epoch, self.who.owner, "its finalisers keep dying")
        self._done = True

    # -- hearing ------------------------------------------------------------------------------------------------

    def _heard(self, message: pipe.Up) -> None:
        match message:
            case pipe.Alive():
                self._alive = message
                self._journal = max(self._journal, message.n)
            case pipe.Journal():
                self._journal = max(self._journal, message.n)
            case pipe.State():
                self._parts_come_up(message.status)
            case pipe.Documented():
                self._publication.written(message.key, message.rev)
                self._stirred = True
            case pipe.Fault():
                self._faulted(message)
            case pipe.Warn():
                self._write_down(lambda session: recordings.warn(session, self.who.sid, message.text))
            case pipe.Stream():
                if self._writer:
                    self._write_down(lambda session: bookkeeping.stream(session, self.who, message))
            case pipe.Drained():
                self._journal = max(self._journal, message.n)
                self._drained, self._drained_at, self._stirred = message, self._now(), True
            case _:
                pass

    def _faulted(self, fault: pipe.Fault) -> None:
        """Fatal to that recorder process is not fatal to the recording: another one may do better."""
        if fault.fatal:
            self._last_words = fault
        if self._writer:
            self._write_down(lambda session: ending.note(session, self.who, fault))

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
            self._write_down(step)

    def _write_down(self, work: Callable[[Session], object]) -> None:
        """At once, or as soon as the state can be reached; what must not be lost for sure is in the journal."""
        self._notes.append(work)
        try:
            self._write_notes()
        except StateUnavailable as error:
            log.warning("not written down yet: %s", error.text, extra=self._tag)

    def _write_notes(self) -> None:
        while self._notes:
            with self._database.unit() as session:
                self._notes[0](session)
            self._notes.popleft()

    # -- wishes -------------------------------------------------------------------------------------------------

    def _wish(self, renewed: tenures.Renewed, asked_at_s: float) -> None:
        was_writer, self._writer = self._writer, renewed.writer and self._assignment.writer
        self._publication.due |= self._writer and not was_writer
        for_s = max(0.0, renewed.for_ms / 1000 - (self._now() - asked_at_s))
        self._say(pipe.LeaseOk(for_s=for_s if self._writer else 0.0))
        if renewed.spec is not None and renewed.wanted_gen > self._assignment.spec_gen:
            secrets = renewed.secrets or self._assignment.secrets
            self._assignment = replace(
                self._assignment, spec=renewed.spec, spec_gen=renewed.wanted_gen, secrets=secrets
            )
            self._say(pipe.Spec(gen=renewed.wanted_gen, spec=renewed.spec, secrets=renewed.secrets))
        if renewed.wanted in (Wanted.STOP, Wanted.CANCEL):
            self._finish(cancel=renewed.wanted is Wanted.CANCEL)
        elif renewed.state is TenureState.DRAINING:
            self._leave()

    def _leave(self) -> None:
        """Another tenure carries the recording: record to the next slot's edge and hand over."""
        if not self._leaving and self._alive is not None:
            self._leaving = True
            at_90k = slot_end_after(self._alive.position_90k + ticks(EDGE_S), self._assignment.spec.slice_s)
            log.info("leaving at %.1f s", seconds(at_90k), extra=self._tag)
            self._say(pipe.Cut(at_90k=at_90k))

    def _fence(self) -> None:
        """Another tenure goes on. What was captured may still fill holes; state and documents are no longer ours."""
        log.warning("the tenure is lost", extra=self._tag)
        self._writer = False
        self._say(pipe.LeaseOk(for_s=0.0))
        self._finish()

    def _finish(self, *, cancel: bool = False) -> None:
        if not self._finishing:
            self._finishing = True
            self._say(pipe.Finish(cancel=cancel))

    # -- settling -----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Bring the state up to the journal, the documents up to the state, and the recording to its end."""
        self._write_notes()
        if self._journal > self._committed or self._hopeless is not None:
            self._commit()  # a recorder's last entries may never have been told: before it is given up, they count
        if self._hopeless is not None:
            self._give_up(self._hopeless)
            return
        if self._writer and not self._sealed and self._now() >= self._progress_at:
            self._progress_at = self._now() + PROGRESS_S
            with self._database.unit() as session:
                bookkeeping.progress(session, self.who)
        if self._later and self._now() >= self._ask_again_at:
            self._ask_again_at = self._now() + ASK_AGAIN_S
            self._ask_again()
        if self._publication.due and self._writer and self._drained is None:
            self._publication.publish(self._assignment.spec, final=False)
        if self._drained is not None and self._committed >= self._drained.n and self._is_time_to_look():
            self._stirred, self._look_again_at = False, self._now() + LOOK_AGAIN_S
            self._conclude(self._drained)

    def _is_time_to_look(self) -> bool:
        return not self._sealed and (self._stirred or self._now() >= self._look_again_at)

    def _commit(self) -> None:
        entries = self._spool.entries(after=self._committed)
        with self._database.unit() as session:
            outcome = bookkeeping.commit(session, self.who, entries, slot_90k=self._slot_90k, ending=self._finishing)
            if outcome.stored and self._writer:
                bookkeeping.first_file(session, self.who)
            self._note_user(session)
        self._committed = max(self._journal, outcome.n)
        self._later |= outcome.later
        self._refused.update(outcome.refused)
        self._publication.due |= outcome.stored > 0
        self._stirred = True
        if outcome.sliced:
            self._deaths.clear()
        refused, later = tuple(outcome.refused), tuple(outcome.later)
        self._say(pipe.Committed(n=self._committed, refused=refused, later=later))

    @property
    def _slot_90k(self) -> int:
        return slot_ticks(self._assignment.spec.slice_s)

    def _ask_again(self) -> None:
        """Slices that came before the tenure which took over had passed them: now they may fill its holes."""
        outcome = Outcome()
        with self._database.unit() as session:
            for slice_ in self._later.values():
                slot_90k = None if self._finishing else self._slot_90k
                bookkeeping.reserve(session, self.who, slice_, outcome, slot_90k=slot_90k)
        self._later = outcome.later
        if outcome.granted or outcome.refused:
            self._refused.update(outcome.refused)
            self._stirred = True
            refused, granted = tuple(outcome.refused), tuple(outcome.granted)
            self._say(pipe.Committed(n=self._committed, refused=refused, granted=granted))

    def _note_user(self, session: Session) -> None:
        last_90k = self._alive.last_user_90k if self._alive is not None else None
        if last_90k is not None and last_90k != self._noted_user_90k:
            self._noted_user_90k = last_90k
            recordings.seen_user(session, self.who.sid, last_90k)

    # -- the end ------------------------------------------------------------------------------------------------

    def _conclude(self, drained: pipe.Drained) -> None:
        """Capture is over and all of it is committed: when all is stored and published, nothing is left to do here."""
        is_last = self._writer and drained.reason != "cut"
        with self._database.unit() as session:
            if is_last:
                ending.capture_is_over(session, self.who, drained.reason)
            mine = timeline.unsent(session, self.who.sid, epoch=self.who.epoch)
        if mine or self._later:
            return
        if not is_last:
            self._hand_in()
        elif self._others_are_through():
            self._publication.publish(self._assignment.spec, final=True)
            if self._publication.complete:
                self._end()

    def _others_are_through(self) -> bool:
        """Earlier tenures may still be bringing in what their spools hold; what they do not bring in time is a hole."""
        with self._database.unit() as session:
            left = timeline.unsent(session, self.who.sid)
            if left and self._now() >= self._drained_at + OTHERS_S:
                cause = "the worker was lost before its upload"
                timeline.abandon(session, self.who.sid, TRACK, but_epoch=self.who.epoch, cause=cause)
                left = 0
        return not left

    def _end(self) -> None:
        with self._database.unit() as session:
            self._publication.record(session)
            ending.all_is_stored(session, self.who)
        self._seal()

    def _hand_in(self) -> None:
        """What this tenure was granted is in the store. Who is left writes the documents; nobody left: the reaper's turn."""
        with self._database.unit() as session:
            recordings.lock(session, self.who.sid)  # the lock order: recording, then tenure
            tenures.end(session, self.who.sid, self.who.epoch, self.who.owner, "another tenure went on")
            tenures.promote(session, self.who.sid)
        self._seal()

    def _seal(self) -> None:
        self._sealed = True
        self._say(pipe.Sealed())

    def _over(self) -> None:
        self._spool.remove()
        self._done = True
