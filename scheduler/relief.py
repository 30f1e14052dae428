"""Relief: who is to leave gets a successor first, and whoever wants a standby gets one. Make before break.

A successor is a second tenure that makes the same slots. Once it has closed a whole one it could carry the recording
alone, and only then the one on the draining node is told to leave, at its next slot's edge. No edge is agreed: the
timeline takes the first proven copy of each slot, so whoever dies meanwhile costs no frame (docs/design/tenures.md).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import logs
from models.database import Database, now_ms
from models.repositories import nodes, reaping, recordings, tenures, zeros
from models.repositories.tenures import HELD
from models.settings import Settings
from models.tables import Recording, Tenure
from models.vocabulary.channel import JOINABLE_MANY_SCHEMES
from models.vocabulary.errors import NoWorkers
from models.vocabulary.spec import Mode, RecordingSpec
from models.vocabulary.states import Role, Status, TenureState, Wanted
from scheduler import dispatch
from scheduler.broker import Broker
from scheduler.dispatch import Dispatch, Seating

log = logging.getLogger(__name__)

BATCH: Final = 200
#: A recording whose second tenure found no room is tried again so much later.
AGAIN_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Crew:
    """The tenures that capture one recording, as the decision sees them."""

    staying: tuple[Tenure, ...]
    leaving: tuple[Tenure, ...]
    coming: tuple[Tenure, ...]  # dispatched, not claimed yet

    @property
    def size(self) -> int:
        return len(self.staying) + len(self.coming)


def crew(all_: Iterable[Tenure], draining: frozenset[str]) -> Crew:
    """Finalisers capture nothing and count for nobody."""
    capturing = [t for t in all_ if t.role is not Role.FINALISER and t.state is not TenureState.ENDED]
    held = [t for t in capturing if t.state in HELD]
    return Crew(
        staying=tuple(t for t in held if t.node not in draining and t.state is not TenureState.DRAINING),
        leaving=tuple(t for t in held if t.node in draining and t.state is not TenureState.DRAINING),
        coming=tuple(t for t in capturing if t.state not in HELD and t.node not in draining),
    )


def joinable_many(channel: str) -> bool:
    return channel.partition(":")[0] in JOINABLE_MANY_SCHEMES


def wanted_size(spec: RecordingSpec) -> int:
    """How many tenures are to capture it at once."""
    return max(1, spec.redundancy) if spec.mode is Mode.MIX and joinable_many(spec.channel) else 1


class Relief:
    def __init__(self, database: Database, broker: Broker, settings: Settings) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings

    def tick(self) -> list[Dispatch]:
        """One round. Returns the tenures that were dispatched."""
        with self._database.unit() as session:
            draining = frozenset(node.name for node in nodes.live(session) if node.draining)
            sids = _short_of_hands(session, draining)
        sent, seating = [], Seating()
        for sid in sids:
            with logs.bound(sid=sid):
                placed = self._relieve(sid, draining, seating)
            if placed is not None:
                log.info("a second tenure goes to node %s, epoch %s", placed.node, placed.epoch)
                self._broker.record(placed.node, placed.sid, placed.epoch, placed.shown)
                sent.append(placed)
        return sent

    def _relieve(self, sid: str, draining: frozenset[str], seating: Seating) -> Dispatch | None:
        with self._database.unit() as session:
            recording = recordings.lock(session, sid)
            if recording is None or not _goes_on(recording):
                return None
            now = crew(tenures.of(session, sid), draining)
            if recording.t0_ms is None:
                return self._move_unbegun(session, recording, now, seating)
            wanted = wanted_size(RecordingSpec.model_validate(recording.spec))
            on_hold = recording.held_90k is not None  # nobody closes slots now
            proven = [t for t in now.staying if t.state is TenureState.LIVE and (t.ready or on_hold)]
            if len(proven) >= wanted:
                for tenure in now.leaving:
                    if tenures.relieve(session, sid, tenure.epoch):
                        log.info("epoch %s on node %s is relieved", tenure.epoch, tenure.node)
                        self._broker.nudge(sid)
            if now.size >= wanted or not (now.staying or now.leaving):
                return None  # enough, or nobody at all: that is the reaper's business
            return self._place(session, recording, now, seating)

    def _move_unbegun(self, session: Session, recording: Recording, now: Crew, seating: Seating) -> Dispatch | None:
        """Nobody has published yet, so there is nothing to lose and no zero to share: the old tenure ends, and the next
        epoch begins elsewhere. Two at once, which do not know of each other's zero, would count from two. Without room
        elsewhere it stays.
        """
        if not now.leaving or now.size or reaping.waits(recording, now_ms(session)):
            return None
        with session.begin_nested() as attempt:
            for tenure in now.leaving:
                zeros.disown(session, recording.sid, tenure.epoch, tenure.owner)
                tenures.revoke(session, recording.sid, tenure.epoch, "its node drains, and nothing is recorded yet")
            old = {tenure.node for tenure in now.leaving}
            placed = self._dispatched(session, recording, Role.PRIMARY, old, seating)
            if placed is None:
                attempt.rollback()
        if placed is None:
            recording.next_dispatch_ms = now_ms(session) + AGAIN_MS
        return placed

    def _place(self, session: Session, recording: Recording, now: Crew, seating: Seating) -> Dispatch | None:
        if reaping.waits(recording, now_ms(session)) or not joinable_many(recording.spec["channel"]):
            return None
        role = Role.SUCCESSOR if now.leaving else Role.STANDBY
        taken = {t.node for t in (*now.staying, *now.leaving, *now.coming)}
        placed = self._dispatched(session, recording, role, taken, seating)
        if placed is None:
            recording.next_dispatch_ms = now_ms(session) + AGAIN_MS
        return placed

    def _dispatched(
        self, session: Session, recording: Recording, role: Role, exclude: Collection[str], seating: Seating
    ) -> Dispatch | None:
        deadline_ms = self._settings.dispatch_deadline_ms
        try:
            return dispatch.place(session, recording, role, deadline_ms=deadline_ms, exclude=exclude, seating=seating)
        except NoWorkers:
            return None


def _goes_on(recording: Recording) -> bool:
    return recording.wanted in (Wanted.RUN, Wanted.HOLD) and recording.status < Status.STOPPING


def _short_of_hands(session: Session, draining: frozenset[str]) -> list[str]:
    """Recordings with a tenure on a draining node, and those that want more than one."""
    held = select(Tenure.sid).where(Tenure.state.in_((TenureState.WARMING, TenureState.LIVE)))
    held = held.where(Tenure.role != Role.FINALISER)
    on_draining = held.where(Tenure.node.in_(draining)).distinct().limit(BATCH)
    found = dict.fromkeys(session.scalars(on_draining)) if draining else {}
    wish = Recording.spec["redundancy"].as_integer() > 1
    redundant = select(Recording.sid).where(Recording.live_key.is_not(None), wish).limit(BATCH)
    return list(found | dict.fromkeys(session.scalars(redundant)))
