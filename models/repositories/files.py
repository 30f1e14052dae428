"""Objects in a store that are no segments: playlist, index, MP4, snapshot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.orm import Session

from models.repositories.statements import changed, insert, run
from models.tables import App, File, Recording, Segment
from models.tables.base import db_now_ms
from models.vocabulary.states import SegmentState

DAY_MS: Final = 86_400_000
Kind = Literal["playlist", "index", "mp4", "snapshot"]


def wrote(
    session: Session,
    sid: str,
    key: str,
    kind: Kind,
    *,
    rev: int = 0,
    bytes_: int,
    md5: str,
    final: bool,
    track: str = "mix",
    duration_90k: int = 0,
    error: str = "",
    store: str = "primary",
) -> bool:
    """The store has this object, in this revision. False: a newer one, or the final one, was written before."""
    values = {
        "kind": kind,
        "track": track,
        "rev": rev,
        "bytes": bytes_,
        "md5": md5,
        "final": final,
        "duration_90k": duration_90k,
        "error": error[:500],
        "store": store,
    }
    upsert = insert(session, File).values(sid=sid, key=key, **values)
    older = (File.rev <= rev) & (File.final.is_(False) | final)
    upsert = upsert.on_conflict_do_update(index_elements=["sid", "key"], set_=values, where=older)
    return session.execute(upsert.returning(File.key)).first() is not None


#: In place of a store's name: the object is to be deleted; it is gone.
DOOMED: Final = "doomed"
DELETED: Final = "deleted"


def get(session: Session, sid: str, key: str) -> File | None:
    return session.get(File, (sid, key), populate_existing=True)


def segment(session: Session, sid: str, key: str) -> Segment | None:
    return session.scalar(select(Segment).where(Segment.sid == sid, Segment.key == key))


def segments(
    session: Session, sid: str, *, track: str = "", after: tuple[str, int] | None = None, limit: int
) -> list[Segment]:
    """By track, in time order: of one, or of all; those after a (track, tick)."""
    s = Segment
    mine = select(s).where(s.sid == sid)
    if track:
        mine = mine.where(s.track == track)
    if after is not None:
        mine = mine.where(or_(s.track > after[0], (s.track == after[0]) & (s.start_90k > after[1])))
    return list(session.scalars(mine.order_by(s.track, s.start_90k).limit(limit)))


@dataclass(frozen=True, slots=True)
class Length:
    """What there is of a track. `playable`: all of it is what HLS players read."""

    track: str = "mix"
    start_90k: int = 0
    recorded_90k: int = 0
    stored_90k: int = 0
    playable: bool = True


def lengths(session: Session, sid: str) -> list[Length]:
    """Of every track that has a segment."""
    s = Segment
    length_90k = s.end_90k - s.start_90k
    other = case((s.key.endswith(".ts", autoescape=True), 0), else_=1)
    columns = (
        s.track,
        func.min(s.start_90k),
        func.sum(length_90k),
        func.sum(case((s.state == SegmentState.STORED, length_90k), else_=0)),
        func.sum(other),
    )
    found = session.execute(select(*columns).where(s.sid == sid).group_by(s.track).order_by(s.track))
    return [Length(track, first, int(all_), int(stored), not others) for track, first, all_, stored, others in found]


def doom(session: Session, sid: str, key: str | None = None) -> int:
    """Its files are to be deleted; with a `key` only that one. How many were not already."""
    mine = update(File).where(File.sid == sid, File.store.not_in((DOOMED, DELETED)))
    if key is not None:
        mine = mine.where(File.key == key)
    return len(changed(session, mine.values(store=DOOMED).returning(File.key)))


def doom_old(session: Session, *, appid: str, days: int, limit: int) -> int:
    """Files of the app's recordings that ended so long ago. Of how many recordings."""
    ended = Recording.ended_ms < db_now_ms() - days * DAY_MS
    there = select(File.sid).where(File.sid == Recording.sid, File.store.not_in((DOOMED, DELETED)))
    old = select(Recording.sid).where(Recording.appid == appid, ended, there.exists()).limit(limit)
    sids = list(session.scalars(old))
    for sid in sids:
        doom(session, sid)
    return len(sids)


def keep_records(session: Session, *, soon_ms: int, for_ms: int, limit: int) -> int:
    """Records of files in operators' own stores live as long as the files: those that would go soon. How many."""
    own = select(App.appid).where(App.appid == Recording.appid, App.store.is_not(None))
    there = select(File.sid).where(File.sid == Recording.sid, File.store != DELETED)
    going = select(Recording.sid).where(Recording.keep_until_ms < db_now_ms() + soon_ms, own.exists(), there.exists())
    kept = update(Recording).where(Recording.sid.in_(going.limit(limit)))
    return len(changed(session, kept.values(keep_until_ms=db_now_ms() + for_ms).returning(Recording.sid)))


def doomed(session: Session, *, but: Collection[str] = ()) -> tuple[str, str] | None:
    """A recording with something to delete, and its app; of none of the apps in `but`."""
    mine = select(File.sid, Recording.appid).join(Recording, Recording.sid == File.sid).where(File.store == DOOMED)
    found = session.execute(mine.where(Recording.appid.not_in(but)).order_by(File.sid).limit(1)).first()
    return None if found is None else (found.sid, found.appid)


def gone(session: Session, sid: str, keys: Sequence[str]) -> None:
    run(session, update(File).where(File.sid == sid, File.key.in_(keys)).values(store=DELETED))
    run(session, update(Segment).where(Segment.sid == sid, Segment.key.in_(keys)).values(store=DELETED))


def segments_left(session: Session, sid: str, *, limit: int) -> list[str]:
    """Keys of segments whose objects have not been deleted."""
    left = select(Segment.key).where(Segment.sid == sid, Segment.store != DELETED)
    return list(session.scalars(left.order_by(Segment.start_90k).limit(limit)))


def recordings_with(
    session: Session,
    appid: str,
    *,
    cname: str = "",
    from_ms: int | None = None,
    to_ms: int | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[Recording]:
    """Recordings that have had files, newest first: of a channel, created in [from, to)."""
    r = Recording
    snapped = select(File.sid).where(File.sid == r.sid, File.kind == "snapshot").exists()
    wanted = select(r).where(r.appid == appid, or_(r.sliced, snapped))
    if cname:
        wanted = wanted.where(r.cname == cname)
    if from_ms is not None:
        wanted = wanted.where(r.created_ms >= from_ms)
    if to_ms is not None:
        wanted = wanted.where(r.created_ms < to_ms)
    if before is not None:
        created_ms, sid = before
        wanted = wanted.where(or_(r.created_ms < created_ms, (r.created_ms == created_ms) & (r.sid < sid)))
    return list(session.scalars(wanted.order_by(r.created_ms.desc(), r.sid.desc()).limit(limit)))


def of(session: Session, sid: str) -> list[File]:
    """But its snapshots: a day has tens of thousands."""
    mine = select(File).where(File.sid == sid, File.kind != "snapshot").order_by(File.key)
    return list(session.scalars(mine, execution_options={"populate_existing": True}))
