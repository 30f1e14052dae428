"""Reaping: tenures that nobody claimed or renewed in time, and recordings that no tenure works on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import Session

from models.repositories import recordings
from models.repositories.tenures import HELD, OPEN, close
from models.tables import Recording, Segment, Tenure
from models.tables.base import db_now_once_ms
from models.vocabulary.states import Role, TenureState

#: No back-off is that long: what waits longer was told so by a clock that went back since.
LONGEST_WAIT_MS: Final = 120_000


@dataclass(frozen=True, slots=True)
class Reaped:
    """A tenure as it was; of a reaped one, `state` is the state it was reaped in."""

    sid: str
    epoch: int
    owner: str | None
    node: str
    role: Role
    state: TenureState
    from_90k: int
    until_90k: int | None


def reap(session: Session, *, limit: int = 500, stuck: Sequence[tuple[str, int]] = ()) -> list[Reaped]:
    """End what was not claimed in time or not renewed in time, and the `stuck`: those that the caller, by its own
    monotonic clock, saw no renewal of in three TTL (a database clock that went back makes the dead immortal).

    Holds the row locks of their recordings from here on. What another unit holds is left for the next time.
    """
    over = Tenure.expires_ms < db_now_once_ms()
    late = select(Tenure.sid).where(Tenure.state.in_(OPEN), over).limit(limit)
    stuck = stuck[:limit]
    sids = dict.fromkeys((*session.scalars(late), *(sid for sid, _ in stuck)))
    held = [recording.sid for recording in recordings.lock_all(session, list(sids)[:limit], skip_locked=True)]
    due = or_(over, tuple_(Tenure.sid, Tenure.epoch).in_(stuck)) if stuck else over
    found = select(Tenure).where(Tenure.sid.in_(held), Tenure.state.in_(OPEN), due).order_by(Tenure.sid, Tenure.epoch)
    found = found.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    dead = [_reaped(tenure) for tenure in session.scalars(found)] if held else []
    close(session, [(g.sid, g.epoch) for g in dead if g.state not in HELD], "nobody claimed it in time")
    close(session, [(g.sid, g.epoch) for g in dead if g.state in HELD], "its lease ran out")
    return dead


def renewals(session: Session, *, beyond_ms: int = 0) -> dict[tuple[str, int], int]:
    """How often each tenure was renewed whose time ends later than so long from now: what the leader watches by its own
    clock, to name the `stuck`. Beyond a TTL and a dispatch's deadline there is nothing, unless the database's clock went
    back.
    """
    open_ = select(Tenure.sid, Tenure.epoch, Tenure.renewed).where(Tenure.state.in_(OPEN))
    open_ = open_.where(Tenure.expires_ms > db_now_once_ms() + beyond_ms)
    return {(sid, epoch): renewed for sid, epoch, renewed in session.execute(open_)}


def survivors(session: Session, sids: Collection[str]) -> set[str]:
    """Those recordings that another tenure still captures."""
    held = select(Tenure.sid).where(Tenure.sid.in_(sids), Tenure.state.in_(HELD), Tenure.role != Role.FINALISER)
    return set(session.scalars(held))


def sliced(session: Session, keys: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
    """Which of these tenures have made a slice."""
    made = select(Segment.key).where(Segment.sid == Tenure.sid, Segment.epoch == Tenure.epoch).exists()
    mine = select(Tenure.sid, Tenure.epoch).where(tuple_(Tenure.sid, Tenure.epoch).in_(keys), made)
    return {(sid, epoch) for sid, epoch in session.execute(mine)} if keys else set()


def unheld(session: Session, *, limit: int = 500) -> list[str]:
    """Recordings that have not ended and that no tenure works on: to be placed, if their back-off is over."""
    works = select(Tenure.sid).where(Tenure.sid == Recording.sid, Tenure.state.in_(OPEN)).exists()
    open_ = select(Recording.sid).where(Recording.live_key.is_not(None), ~works)
    later = Recording.next_dispatch_ms
    due = open_.where(or_(later <= db_now_once_ms(), later > db_now_once_ms() + LONGEST_WAIT_MS))
    return list(session.scalars(due.order_by(Recording.next_dispatch_ms, Recording.created_ms).limit(limit)))


def _reaped(tenure: Tenure) -> Reaped:
    return Reaped(
        sid=tenure.sid,
        epoch=tenure.epoch,
        owner=tenure.owner,
        node=tenure.node,
        role=tenure.role,
        state=tenure.state,
        from_90k=tenure.from_90k,
        until_90k=tenure.until_90k,
    )


def waits(recording: Recording, now: int) -> bool:
    """Whether its next tenure is to come later."""
    return now < recording.next_dispatch_ms <= now + LONGEST_WAIT_MS
