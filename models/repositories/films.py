"""A recording's MP4 files: which part covers what, and who makes it. A part's row is written before anybody makes it.

Rows of kind "mp4" in the table of files: `rev` is the epoch of the tenure that makes the part, [start, end) the range
it is cut from, `final` that a store has it or that there will be none.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.repositories.statements import insert, moved
from models.tables import File, Hole, Segment, Tenure
from models.vocabulary import journal, keys
from models.vocabulary.film import Shot
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.states import HoleState, SegmentState, TenureState
from models.vocabulary.ticks import TICKS_PER_S

MP4 = "mp4"


def of(session: Session, sid: str) -> list[File]:
    """In the order of their numbers."""
    mine = select(File).where(File.sid == sid, File.kind == MP4)
    found = session.scalars(mine, execution_options={"populate_existing": True})
    return sorted(found, key=lambda file: (len(file.key), file.key))


def listed(files: Sequence[File], t0_ms: int) -> list[tuple[str, int]]:
    """(name, where it starts in unix ms) of those that a store has, in the order of their numbers."""
    there = [file for file in files if file.kind == MP4 and file.final and file.bytes]
    ordered = sorted(there, key=lambda file: (len(file.key), file.key))
    return [(file.key, t0_ms + file.start_90k * 1000 // TICKS_PER_S) for file in ordered]


def shots(session: Session, sid: str, track: str, *, final: bool, epoch: int | None = None) -> list[Shot]:
    """What films may be cut from: stored segments, while it is recorded only those before the first owed hole; with an
    `epoch` only those of its tenure.
    """
    s = Segment
    listed = select(s.start_90k, s.end_90k, s.key, s.bytes, s.md5, s.state, s.epoch)
    listed = listed.where(s.sid == sid, s.track == track).order_by(s.start_90k)
    owed = select(func.min(Hole.start_90k)).where(Hole.sid == sid, Hole.track == track, Hole.state == HoleState.OWED)
    if not final and (first := session.scalar(owed)) is not None:
        listed = listed.where(s.start_90k < first)
    found: list[Shot] = []
    for start_90k, end_90k, key, bytes_, md5, state, of_epoch in session.execute(listed):
        if state != SegmentState.STORED:
            break
        if epoch in (None, of_epoch):
            found.append(Shot(start_90k=start_90k, end_90k=end_90k, key=key, bytes=bytes_, md5=md5))
    return found


def claim(session: Session, sid: str, epoch: int, spec: RecordingSpec, part: Sequence[Shot]) -> str:
    """The next number is this part's: its key. Hold the recording's row lock."""
    n = len(of(session, sid))
    key = keys.mp4_key(spec.file_prefix, sid, spec.cname, n)
    values = {"sid": sid, "key": key, "kind": MP4, "rev": epoch}
    begun = insert(session, File).values(**values, start_90k=part[0].start_90k, end_90k=part[-1].end_90k)
    session.execute(begun)
    return key


def take_over(session: Session, sid: str, epoch: int) -> None:
    """Parts that an ended tenure has left undone are ours."""
    gone = select(Tenure.epoch).where(Tenure.sid == sid, Tenure.state == TenureState.ENDED, Tenure.epoch != epoch)
    left = update(File).where(File.sid == sid, File.kind == MP4, File.final.is_(False), File.rev.in_(gone))
    moved(session, left.values(rev=epoch).returning(File.key))


def made(session: Session, sid: str, film: journal.Film) -> None:
    """It is whole on a disk; or there will be none."""
    row = update(File).where(File.sid == sid, File.key == film.key, File.kind == MP4, File.final.is_(False))
    values = {"bytes": film.bytes, "md5": film.md5, "duration_90k": film.duration_90k, "error": film.error[:500]}
    moved(session, row.values(**values, final=not film.file).returning(File.key))


def stored(session: Session, sid: str, key: str, *, store: str) -> bool:
    """A store has proven that it has the file. Whether it is one of ours."""
    row = update(File).where(File.sid == sid, File.key == key, File.kind == MP4)
    return moved(session, row.values(final=True, store=store).returning(File.key)) is not None
