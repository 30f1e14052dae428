"""What the leader does: end dead tenures, and give every recording that nobody works on to somebody.

Every statement is safe with two leaders (compare-and-set, row locks); leading only saves the work of doing it twice.
A node that dies leaves thousands of recordings: they are reaped, mourned and placed in batches, a unit of work each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import logs
from models.database import Database
from models.repositories import nodes, reaping, recordings, resources, rooms, timeline
from models.repositories.reaping import Reaped
from models.settings import Settings
from models.tables import Tenure
from models.vocabulary.states import TenureState
from scheduler import mourning
from scheduler.broker import Broker
from scheduler.dispatch import Dispatch
from scheduler.relief import Relief
from scheduler.unheld import Unheld
from scheduler.watch import Watch

log = logging.getLogger(__name__)

BATCH: Final = 250
MOST_BATCHES: Final = 20
#: So long batch follows batch in one round: with all else in it, a round must end before the leader's lease does.
MOST_S: Final = 1.0
GIVE_UP_EVERY_S: Final = 1.0
RELIEF_EVERY_S: Final = 0.5
CLEAN_EVERY_S: Final = 60.0
#: A room that nobody asked for in so long is forgotten; calls may last for weeks without a new face.
ROOM_IDLE_MS: Final = 30 * 86_400_000


Leads = Callable[[Session], bool]


def always(_: Session) -> bool:
    return True


class Reaper:
    def __init__(self, database: Database, broker: Broker, settings: Settings, *, now_s: Callable[[], float]) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings
        self._now_s = now_s
        ttl_s = settings.tenure_ttl_ms / 1000
        self._relief = Relief(database, broker, settings)
        self._unheld = Unheld(database, broker, settings)
        self._watch = Watch(patience_s=3 * ttl_s, gap_s=ttl_s)
        self._watch_every_s = ttl_s / 4
        self._next: dict[str, float] = {}

    def tick(self, *, may_reap: bool, leads: Leads = always) -> None:
        """One round. Raises `StateUnavailable`; whatever it had not done is done by the next. `leads` is asked again in the
        units that reap: a clock that is set forward ends the tenures' leases, and the leader's with them.
        """
        if self._due("watch", self._watch_every_s):
            with self._database.unit() as session:
                longest_ms = max(self._settings.tenure_ttl_ms, self._settings.dispatch_deadline_ms)
                self._watch.look(reaping.renewals(session, beyond_ms=longest_ms), self._now_s())
                _forgive(session)
        until_s = self._now_s() + MOST_S
        if may_reap:
            self.reap(until_s, leads)
        if self._due("relief", RELIEF_EVERY_S):
            self._relief.tick()
        self.place_unheld(until_s)
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

    def reap(self, until_s: float | None = None, leads: Leads = always) -> list[Reaped]:
        """End tenures that were not claimed or not renewed in time. Returns them as they were."""
        dead: list[Reaped] = []
        for _ in self._batches(until_s):
            with self._database.unit() as session:
                if not leads(session):
                    break
                some = reaping.reap(session, limit=BATCH, stuck=self._watch.stuck(self._now_s()))
                heirs = mourning.mourn(session, some)
            for grant in some:
                with logs.bound(sid=grant.sid, epoch=grant.epoch):
                    log.warning("tenure reaped: %s on node %s was %s", grant.role.value, grant.node, grant.state.value)
            for sid, heir in heirs.items():
                with logs.bound(sid=sid):
                    log.warning("epoch %s goes on", heir)
            dead += some
            if len(some) < BATCH:
                break
        return dead

    def place_unheld(self, until_s: float | None = None) -> list[Dispatch]:
        """Give recordings that nobody works on to a node, or end them. Returns what was dispatched."""
        sent: list[Dispatch] = []
        for _ in self._batches(until_s):
            some, found = self._unheld.place(limit=BATCH)
            sent += some
            if found < BATCH:
                break
        return sent

    def _batches(self, until_s: float | None) -> Iterator[None]:
        """One in any case."""
        for n in range(MOST_BATCHES):
            if n and until_s is not None and self._now_s() >= until_s:
                return
            yield

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
