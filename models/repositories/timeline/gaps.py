"""Holes: declared by who has nothing, owed to who may still have it, lost when nobody can."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.repositories.statements import changed, run
from models.repositories.timeline.arbitration import Claimant, grant_of, newest_filler, superseded, within
from models.repositories.timeline.partition import (
    NO_HOLE,
    LostRace,
    append,
    carve,
    check,
    dig,
    head_of,
    open_holes,
    tries,
)
from models.repositories.timeline.reading import tracks
from models.tables import Hole, Tenure
from models.tables.base import db_now_ms
from models.vocabulary.states import HoleState, TenureState


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
    check(start_90k, end_90k)
    assert state != NO_HOLE, "a gap is not filled"
    me = Claimant(sid, track, epoch)
    for _ in tries():
        grant = grant_of(session, sid, epoch, owner)
        head = head_of(session, sid, track)
        if grant is None or not within(grant, start_90k, end_90k) or (end_90k > head and superseded(session, grant)):
            return False
        owed = [h for h in open_holes(session, sid, track, start_90k, min(end_90k, head)) if h.state == HoleState.OWED]
        try:
            with session.begin_nested():
                if end_90k > head:
                    append(session, me, head, end_90k)
                    owe(session, me, head, start_90k, cause)
                    _declare(session, me, max(head, start_90k), end_90k, cause, state)
                given_up = [_give_up_part(session, me, hole, start_90k, end_90k, cause, state) for hole in owed]
        except LostRace:
            continue
        return end_90k > head or any(given_up)
    raise AssertionError  # tries raises


def begins(session: Session, sid: str, track: str, epoch: int, owner: str, from_90k: int) -> None:
    """A tenure's first frame: it has nothing from before. What was owed to it there is lost: only a tenure that was at
    work beside it, and lost its own copy, can have left that to it. Without a name, of all tracks.
    """
    grant = grant_of(session, sid, epoch, owner)
    if grant is None or from_90k <= grant.from_90k:
        return
    for name in [track] if track else tracks(session, sid):
        for hole in open_holes(session, sid, name, grant.from_90k, from_90k):
            if hole.owed_epoch == epoch and hole.state == HoleState.OWED:
                carve(session, hole, grant.from_90k, from_90k, state=HoleState.LOST, cause=hole.cause, owed=epoch)
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


def owe(session: Session, me: Claimant, start_90k: int, end_90k: int, cause: str) -> None:
    """The jump, if there is one, as an owed hole."""
    if start_90k < end_90k:
        filler = newest_filler(session, me, start_90k, end_90k, but_me=False)
        dig(session, me, start_90k, end_90k, HoleState.OWED, me.epoch if filler is None else filler, cause)


def _declare(session: Session, me: Claimant, start_90k: int, end_90k: int, cause: str, state: HoleState) -> None:
    filler = newest_filler(session, me, start_90k, end_90k, but_me=True) if state == HoleState.LOST else None
    dig(session, me, start_90k, end_90k, state if filler is None else HoleState.OWED, filler or me.epoch, cause)


def _give_up_part(
    session: Session, me: Claimant, hole: Hole, start_90k: int, end_90k: int, cause: str, state: HoleState
) -> bool:
    if hole.owed_epoch != me.epoch or state != HoleState.LOST:
        return False
    filler = newest_filler(session, me, max(hole.start_90k, start_90k), min(hole.end_90k, end_90k), but_me=True)
    to = HoleState.LOST if filler is None else HoleState.OWED
    carve(session, hole, start_90k, end_90k, state=to, cause=cause or hole.cause, owed=filler or me.epoch)
    return True
