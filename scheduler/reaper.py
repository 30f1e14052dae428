"""What the leader does: end dead tenures, and give every recording that nobody works on to somebody.

Every statement is safe with two leaders (compare-and-set, row locks); leading only saves the work of doing it twice.
Reaping and mourning are two units: a worker locks its recording before its tenure, so nobody may do it the other way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import logs
from models.database import Database, now_ms
from models.repositories import nodes, notices, reaping, recordings, resources, rooms, tenures, timeline
from models.repositories.reaping import Grant
from models.repositories.tenures import HELD
from models.settings import Settings
from models.tables import Recording, Segment, Tenure
from models.vocabulary.errors import NoWorkers, Overloaded, Poisoned, StateUnavailable
from models.vocabulary.events import Event
from models.vocabulary.states import Role, TenureState, Wanted, ended
from scheduler import backoff, dispatch, endings, lookup
from scheduler.broker import Broker
from scheduler.dispatch import Dispatch, Seating
from scheduler.relief import Relief
from scheduler.watch import Watch

log = logging.getLogger(__name__)

BATCH: Final = 200
GIVE_UP_EVERY_S: Final = 1.0
RELIEF_EVERY_S: Final = 0.5
CLEAN_EVERY_S: Final = 60.0
#: A room that nobody asked for in so long is forgotten; calls may last for weeks without a new face.
ROOM_IDLE_MS: Final = 30 * 86_400_000


class Reaper:
    def __init__(self, database: Database, broker: Broker, settings: Settings, *, now_s: Callable[[], float]) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings
        self._now_s = now_s
        ttl_s = settings.tenure_ttl_ms / 1000
        self._relief = Relief(database, broker, settings)
        self._watch = Watch(patience_s=3 * ttl_s, gap_s=ttl_s)
        self._watch_every_s = ttl_s / 4
        self._next: dict[str, float] = {}

    def tick(self, *, may_reap: bool) -> None:
        """One round. Raises `StateUnavailable`; whatever it had not done is done by the next."""
        if self._due("watch", self._watch_every_s):
            with self._database.unit() as session:
                self._watch.look(reaping.renewals(session), self._now_s())
                _forgive(session)
        if may_reap:
            self.reap()
        if self._due("relief", RELIEF_EVERY_S):
            self._relief.tick()
        self.place_unheld()
        if self._due("give up", GIVE_UP_EVERY_S):
            self.give_up()
        if self._due("clean", CLEAN_EVERY_S):
            with self._database.unit() as session:
                recordings.delete_old(session)
                resources.delete_old(session)
                rooms.delete_old(session, idle_ms=ROOM_IDLE_MS)

    def rest(self) -> None:
        """Another scheduler leads."""
        self._watch.forget()

    def _due(self, what: str, every_s: float) -> bool:
        now_s = self._now_s()
        if now_s < self._next.get(what, 0.0):
            return False
        self._next[what] = now_s + every_s
        return True

    # -- the dead -----------------------------------------------------------------------------------------------

    def reap(self) -> list[Grant]:
        """End tenures that were not claimed or not renewed in time. Returns them as they were."""
        with self._database.unit() as session:
            dead = reaping.reap(session, limit=BATCH, stuck=self._watch.stuck(self._now_s()))
        for grant in dead:
            with logs.bound(sid=grant.sid, epoch=grant.epoch):
                log.warning("tenure reaped: %s on node %s was %s", grant.role.value, grant.node, grant.state.value)
                with self._database.unit() as session:
                    _mourn(session, grant)
        return dead

    def give_up(self) -> int:
        """What the dead owed, or had a place for, is lost once the grace is over: the live playlist goes on behind it.
        How many ranges.
        """
        grace_ms = self._settings.hole_grace_ms
        with self._database.unit() as session:
            given_up = timeline.give_up(session, grace_ms=grace_ms)
            forsaken = timeline.forsaken(session, grace_ms=grace_ms, limit=BATCH)
        for sid, track in forsaken:
            with self._database.unit() as session:
                recordings.lock(session, sid)
                lost = timeline.abandon_forsaken(session, sid, track, grace_ms=grace_ms)
            log.warning("%s segments of dead tenures were never uploaded", lost, extra={"sid": sid})
            given_up += lost
        return given_up

    # -- the unheld ---------------------------------------------------------------------------------------------

    def place_unheld(self) -> list[Dispatch]:
        """Give recordings that nobody works on to a node, or end them. Returns what was dispatched."""
        with self._database.unit() as session:
            sids = reaping.unheld(session, limit=BATCH)
        sent, seating = [], Seating()
        for sid in sids:
            with logs.bound(sid=sid):
                placed = self._place_one(sid, seating)
            if placed is not None:
                sent.append(placed)
        return sent

    def _place_one(self, sid: str, seating: Seating) -> Dispatch | None:
        try:
            with self._database.unit() as session:
                placed = self._decide(session, sid, seating)
        except StateUnavailable:
            raise
        except Exception:
            # One recording that cannot be placed must not keep the others from their workers; it is tried again.
            log.exception("not placed")
            return None
        if placed is not None:
            log.info("dispatched to node %s, epoch %s", placed.node, placed.epoch)
            self._broker.record(placed.node, placed.sid, placed.epoch, placed.shown)
        return placed

    def _decide(self, session: Session, sid: str, seating: Seating) -> Dispatch | None:
        recording = recordings.lock(session, sid)
        if recording is None or ended(recording.status):
            return None
        past = tenures.of(session, sid)
        if any(tenure.state is not TenureState.ENDED for tenure in past):
            return None  # another scheduler was faster
        if recording.deaths >= backoff.GIVEN_UP_AFTER:
            endings.fail(session, recording, Poisoned("it could not even be ended in order: its finalisers died"))
            return None
        if recording.deaths >= backoff.POISONED_AFTER and not lookup.is_ending(recording):
            _poison(session, recording)
            session.refresh(recording)
        if ended(recording.status):
            return None
        claimed = any(tenure.owner is not None for tenure in past)
        if lookup.is_ending(recording) and not claimed:
            endings.exit_empty(session, recording)
            return None
        return self._dispatch(session, recording, past, seating)

    def _dispatch(
        self, session: Session, recording: Recording, past: list[Tenure], seating: Seating
    ) -> Dispatch | None:
        role = Role.FINALISER if lookup.is_ending(recording) else Role.PRIMARY
        avoid = {past[-1].node} if past else set()
        try:
            deadline_ms = self._settings.dispatch_deadline_ms
            placed = dispatch.place(session, recording, role, deadline_ms=deadline_ms, avoid=avoid, seating=seating)
        except NoWorkers:
            placed = None
        claimed = any(tenure.owner is not None for tenure in past)
        if placed is None:
            _wait_for_room(session, recording, claimed=claimed)
            return None
        if role is Role.PRIMARY and claimed:
            notices.say(session, recording.sid, Event.SESSION_FAILOVER, newUid=int(recording.spec["uid"]))
        return placed


def _wait_for_room(session: Session, recording: Recording, *, claimed: bool) -> None:
    """What was recorded in part waits as long as it takes; what never began, until its caller has given it up."""
    now = now_ms(session)
    if not claimed and now >= recording.created_ms + backoff.ROOM_WITHIN_MS:
        endings.fail(session, recording, Overloaded(f"no node had room within {backoff.ROOM_WITHIN_MS // 1000} s"))
        return
    recording.next_dispatch_ms = now + backoff.NO_ROOM_MS


def _poison(session: Session, recording: Recording) -> None:
    """Nobody records it any further. What there is is finalised; where there is nothing, it has failed."""
    error = Poisoned()
    if timeline.reach(session, recording.sid) == 0:
        endings.fail(session, recording, error)
        return
    recordings.set_fault(session, recording.sid, endings.fault_of(error))
    recordings.want(session, recording.sid, Wanted.STOP, error.reason)


def _mourn(session: Session, grant: Grant) -> None:
    """What the death of a tenure means for its recording, and for its node."""
    recording = recordings.lock(session, grant.sid)
    if recording is None or ended(recording.status):
        return
    if grant.state not in HELD:
        nodes.missed(session, grant.node)
        return
    if (heir := tenures.promote(session, grant.sid)) is not None:
        log.warning("epoch %s goes on", heir)
        notices.say(session, recording.sid, Event.SESSION_FAILOVER, newUid=int(recording.spec["uid"]))
        return
    sliced = select(Segment.key).where(Segment.sid == grant.sid, Segment.epoch == grant.epoch).limit(1)
    waited = grant.state is not TenureState.WARMING and recording.held_90k is not None  # on hold there are no slices
    recording.deaths = 0 if waited or session.scalar(sliced) is not None else recording.deaths + 1
    recording.next_dispatch_ms = now_ms(session) + backoff.after_deaths_ms(recording.deaths)


def _forgive(session: Session) -> None:
    """A node that has claimed something since its last missed dispatch reads its queue again."""
    for node in nodes.live(session):
        if not node.missed:
            continue
        mine = select(func.max(Tenure.created_ms)).where(Tenure.node == node.name)
        missed_ms = session.scalar(mine.where(Tenure.state == TenureState.ENDED, Tenure.owner.is_(None))) or 0
        claimed_ms = session.scalar(mine.where(Tenure.owner.is_not(None))) or 0
        if claimed_ms > missed_ms:
            nodes.missed(session, node.name, reset=True)
