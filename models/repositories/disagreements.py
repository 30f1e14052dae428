"""Rows that contradict each other: an ended recording that somebody works on, or whose playlist is not what its rows say."""

from __future__ import annotations

import hashlib
from typing import Final

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from models.repositories import tenures, timeline
from models.repositories.statements import changed
from models.tables import File, Recording, Segment, Tenure
from models.tables.timeline import IS_RESERVED
from models.vocabulary import playlist
from models.vocabulary.spec import Mode, RecordingSpec
from models.vocabulary.streams import MIX

#: In the error of a playlist's row.
BEHIND: Final = "the playlist in the store lacks what came later; `reelyard repair` writes it anew"

Place = tuple[int, str]  # (ended_ms, sid)


def end_leftovers(session: Session, *, limit: int) -> int:
    """End the tenures of recordings that have ended. How many."""
    ended = select(Tenure.sid, Tenure.epoch).join(Recording, Recording.sid == Tenure.sid)
    ended = ended.where(Recording.live_key.is_(None), Tenure.state.in_(tenures.OPEN)).limit(limit)
    found = [(row.sid, row.epoch) for row in session.execute(ended)]
    return sum(tenures.revoke(session, sid, epoch, "the recording has ended") for sid, epoch in found)


def ended_after(session: Session, place: Place, *, limit: int) -> list[Recording]:
    """Mixes that have ended with a playlist, in the order of their ends."""
    has_playlist = select(File.sid).where(File.sid == Recording.sid, File.kind == "playlist", File.final).exists()
    mine = select(Recording).where(Recording.mode == Mode.MIX.value, Recording.live_key.is_(None), has_playlist)
    later = tuple_(Recording.ended_ms, Recording.sid) > tuple_(*place)
    return list(session.scalars(mine.where(later).order_by(Recording.ended_ms, Recording.sid).limit(limit)))


def compare_playlist(session: Session, row: Recording) -> bool | None:
    """Note with the playlist's row whether it is behind the timeline's. What changed: it is now; None: nothing did."""
    spec = RecordingSpec.model_validate(row.spec)
    entries = timeline.publishable(session, row.sid, MIX, final=True)
    if row.t0_ms is None or not entries:
        return None
    text = playlist.render(entries, t0_ms=row.t0_ms, slice_s=spec.slice_s, ended=True)
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    mine = update(File).where(File.sid == row.sid, File.kind == "playlist", File.final, File.store == "primary")
    if changed(session, mine.where(File.md5 != md5, File.error == "").values(error=BEHIND).returning(File.key)):
        return True
    mended = mine.where(File.md5 == md5, File.error == BEHIND).values(error="")
    return False if changed(session, mended.returning(File.key)) else None


def count(session: Session) -> dict[str, int]:
    """By what disagrees."""
    over = Recording.live_key.is_(None)
    behind = select(func.count()).select_from(File).where(File.kind == "playlist", File.error == BEHIND)
    unsent = select(func.count()).select_from(Segment).join(Recording, Recording.sid == Segment.sid)
    held = select(func.count()).select_from(Tenure).join(Recording, Recording.sid == Tenure.sid)
    return {
        "playlist_behind": session.scalar(behind) or 0,
        "unsent_after_end": session.scalar(unsent.where(over, IS_RESERVED)) or 0,
        "tenure_after_end": session.scalar(held.where(over, Tenure.state.in_(tenures.OPEN))) or 0,
    }
