"""The recording's zero: whoever commits the first one, while nobody later is at work without it, has found it for all.

Two recorders that have not heard of each other's zero count from two. What one of them has made cannot be placed on the
other's clock, so it is granted nothing any more.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.repositories import recordings, tenures
from models.repositories.statements import run
from models.tables import Tenure
from models.vocabulary.states import Role


def found(session: Session, sid: str, epoch: int, owner: str, *, t0_ms: int, anchor: dict[str, Any]) -> bool:
    """A tenure tells where it counts from. Whether that has just become the recording's zero. Again: False.

    Takes the recording's row lock, as does a claim, which learns the zero that there is.
    """
    recording = recordings.lock(session, sid)
    if recording is None:
        return False
    if recording.t0_ms is None and not _is_followed(session, sid, epoch):
        return recordings.zero(session, sid, t0_ms=t0_ms, anchor=anchor)
    known = recording.anchor or {}
    if (recording.t0_ms, known.get("clock_id")) != (t0_ms, anchor.get("clock_id")):
        disown(session, sid, epoch, owner)
    return False


def disown(session: Session, sid: str, epoch: int, owner: str | None) -> None:
    """Nothing that this tenure captured has a place in the recording."""
    mine = update(Tenure).where(Tenure.sid == sid, Tenure.epoch == epoch, Tenure.owner == owner)
    run(session, mine.values(until_90k=0))


def _is_followed(session: Session, sid: str, epoch: int) -> bool:
    """Whether somebody later works without having been told a zero."""
    later = select(Tenure.epoch).where(Tenure.sid == sid, Tenure.epoch > epoch, Tenure.state.in_(tenures.HELD))
    return session.execute(later.where(Tenure.role != Role.FINALISER).limit(1)).first() is not None
