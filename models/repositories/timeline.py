"""The timeline's only door: each track stays a partition of [0, head) into segments and holes.

It stays one by compare-and-set alone: on the track's head where something is appended, on a hole's row where something
is carved out of it. Whoever loses the race looks again. Neither lock nor exclusion constraint is needed, and PostgreSQL
(READ COMMITTED) and SQLite behave alike.

Who may commit what (fenced by range, never by the tenure's state; an ended tenure's spool may come back at any time):

1. A tenure is (sid, epoch, owner nonce), all three as in its row. Any other is refused for good: it is of a database
   that has since gone back in time.
2. It commits within its grant: from `from_90k` on, and up to `until_90k` where a cut was agreed.
3. Before the head, it may fill any hole that is owed or lost, for ever. A pause was nobody's to record. Where segments
   are already, its copy is one too many, `Covered`, as soon as a store has proven them; until then it is kept, for who
   reserved may die before the upload. So two tenures may make the same range (a standby; a successor that takes over
   from a node that drains): the first good copy of each slot counts, and no death costs a frame.
4. At or past the head, it appends unless it is superseded: a later tenure that captures has not ended, and it is a
   primary, or it is the writer and no cut was agreed with this tenure. So an isolated worker cannot get into the way of
   the one that took over; it is told to ask again, and once the head has passed its slice the slice fills a hole. And
   when all later tenures have ended, what an old spool holds past the head is appended: captured media is not lost.
   A finaliser captures nothing and supersedes nobody.

5. A jump past the head waits while another tenure that is live could still bring what lies between: a slice of its
   that overlaps the jumping one could no longer find its place.
6. For the same reason a piece of a slot (before or after a recorder's death) waits while another live tenure that has
   captured the slot from its start could bring the whole.

A grant that commits while an older tenure's append is in flight lets that one append through, as if it had come first;
`from_90k` of a grant is a lower bound, no promise about the head.

A jump past the head leaves a hole *owed* to the newest tenure that could fill it. A filled part of a hole stays as a
row of state `filled`, for the record; it counts as no hole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import add_if_absent, changed, moved, run
from models.tables import Hole, Recording, Segment, Tenure, Track
from models.tables.base import db_now_ms
from models.vocabulary.errors import StateUnavailable
from models.vocabulary.playlist import Entry
from models.vocabulary.states import HoleState, Role, SegmentState, TenureState

#: Each lost race means that somebody else got on; so many in a row mean that something is wrong.
MAX_TRIES: Final = 24
OPEN: Final = (HoleState.OWED, HoleState.LOST)
NO_HOLE: Final = HoleState.FILLED
CAPTURING: Final = (TenureState.LIVE, TenureState.DRAINING)
AT_WORK: Final = (TenureState.WARMING, *CAPTURING)


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


@dataclass(frozen=True, slots=True)
class _Claimant:
    sid: str
    track: str
    epoch: int


class _LostRace(Exception):
    """Somebody changed the row first."""


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
) -> Reserved | Covered | Fenced:
    """Give [start, end) of a track to this segment. `cause`: why there is a jump before it, if there is one.
    `slot_90k`: length of a slot, while it matters whether somebody else brings the whole one (rule 6).

    Asked again with the same key and range, answers the same. Raises `StateUnavailable` when races are lost for ever.
    """
    _check(start_90k, end_90k)
    me = _Claimant(sid, track, epoch)
    for _ in _tries():
        if (known := _by_key(session, sid, key)) is not None:
            mine = (known.track, known.epoch, known.start_90k, known.end_90k) == (track, epoch, start_90k, end_90k)
            return Reserved() if mine else Covered()
        grant = _grant(session, sid, epoch, owner)
        if grant is None or not _within(grant, start_90k, end_90k):
            return Fenced(for_good=True)
        head = _head(session, sid, track)
        if end_90k > head and (_superseded(session, grant) or _brought(session, me, head, start_90k)):
            return Fenced(for_good=False)
        if slot_90k is not None and _is_piece(start_90k, end_90k, slot_90k):
            slot_start = start_90k // slot_90k * slot_90k
            if _brought(session, me, slot_start, end_90k):
                return Fenced(for_good=False)
        holes = _holes(session, sid, track, start_90k, min(end_90k, head))
        if not _tiled(holes, start_90k, min(end_90k, head)):
            return Fenced(for_good=False) if _undecided(session, me, start_90k, end_90k) else Covered()
        changes = len(holes) + (end_90k > head)
        try:
            # A single compare-and-set that loses has changed nothing; only of several must the first be undone.
            with session.begin_nested() if changes > 1 else nullcontext():
                if end_90k > head:
                    _append(session, me, head, end_90k)
                    _owe(session, me, head, start_90k, cause)
                for hole in holes:
                    _carve(session, hole, start_90k, end_90k, state=NO_HOLE, cause=hole.cause, owed=hole.owed_epoch)
                session.add(
                    Segment(
                        sid=sid,
                        track=track,
                        start_90k=start_90k,
                        end_90k=end_90k,
                        epoch=epoch,
                        key=key,
                        state=SegmentState.RESERVED,
                        bytes=bytes_,
                        md5=md5,
                    )
                )
                session.flush()
        except _LostRace:
            continue
        return Reserved()
    raise AssertionError  # _tries raises


def stored(session: Session, sid: str, track: str, key: str, *, store: str) -> bool:
    """A store has proven that it has the segment. Whether it moved; the first store counts."""
    change = update(Segment).where(Segment.sid == sid, Segment.key == key, Segment.track == track)
    change = change.where(Segment.state == SegmentState.RESERVED).values(state=SegmentState.STORED, store=store)
    return moved(session, change.returning(Segment.key)) is not None


def gap(
    session: Session,
    sid: str,
    track: str,
    epoch: int,
    owner: str,
    start_90k: int,
    end_90k: int,
    cause: str,
    state: HoleState = HoleState.LOST,
) -> bool:
    """This tenure has nothing for [start, end), and says why.

    Past the head, the range becomes a hole of that state. In owed holes, it gives up what is owed to it: a part that
    another tenure could still fill stays owed, to that one. Segments and pauses in the range stay what they are.
    False: fenced, or the range is behind the head and there was nothing to give up.
    """
    _check(start_90k, end_90k)
    assert state != NO_HOLE, "a gap is not filled"
    me = _Claimant(sid, track, epoch)
    for _ in _tries():
        grant = _grant(session, sid, epoch, owner)
        head = _head(session, sid, track)
        if grant is None or not _within(grant, start_90k, end_90k) or (end_90k > head and _superseded(session, grant)):
            return False
        owed = [h for h in _holes(session, sid, track, start_90k, min(end_90k, head)) if h.state == HoleState.OWED]
        try:
            with session.begin_nested():
                if end_90k > head:
                    _append(session, me, head, end_90k)
                    _owe(session, me, head, start_90k, cause)
                    _declare(session, me, max(head, start_90k), end_90k, cause, state)
                given_up = [_give_up_part(session, me, hole, start_90k, end_90k, cause, state) for hole in owed]
        except _LostRace:
            continue
        return end_90k > head or any(given_up)
    raise AssertionError  # _tries raises


def begins(session: Session, sid: str, track: str, epoch: int, owner: str, from_90k: int) -> None:
    """A tenure's first frame: it has nothing from before. What was owed to it there is lost: only a tenure that was at
    work beside it, and lost its own copy, can have left that to it.
    """
    grant = _grant(session, sid, epoch, owner)
    if grant is None or from_90k <= grant.from_90k:
        return
    for hole in _holes(session, sid, track, grant.from_90k, from_90k):
        if hole.owed_epoch == epoch and hole.state == HoleState.OWED:
            _carve(session, hole, grant.from_90k, from_90k, state=HoleState.LOST, cause=hole.cause, owed=epoch)
    mine = update(Tenure).where(Tenure.sid == sid, Tenure.epoch == epoch, Tenure.owner == owner)
    run(session, mine.values(from_90k=from_90k))


def give_up(session: Session, *, grace_ms: int, sid: str | None = None) -> int:
    """Owed becomes lost where every tenure up to the owed epoch has ended, the last one `grace_ms` ago. How many."""
    could = select(Tenure.epoch).where(Tenure.sid == Hole.sid, Tenure.epoch <= Hole.owed_epoch)
    could = could.where((Tenure.state != TenureState.ENDED) | (Tenure.ended_ms > db_now_ms() - grace_ms))
    owed = update(Hole).where(Hole.state == HoleState.OWED, ~could.exists(), Hole.since_ms <= db_now_ms() - grace_ms)
    if sid is not None:
        owed = owed.where(Hole.sid == sid)
    return len(changed(session, owed.values(state=HoleState.LOST).returning(Hole.start_90k)))


def head(session: Session, sid: str, track: str) -> int:
    """First tick not yet in the timeline."""
    return session.scalar(select(Track.head_90k).where(Track.sid == sid, Track.track == track)) or 0


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


def publishable(session: Session, sid: str, track: str, *, final: bool) -> list[Entry]:
    """What a playlist may list: the longest prefix that one store has acknowledged, up to the first owed hole.

    `final` passes over owed holes; a segment that is not stored, or is in another store, still ends it.
    """
    s = Segment
    columns = (s.start_90k, s.end_90k, s.key, s.state, s.store)
    listed = select(*columns).where(s.sid == sid, s.track == track).order_by(s.start_90k)
    if not final and (owed := _first_owed(session, sid, track)) is not None:
        listed = listed.where(s.start_90k < owed)
    entries: list[Entry] = []
    first_store: str | None = None
    for start_90k, end_90k, key, state, store in session.execute(listed):
        first_store = first_store or store
        if state != SegmentState.STORED or store != first_store:
            break
        entries.append(Entry(start_90k, end_90k, key))
    return entries


def unsent(session: Session, sid: str, *, epoch: int | None = None) -> int:
    """Segments that no store has acknowledged, of one tenure or of all."""
    waiting = select(func.count()).select_from(Segment).where(Segment.sid == sid)
    if epoch is not None:
        waiting = waiting.where(Segment.epoch == epoch)
    return session.scalar(waiting.where(Segment.state == SegmentState.RESERVED)) or 0


def uploaded(session: Session, sid: str) -> tuple[int, int]:
    """(recorded, uploaded): segments' lengths in ticks, over all tracks."""
    length = Segment.end_90k - Segment.start_90k
    both = select(
        func.coalesce(func.sum(length), 0),
        func.coalesce(func.sum(case((Segment.state == SegmentState.STORED, length), else_=0)), 0),
    )
    recorded, stored_ = session.execute(both.where(Segment.sid == sid)).one()
    return int(recorded), int(stored_)


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


# -- looking ----------------------------------------------------------------------------------------------------


def _check(start_90k: int, end_90k: int) -> None:
    if not 0 <= start_90k < end_90k:
        raise ValueError(f"[{start_90k}, {end_90k}) is no range of a timeline")


def _tries() -> Iterator[int]:
    yield from range(MAX_TRIES)
    raise StateUnavailable("the timeline changes faster than it can be written to")


def _by_key(session: Session, sid: str, key: str) -> Any | None:
    s = Segment
    found = select(s.track, s.epoch, s.start_90k, s.end_90k).where(s.sid == sid, s.key == key)
    return session.execute(found).first()


def _grant(session: Session, sid: str, epoch: int, owner: str) -> Any | None:
    t = Tenure
    columns = (t.sid, t.epoch, t.from_90k, t.until_90k, Recording.writer_epoch)
    mine = select(*columns).join(Recording, Recording.sid == t.sid)
    return session.execute(mine.where(t.sid == sid, t.epoch == epoch, t.owner == owner)).first()


def _within(grant: Any, start_90k: int, end_90k: int) -> bool:
    return bool(start_90k >= grant.from_90k and (grant.until_90k is None or end_90k <= grant.until_90k))


def _superseded(session: Session, grant: Any) -> bool:
    """Rule 4 above."""
    later = select(Tenure.epoch).where(Tenure.sid == grant.sid, Tenure.epoch > grant.epoch)
    later = later.where(Tenure.state != TenureState.ENDED, Tenure.role != Role.FINALISER)
    took_over = Tenure.role == Role.PRIMARY
    if grant.until_90k is None:
        took_over |= Tenure.epoch == grant.writer_epoch
    return session.execute(later.where(took_over).limit(1)).first() is not None


def _is_piece(start_90k: int, end_90k: int, slot_90k: int) -> bool:
    return start_90k % slot_90k != 0 or end_90k - start_90k != slot_90k


def _brought(session: Session, me: _Claimant, from_90k: int, to_90k: int) -> bool:
    """Rules 5 and 6: whether somebody else is live who has captured from here on, so could bring what comes after."""
    if to_90k <= from_90k:
        return False
    t = Tenure
    others = select(t.epoch).where(t.sid == me.sid, t.epoch != me.epoch, t.role != Role.FINALISER)
    others = others.where(
        t.state.in_(CAPTURING), t.from_90k <= from_90k, t.until_90k.is_(None) | (t.until_90k > from_90k)
    )
    return session.execute(others.limit(1)).first() is not None


def _undecided(session: Session, me: _Claimant, start_90k: int, end_90k: int) -> bool:
    """Whether a segment of another tenure in the range still waits for its proof from a store."""
    s = Segment
    waiting = select(s.key).where(s.sid == me.sid, s.track == me.track, s.epoch != me.epoch)
    waiting = waiting.where(s.start_90k < end_90k, s.end_90k > start_90k, s.state == SegmentState.RESERVED)
    return session.execute(waiting.limit(1)).first() is not None


def _head(session: Session, sid: str, track: str) -> int:
    seen = session.scalar(select(Track.head_90k).where(Track.sid == sid, Track.track == track))
    if seen is None:
        add_if_absent(session, Track, ("sid", "track"), sid=sid, track=track, head_90k=0)
    return seen or 0


def _holes(session: Session, sid: str, track: str, start_90k: int, end_90k: int) -> list[Hole]:
    """Open holes that meet the range, in order."""
    if start_90k >= end_90k:
        return []
    met = select(Hole).where(Hole.sid == sid, Hole.track == track, Hole.state.in_(OPEN))
    met = met.where(Hole.start_90k < end_90k, Hole.end_90k > start_90k).order_by(Hole.start_90k)
    return list(session.scalars(met, execution_options={"populate_existing": True}))


def _tiled(holes: Sequence[Hole], start_90k: int, end_90k: int) -> bool:
    """Whether the holes leave nothing of the range out. An empty range is tiled by nothing."""
    at = start_90k
    for hole in holes:
        if hole.start_90k > at:
            return False
        at = hole.end_90k
    return at >= end_90k


def _first_owed(session: Session, sid: str, track: str) -> int | None:
    owed = select(func.min(Hole.start_90k)).where(Hole.sid == sid, Hole.track == track, Hole.state == HoleState.OWED)
    return session.scalar(owed)


def _filler(session: Session, me: _Claimant, start_90k: int, end_90k: int, *, but_me: bool) -> int | None:
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


# -- changing, or raising _LostRace -------------------------------------------------------------------------------
#
# Always the track first, then holes in order: PostgreSQL keeps the lock of a row whose compare-and-set was lost, so
# another order would deadlock now and then.


def _append(session: Session, me: _Claimant, seen_90k: int, end_90k: int) -> None:
    track = update(Track).where(Track.sid == me.sid, Track.track == me.track, Track.head_90k == seen_90k)
    if moved(session, track.values(head_90k=end_90k).returning(Track.head_90k)) is None:
        raise _LostRace


def _owe(session: Session, me: _Claimant, start_90k: int, end_90k: int, cause: str) -> None:
    """The jump, if there is one, as an owed hole."""
    if start_90k < end_90k:
        filler = _filler(session, me, start_90k, end_90k, but_me=False)
        _dig(session, me, start_90k, end_90k, HoleState.OWED, me.epoch if filler is None else filler, cause)


def _declare(session: Session, me: _Claimant, start_90k: int, end_90k: int, cause: str, state: HoleState) -> None:
    filler = _filler(session, me, start_90k, end_90k, but_me=True) if state == HoleState.LOST else None
    _dig(session, me, start_90k, end_90k, state if filler is None else HoleState.OWED, filler or me.epoch, cause)


def _give_up_part(
    session: Session, me: _Claimant, hole: Hole, start_90k: int, end_90k: int, cause: str, state: HoleState
) -> bool:
    if hole.owed_epoch != me.epoch or state != HoleState.LOST:
        return False
    filler = _filler(session, me, max(hole.start_90k, start_90k), min(hole.end_90k, end_90k), but_me=True)
    to = HoleState.LOST if filler is None else HoleState.OWED
    _carve(session, hole, start_90k, end_90k, state=to, cause=cause or hole.cause, owed=filler or me.epoch)
    return True


def _carve(
    session: Session, hole: Hole, start_90k: int, end_90k: int, *, state: HoleState, cause: str, owed: int
) -> None:
    """Make the part of the hole inside [start, end) another one; what sticks out stays as it was."""
    me = _Claimant(hole.sid, hole.track, hole.owed_epoch)
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
        raise _LostRace
    if not at_front:
        _dig(session, me, start_90k, end_90k, state, owed, cause, hole.since_ms)
    if tail_from < tail_to:
        _dig(session, me, tail_from, tail_to, was, hole.owed_epoch, hole.cause, hole.since_ms)


def _unreserve(session: Session, sid: str, track: str, cause: str, *which: Any) -> int:
    s = Segment
    gone = delete(s).where(s.sid == sid, s.track == track, s.state == SegmentState.RESERVED, *which)
    rows = changed(session, gone.returning(s.start_90k, s.end_90k, s.epoch))
    for start_90k, end_90k, epoch in rows:
        # What it had filled is a hole again, all of one piece.
        below = (Hole.sid == sid, Hole.track == track, Hole.start_90k >= start_90k, Hole.start_90k < end_90k)
        run(session, delete(Hole).where(*below, Hole.state == NO_HOLE))
        _dig(session, _Claimant(sid, track, epoch), start_90k, end_90k, HoleState.LOST, epoch, cause)
    session.flush()
    return len(rows)


def _dig(
    session: Session,
    me: _Claimant,
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
