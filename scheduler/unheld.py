"""Recordings that nobody works on: given to nodes, a batch in one unit of work, or ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy.orm import Session

from models import logs
from models.database import Database, now_ms
from models.repositories import grants, notices, reaping, recordings, timeline
from models.repositories.grants import Past
from models.settings import Settings
from models.tables import Recording
from models.vocabulary.errors import Overloaded, Poisoned, StateUnavailable
from models.vocabulary.events import Event
from models.vocabulary.states import Role, Wanted, ended
from scheduler import backoff, dispatch, endings, lookup
from scheduler.broker import Broker
from scheduler.dispatch import Dispatch, Wish

log = logging.getLogger(__name__)

#: So many messages that could not be sent, and no more of the batch are tried.
MOST_FAILED: Final = 3
NO_PAST: Final = Past(last_node="", claimed=False, open=False)


class Unheld:
    def __init__(self, database: Database, broker: Broker, settings: Settings) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings

    def place(self, *, limit: int) -> tuple[list[Dispatch], int]:
        """One batch: what was dispatched, and how many were to be. Raises `StateUnavailable`."""
        with self._database.unit() as session:
            sids = reaping.unheld(session, limit=limit)
        placed = self._tried(sids)
        self._wake(placed)
        return placed, len(sids)

    def _wake(self, placed: Sequence[Dispatch]) -> None:
        """Tell the nodes. A broker that is away would take seconds for each: what is not sent passes its deadline."""
        failed = 0
        for each in placed:
            with logs.bound(sid=each.sid):
                log.info("dispatched to node %s, epoch %s", each.node, each.epoch)
                if failed < MOST_FAILED and not self._broker.record(each.node, each.sid, each.epoch, each.shown):
                    failed += 1

    def _tried(self, sids: Sequence[str]) -> list[Dispatch]:
        """One recording that cannot be placed must not keep the others from their workers; it is tried again."""
        if not sids:
            return []
        try:
            with self._database.unit() as session:
                return self._decided(session, sids)
        except StateUnavailable:
            raise
        except Exception:
            if len(sids) > 1:
                return [placed for sid in sids for placed in self._tried([sid])]
            with logs.bound(sid=sids[0]):
                log.exception("not placed")
            return []

    def _decided(self, session: Session, sids: Sequence[str]) -> list[Dispatch]:
        known = {r.sid: r for r in recordings.lock_all(session, sids, skip_locked=True)}
        pasts = grants.pasts(session, known)
        in_order = [(known[sid], pasts.get(sid, NO_PAST)) for sid in sids if sid in known]
        wishes = [wish for recording, past in in_order if (wish := _wish(session, recording, past)) is not None]
        placing = dispatch.place_all(session, wishes, deadline_ms=self._settings.dispatch_deadline_ms)
        for sid in placing.roomless:
            _wait_for_room(session, known[sid], claimed=pasts.get(sid, NO_PAST).claimed)
        went_on = [wish.recording for wish in wishes if _goes_on(wish, placing.placed, pasts)]
        notices.say_all(session, Event.SESSION_FAILOVER, {r.sid: {"newUid": int(r.spec["uid"])} for r in went_on})
        return [placing.placed[wish.recording.sid] for wish in wishes if wish.recording.sid in placing.placed]


def _wish(session: Session, recording: Recording, past: Past) -> Wish | None:
    """What it needs. None: it has come to its end, or somebody works on it by now."""
    if ended(recording.status) or past.open:
        return None
    if recording.deaths >= backoff.GIVEN_UP_AFTER:
        endings.fail(session, recording, Poisoned("it could not even be ended in order: its finalisers died"))
        return None
    if recording.deaths >= backoff.POISONED_AFTER and not lookup.is_ending(recording):
        _poison(session, recording)
        session.refresh(recording)
    if ended(recording.status):
        return None
    if lookup.is_ending(recording) and not past.claimed:
        endings.exit_empty(session, recording)
        return None
    role = Role.FINALISER if lookup.is_ending(recording) else Role.PRIMARY
    return Wish(recording, role, avoid={past.last_node} - {""})


def _goes_on(wish: Wish, placed: dict[str, Dispatch], pasts: dict[str, Past]) -> bool:
    sid = wish.recording.sid
    return sid in placed and wish.role is Role.PRIMARY and pasts.get(sid, NO_PAST).claimed


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
