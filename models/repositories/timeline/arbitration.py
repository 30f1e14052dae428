"""Who may commit what: the rules of the package's docstring, as questions to the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.tables import Recording, Segment, Tenure
from models.vocabulary.states import Role, SegmentState, TenureState

CAPTURING: Final = (TenureState.LIVE, TenureState.DRAINING)
AT_WORK: Final = (TenureState.WARMING, *CAPTURING)


@dataclass(frozen=True, slots=True)
class Claimant:
    sid: str
    track: str
    epoch: int


def grant_of(session: Session, sid: str, epoch: int, owner: str) -> Any | None:
    t = Tenure
    columns = (t.sid, t.epoch, t.from_90k, t.until_90k, Recording.writer_epoch)
    mine = select(*columns).join(Recording, Recording.sid == t.sid)
    return session.execute(mine.where(t.sid == sid, t.epoch == epoch, t.owner == owner)).first()


def within(grant: Any, start_90k: int, end_90k: int) -> bool:
    return bool(start_90k >= grant.from_90k and (grant.until_90k is None or end_90k <= grant.until_90k))


def superseded(session: Session, grant: Any) -> bool:
    """Rule 4 above."""
    later = select(Tenure.epoch).where(Tenure.sid == grant.sid, Tenure.epoch > grant.epoch)
    later = later.where(Tenure.state != TenureState.ENDED, Tenure.role != Role.FINALISER)
    took_over = Tenure.role == Role.PRIMARY
    if grant.until_90k is None:
        took_over |= Tenure.epoch == grant.writer_epoch
    return session.execute(later.where(took_over).limit(1)).first() is not None


def is_piece(start_90k: int, end_90k: int, slot_90k: int) -> bool:
    return start_90k % slot_90k != 0 or end_90k - start_90k != slot_90k


def brought(session: Session, me: Claimant, from_90k: int, to_90k: int) -> bool:
    """Rules 5 and 6: whether somebody else is live who has captured from here on, so could bring what comes after."""
    if to_90k <= from_90k:
        return False
    t = Tenure
    others = select(t.epoch).where(t.sid == me.sid, t.epoch != me.epoch, t.role != Role.FINALISER)
    others = others.where(
        t.state.in_(CAPTURING), t.from_90k <= from_90k, t.until_90k.is_(None) | (t.until_90k > from_90k)
    )
    return session.execute(others.limit(1)).first() is not None


def undecided(session: Session, me: Claimant, start_90k: int, end_90k: int) -> bool:
    """Whether a segment of another tenure in the range still waits for its proof from a store."""
    s = Segment
    waiting = select(s.key).where(s.sid == me.sid, s.track == me.track, s.epoch != me.epoch)
    waiting = waiting.where(s.start_90k < end_90k, s.end_90k > start_90k, s.state == SegmentState.RESERVED)
    return session.execute(waiting.limit(1)).first() is not None


def newest_filler(session: Session, me: Claimant, start_90k: int, end_90k: int, *, but_me: bool) -> int | None:
    """Newest epoch that could fill a part of the range: later ones that are at work on it; mine, if I have been at this
    track before; else also the earlier ones, whose spools may come back.
    """
    mine = select(Segment.start_90k).where(Segment.sid == me.sid, Segment.track == me.track, Segment.epoch == me.epoch)
    been_here = session.execute(mine.limit(1)).first() is not None
    could = select(func.max(Tenure.epoch)).where(
        Tenure.sid == me.sid,
        Tenure.epoch != me.epoch,
        Tenure.role != Role.FINALISER,
        Tenure.from_90k < end_90k,
        Tenure.until_90k.is_(None) | (Tenure.until_90k > start_90k),
    )
    at_work = Tenure.state.in_(AT_WORK)
    others = session.scalar(could.where(at_work if been_here else at_work | (Tenure.epoch < me.epoch)))
    return max((epoch for epoch in (others, me.epoch if been_here and not but_me else None) if epoch), default=None)
