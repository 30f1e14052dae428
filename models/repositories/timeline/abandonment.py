"""Segments that were reserved and never stored: their ranges are given back, as lost holes.

The spool of whoever reserved may still come back. It fills those holes as it would any other, and asks anew for what a
store has had all along.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from models.repositories.statements import changed, run
from models.repositories.timeline.arbitration import Claimant
from models.repositories.timeline.partition import NO_HOLE, dig
from models.tables import Hole, Segment, Tenure
from models.tables.base import db_now_ms
from models.tables.timeline import IS_RESERVED
from models.vocabulary.states import HoleState, TenureState

LOST_WITH_ITS_WORKER: Final = "the worker was lost before its upload"


def forsaken(session: Session, *, grace_ms: int, limit: int = 200) -> list[tuple[str, str]]:
    """(sid, track) where somebody's death has left segments that nobody uploads, for `abandon_forsaken`."""
    found = select(Segment.sid, Segment.track).where(IS_RESERVED, _nobody_uploads(grace_ms))
    return [(sid, track) for sid, track in session.execute(found.distinct().limit(limit))]


def abandon_forsaken(session: Session, sid: str, track: str, *, grace_ms: int) -> int:
    """Give up what tenures that ended `grace_ms` ago reserved and never stored. How many segments."""
    return _unreserve(session, sid, track, LOST_WITH_ITS_WORKER, _nobody_uploads(grace_ms))


def abandon(session: Session, sid: str, track: str, *, but_epoch: int, cause: str) -> int:
    """Segments that ended tenures other than `but_epoch` reserved and never stored become lost holes. How many.

    Their spools may still come back: they fill those holes as they would any other.
    """
    over = select(Tenure.epoch).where(Tenure.sid == sid, Tenure.state == TenureState.ENDED, Tenure.epoch != but_epoch)
    return _unreserve(session, sid, track, cause, Segment.epoch.in_(over))


def drop(session: Session, sid: str, track: str, epoch: int, key: str, cause: str) -> bool:
    """The tenure that reserved this segment has lost it before any store had it: its range becomes a lost hole.

    Whether there was such a segment.
    """
    return _unreserve(session, sid, track, cause, Segment.epoch == epoch, Segment.key == key) > 0


def take_over(session: Session, sid: str, track: str, start_90k: int, end_90k: int) -> bool | None:
    """Somebody has a copy of [start, end): what ended tenures have reserved of it, and nobody uploads, gives way at
    once. Whether live playlists had passed any of it; None: nothing gave way.
    """
    within = (Segment.start_90k >= start_90k, Segment.end_90k <= end_90k, _nobody_uploads(0))
    found = select(Segment.late).where(Segment.sid == sid, Segment.track == track, IS_RESERVED, *within)
    late = list(session.scalars(found))
    if not late or _unreserve(session, sid, track, LOST_WITH_ITS_WORKER, *within) != len(late):
        return None
    return any(late)


def _nobody_uploads(grace_ms: int) -> ColumnElement[bool]:
    """Judged from outside: nobody can tell a dead worker from an unreachable one, which may have uploaded it."""
    over = select(Tenure.epoch).where(Tenure.sid == Segment.sid, Tenure.epoch == Segment.epoch)
    over = over.where(Tenure.state == TenureState.ENDED, Tenure.ended_ms <= db_now_ms() - grace_ms)
    return over.exists()


def _unreserve(session: Session, sid: str, track: str, cause: str, *which: Any) -> int:
    s = Segment
    gone = delete(s).where(s.sid == sid, s.track == track, IS_RESERVED, *which)
    rows = changed(session, gone.returning(s.start_90k, s.end_90k, s.epoch))
    for start_90k, end_90k, epoch in rows:
        # What it had filled is a hole again, all of one piece.
        below = (Hole.sid == sid, Hole.track == track, Hole.start_90k >= start_90k, Hole.start_90k < end_90k)
        run(session, delete(Hole).where(*below, Hole.state == NO_HOLE))
        dig(session, Claimant(sid, track, epoch), start_90k, end_90k, HoleState.LOST, epoch, cause)
    session.flush()
    return len(rows)
