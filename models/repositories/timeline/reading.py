"""The timeline as it is read: rows, what a playlist may list, what is still to be uploaded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from models.repositories.timeline.partition import NO_HOLE
from models.tables import Hole, Segment, Track
from models.tables.timeline import IS_RESERVED
from models.vocabulary.playlist import Entry
from models.vocabulary.states import HoleState, SegmentState

PRIMARY: Final = "primary"


def head(session: Session, sid: str, track: str) -> int:
    """First tick not yet in the timeline."""
    return session.scalar(select(Track.head_90k).where(Track.sid == sid, Track.track == track)) or 0


def reach(session: Session, sid: str) -> int:
    """First tick that no track of the recording has in the timeline yet."""
    return session.scalar(select(func.max(Track.head_90k)).where(Track.sid == sid)) or 0


def reaches(session: Session, sids: Collection[str]) -> dict[str, int]:
    """`reach` of many; one of which nothing is in the timeline yet is missing."""
    heads = select(Track.sid, func.max(Track.head_90k)).where(Track.sid.in_(sids)).group_by(Track.sid)
    return dict(session.execute(heads).all())


def streams(session: Session, sid: str) -> list[tuple[str, int]]:
    """Tracks of which a store has something, with the tick at which that begins."""
    first = select(Segment.track, func.min(Segment.start_90k)).where(Segment.sid == sid)
    first = first.where(Segment.state == SegmentState.STORED).group_by(Segment.track).order_by(Segment.track)
    return [(track, start_90k) for track, start_90k in session.execute(first)]


def is_begun(session: Session, sid: str, track: str) -> bool:
    """Whether a segment of a track is in the timeline."""
    mine = select(Segment.start_90k).where(Segment.sid == sid, Segment.track == track).limit(1)
    return session.execute(mine).first() is not None


def tracks(session: Session, sid: str) -> list[str]:
    return list(session.scalars(select(Track.track).where(Track.sid == sid).order_by(Track.track)))


def rows(session: Session, sid: str, track: str) -> tuple[list[Segment], list[Hole]]:
    """Segments and holes in time order; filled parts of holes are left out."""
    segments = select(Segment).where(Segment.sid == sid, Segment.track == track).order_by(Segment.start_90k)
    holes = select(Hole).where(Hole.sid == sid, Hole.track == track, Hole.state != NO_HOLE).order_by(Hole.start_90k)
    fresh = {"populate_existing": True}
    return (
        list(session.scalars(segments, execution_options=fresh)),
        list(session.scalars(holes, execution_options=fresh)),
    )


def publishable(
    session: Session, sid: str, track: str, *, final: bool, stores: Collection[str] = (PRIMARY,)
) -> list[Entry]:
    """What a playlist may list: the longest prefix that the customer's store has acknowledged, up to the first owed hole.

    `final` passes over owed holes; a segment that is not stored, or is in another store, still ends it.
    """
    s = Segment
    columns = (s.start_90k, s.end_90k, s.key, s.shape, s.bytes, s.state, s.store)
    listed = select(*columns).where(s.sid == sid, s.track == track).order_by(s.start_90k)
    if not final:
        listed = listed.where(s.late.is_(False))
    if not final and (owed := _first_owed(session, sid, track)) is not None:
        listed = listed.where(s.start_90k < owed)
    entries: list[Entry] = []
    for start_90k, end_90k, key, shape, bytes_, state, store in session.execute(listed):
        if state != SegmentState.STORED or store not in stores:
            break
        entries.append(Entry(start_90k, end_90k, key, shape, bytes_))
    return entries


def unsent(session: Session, sid: str, *, epoch: int | None = None) -> int:
    """Segments that no store has acknowledged, of one tenure or of all."""
    waiting = select(func.count()).select_from(Segment).where(Segment.sid == sid)
    if epoch is not None:
        waiting = waiting.where(Segment.epoch == epoch)
    return session.scalar(waiting.where(IS_RESERVED)) or 0


def uploaded(session: Session, sid: str) -> tuple[int, int]:
    """(recorded, uploaded): segments' lengths in ticks, over all tracks."""
    length = Segment.end_90k - Segment.start_90k
    both = select(
        func.coalesce(func.sum(length), 0),
        func.coalesce(func.sum(case((Segment.state == SegmentState.STORED, length), else_=0)), 0),
    )
    recorded, stored_ = session.execute(both.where(Segment.sid == sid)).one()
    return int(recorded), int(stored_)


def _first_owed(session: Session, sid: str, track: str) -> int | None:
    owed = select(func.min(Hole.start_90k)).where(Hole.sid == sid, Hole.track == track, Hole.state == HoleState.OWED)
    return session.scalar(owed)
