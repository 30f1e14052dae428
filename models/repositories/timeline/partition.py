"""The rows of a track: its head and its holes, looked at and changed by compare-and-set. Nobody's rights are judged here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import add_if_absent, moved
from models.repositories.timeline.arbitration import Claimant
from models.tables import Hole, Track
from models.vocabulary.errors import StateUnavailable
from models.vocabulary.states import HoleState

#: Each lost race means that somebody else got on; so many in a row mean that something is wrong.
MAX_TRIES: Final = 24
OPEN: Final = (HoleState.OWED, HoleState.LOST)
NO_HOLE: Final = HoleState.FILLED


class LostRace(Exception):
    """Somebody changed the row first."""


def check(start_90k: int, end_90k: int) -> None:
    if not 0 <= start_90k < end_90k:
        raise ValueError(f"[{start_90k}, {end_90k}) is no range of a timeline")


def tries() -> Iterator[int]:
    yield from range(MAX_TRIES)
    raise StateUnavailable("the timeline changes faster than it can be written to")


def head_of(session: Session, sid: str, track: str) -> int:
    seen = session.scalar(select(Track.head_90k).where(Track.sid == sid, Track.track == track))
    if seen is None:
        add_if_absent(session, Track, ("sid", "track"), sid=sid, track=track, head_90k=0)
    return seen or 0


def open_holes(session: Session, sid: str, track: str, start_90k: int, end_90k: int) -> list[Hole]:
    """Open holes that meet the range, in order."""
    if start_90k >= end_90k:
        return []
    met = select(Hole).where(Hole.sid == sid, Hole.track == track, Hole.state.in_(OPEN))
    met = met.where(Hole.start_90k < end_90k, Hole.end_90k > start_90k).order_by(Hole.start_90k)
    return list(session.scalars(met, execution_options={"populate_existing": True}))


def tiled(holes: Sequence[Hole], start_90k: int, end_90k: int) -> bool:
    """Whether the holes leave nothing of the range out. An empty range is tiled by nothing."""
    at = start_90k
    for hole in holes:
        if hole.start_90k > at:
            return False
        at = hole.end_90k
    return at >= end_90k


# -- changing, or raising LostRace
def append(session: Session, me: Claimant, seen_90k: int, end_90k: int) -> None:
    track = update(Track).where(Track.sid == me.sid, Track.track == me.track, Track.head_90k == seen_90k)
    if moved(session, track.values(head_90k=end_90k).returning(Track.head_90k)) is None:
        raise LostRace


def carve(
    session: Session, hole: Hole, start_90k: int, end_90k: int, *, state: HoleState, cause: str, owed: int
) -> None:
    """Make the part of the hole inside [start, end) another one; what sticks out stays as it was."""
    me = Claimant(hole.sid, hole.track, hole.owed_epoch)
    start_90k, end_90k = max(start_90k, hole.start_90k), min(end_90k, hole.end_90k)
    was, tail_from, tail_to = hole.state, end_90k, hole.end_90k
    at_front = start_90k == hole.start_90k
    change = update(Hole).where(
        Hole.sid == hole.sid,
        Hole.track == hole.track,
        Hole.start_90k == hole.start_90k,
        Hole.end_90k == hole.end_90k,
        Hole.state == was,
        Hole.owed_epoch == hole.owed_epoch,
    )
    if at_front:
        change = change.values(end_90k=end_90k, state=state, cause=cause[:200], owed_epoch=owed)
    else:
        change = change.values(end_90k=start_90k)
    if moved(session, change.returning(Hole.start_90k)) is None:
        raise LostRace
    if not at_front:
        dig(session, me, start_90k, end_90k, state, owed, cause, hole.since_ms)
    if tail_from < tail_to:
        dig(session, me, tail_from, tail_to, was, hole.owed_epoch, hole.cause, hole.since_ms)


def dig(
    session: Session,
    me: Claimant,
    start_90k: int,
    end_90k: int,
    state: HoleState,
    owed: int,
    cause: str,
    since_ms: int | None = None,
) -> None:
    session.add(
        Hole(
            sid=me.sid,
            track=me.track,
            start_90k=start_90k,
            end_90k=end_90k,
            state=state,
            owed_epoch=owed,
            cause=cause[:200],
            since_ms=now_ms(session) if since_ms is None else since_ms,
        )
    )
