"""The leader's lease: of any number of schedulers one decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import add_if_absent, moved, run
from models.tables import Leader
from models.tables.base import db_now_ms

#: TTLs of schedulers may differ, but not by more.
BEYOND: Final = 3


@dataclass(frozen=True, slots=True)
class Lead:
    term: int  # counts changes of leader
    held_ms: int  # for so long without a break; reaping waits until it is one tenure TTL


def lead(session: Session, name: str, owner: str, ttl_ms: int) -> Lead | None:
    """Take or keep the lease. None: another has it. A lease that ran out is a break, also for its own holder; so is a
    clock that went back, after which a lease may end later than anybody could have asked for: that is nobody's.
    """
    add_if_absent(session, Leader, ("name",), name=name, owner="", term=0, expires_ms=0, held_since_ms=0)
    now = now_ms(session)
    mine = update(Leader).where(Leader.name == name, Leader.owner == owner, Leader.expires_ms >= now)
    since = case((Leader.held_since_ms > now, now), else_=Leader.held_since_ms)
    keep = mine.values(expires_ms=now + ttl_ms, held_since_ms=since)
    kept = moved(session, keep.returning(Leader.term, Leader.held_since_ms))
    if kept is not None:
        return Lead(kept.term, max(0, now - kept.held_since_ms))
    over = or_(Leader.expires_ms < now, Leader.expires_ms > now + BEYOND * ttl_ms)
    free = update(Leader).where(Leader.name == name, over)
    taken = moved(
        session,
        free.values(owner=owner, term=Leader.term + 1, expires_ms=now + ttl_ms, held_since_ms=now).returning(
            Leader.term
        ),
    )
    return None if taken is None else Lead(taken.term, 0)


def holds(session: Session, name: str, owner: str) -> bool:
    """Whether the lease has not run out, by the clock as it stands now."""
    mine = select(Leader.name).where(Leader.name == name, Leader.owner == owner, Leader.expires_ms >= db_now_ms())
    return session.execute(mine).first() is not None


def release(session: Session, name: str, owner: str) -> None:
    """Free at once."""
    run(session, update(Leader).where(Leader.name == name, Leader.owner == owner).values(expires_ms=0))
