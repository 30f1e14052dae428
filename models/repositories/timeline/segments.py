"""Segments: reserved by who made one, stored once a store has proven it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.repositories.statements import moved
from models.repositories.timeline.abandonment import take_over
from models.repositories.timeline.arbitration import (
    Claimant,
    brought,
    grant_of,
    is_piece,
    superseded,
    undecided,
    within,
)
from models.repositories.timeline.gaps import owe
from models.repositories.timeline.partition import (
    NO_HOLE,
    LostRace,
    append,
    carve,
    check,
    head_of,
    open_holes,
    tiled,
    tries,
)
from models.tables import Hole, Segment
from models.vocabulary.states import HoleState, SegmentState


@dataclass(frozen=True, slots=True)
class Reserved:
    """The range has this segment, and nobody else's. Upload it."""


@dataclass(frozen=True, slots=True)
class Covered:
    """At least a part of the range has segments of others, or was a pause. Do not upload it."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Not granted. `for_good`: never will be; else a later tenure is at work now: keep it, ask again."""

    for_good: bool


def reserve(
    session: Session,
    sid: str,
    track: str,
    epoch: int,
    owner: str,
    start_90k: int,
    end_90k: int,
    key: str,
    bytes_: int,
    md5: str,
    cause: str = "",
    slot_90k: int | None = None,
    shape: str = "",
) -> Reserved | Covered | Fenced:
    """Give [start, end) of a track to this segment. `cause`: why there is a jump before it, if there is one.
    `slot_90k`: length of a slot, while it matters whether somebody else brings the whole one (rule 6).

    Asked again with the same key and range, answers the same. Raises `StateUnavailable` when races are lost for ever.
    """
    check(start_90k, end_90k)
    me = Claimant(sid, track, epoch)
    for _ in tries():
        if (known := _by_key(session, sid, key)) is not None:
            mine = (known.track, known.epoch, known.start_90k, known.end_90k) == (track, epoch, start_90k, end_90k)
            return Reserved() if mine else Covered()
        grant = grant_of(session, sid, epoch, owner)
        if grant is None or not within(grant, start_90k, end_90k):
            return Fenced(for_good=True)
        head = head_of(session, sid, track)
        if end_90k > head and (superseded(session, grant) or brought(session, me, head, start_90k)):
            return Fenced(for_good=False)
        if slot_90k is not None and is_piece(start_90k, end_90k, slot_90k):
            slot_start = start_90k // slot_90k * slot_90k
            if brought(session, me, slot_start, end_90k):
                return Fenced(for_good=False)
        before_90k = min(end_90k, head)
        holes = open_holes(session, sid, track, start_90k, before_90k)
        late = any(hole.state == HoleState.LOST for hole in holes)
        row = Segment(
            sid=sid,
            track=track,
            start_90k=start_90k,
            end_90k=end_90k,
            epoch=epoch,
            key=key,
            state=SegmentState.RESERVED,
            bytes=bytes_,
            md5=md5,
            shape=shape,
            late=late,
        )
        if tiled(holes, start_90k, before_90k):
            try:
                # A single compare-and-set that loses has changed nothing; only of several must the first be undone.
                with session.begin_nested() if len(holes) + (end_90k > head) > 1 else nullcontext():
                    _place(session, me, row, holes, head, cause)
            except LostRace:
                continue
            return Reserved()
        if not undecided(session, me, start_90k, end_90k):
            return Covered()
        try:
            with session.begin_nested():
                _take_over(session, me, row, head, cause)
        except LostRace:
            return Fenced(for_good=False)
        return Reserved()
    raise AssertionError  # tries raises


def _place(session: Session, me: Claimant, row: Segment, holes: Sequence[Hole], head_90k: int, cause: str) -> None:
    start_90k, end_90k = row.start_90k, row.end_90k
    if end_90k > head_90k:
        append(session, me, head_90k, end_90k)
        owe(session, me, head_90k, start_90k, cause)
    for hole in holes:
        carve(session, hole, start_90k, end_90k, state=NO_HOLE, cause=hole.cause, owed=hole.owed_epoch)
    session.add(row)
    session.flush()


def _take_over(session: Session, me: Claimant, row: Segment, head_90k: int, cause: str) -> None:
    """The dead give way to who has a copy."""
    before_90k = min(row.end_90k, head_90k)
    passed = take_over(session, me.sid, me.track, row.start_90k, before_90k)
    holes = open_holes(session, me.sid, me.track, row.start_90k, before_90k)
    if passed is None or not tiled(holes, row.start_90k, before_90k):
        raise LostRace
    row.late |= passed
    _place(session, me, row, holes, head_90k, cause)


def stored(session: Session, sid: str, track: str, key: str, *, store: str) -> bool:
    """A store has proven that it has the segment. Whether it moved; the first store counts."""
    change = update(Segment).where(Segment.sid == sid, Segment.key == key, Segment.track == track)
    change = change.where(Segment.state == SegmentState.RESERVED).values(state=SegmentState.STORED, store=store)
    return moved(session, change.returning(Segment.key)) is not None


def known(session: Session, sid: str, keys: Collection[str]) -> set[str]:
    """Which of these keys are segments."""
    if not keys:
        return set()
    return set(session.scalars(select(Segment.key).where(Segment.sid == sid, Segment.key.in_(keys))))


def _by_key(session: Session, sid: str, key: str) -> Any | None:
    s = Segment
    found = select(s.track, s.epoch, s.start_90k, s.end_90k).where(s.sid == sid, s.key == key)
    return session.execute(found).first()
