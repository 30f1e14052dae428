"""What must hold of a timeline whatever has happened to it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.repositories import timeline
from models.tables import Hole
from models.vocabulary.states import HoleState, SegmentState


def check(session: Session, sid: str, track: str = "mix") -> None:
    """Segments and open or paused holes tile [0, head); filled parts lie under segments; playlists are prefixes."""
    segments, holes = timeline.rows(session, sid, track)
    head = timeline.head(session, sid, track)
    at = 0
    ranges = [(s.start_90k, s.end_90k) for s in segments] + [(h.start_90k, h.end_90k) for h in holes]
    for start, end in sorted(ranges):
        assert start == at, f"[{at}, {start}) is missing or doubled, head {head}"
        at = end
    assert at == head
    covered = {tick for s in segments for tick in range(s.start_90k, s.end_90k)}
    filled = select(Hole).where(Hole.sid == sid, Hole.track == track, Hole.state == HoleState.FILLED)
    for hole in session.scalars(filled):
        assert covered >= set(range(hole.start_90k, hole.end_90k))
    _check_playlists(session, sid, track)


def _check_playlists(session: Session, sid: str, track: str) -> None:
    segments, holes = timeline.rows(session, sid, track)
    first_owed = min((h.start_90k for h in holes if h.state == HoleState.OWED), default=None)
    for final in (False, True):
        listed = timeline.publishable(session, sid, track, final=final)
        there = [s for s in segments if final or not s.late][: len(listed)]
        assert [e.key for e in listed] == [s.key for s in there]
        assert all(s.state == SegmentState.STORED for s in there)
        assert len({s.store for s in there}) <= 1
        if not final and first_owed is not None:
            assert all(e.end_90k <= first_owed for e in listed)
