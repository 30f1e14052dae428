"""What the facts of an individual recording mean beyond the timeline: notices and files of single streams."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from models.repositories import notices, recordings, snapshots
from models.vocabulary import journal, keys
from models.vocabulary.events import Event
from models.vocabulary.streams import MIX, Stream
from models.vocabulary.ticks import TICKS_PER_S

SNAPSHOT: Final = ".jpg"


def begins(session: Session, sid: str, track: str, start_90k: int, discontinued_90k: int) -> None:
    """Slices of a stream begin: its first, or those after an interruption."""
    row = recordings.get(session, sid)
    if row is None or row.t0_ms is None:
        return
    stream = Stream.of(track)
    notices.say(
        session,
        sid,
        Event.SLICE_START,
        startUtcMs=row.t0_ms + start_90k * 1000 // TICKS_PER_S,
        discontinueUtcMs=row.t0_ms + discontinued_90k * 1000 // TICKS_PER_S,
        mixedAllUser=False,
        streamUid=stream.uid,
        trackType=stream.medium,
    )


def playlist_of(session: Session, sid: str, track: str) -> str:
    row = recordings.get(session, sid)
    assert row is not None
    names = (tuple(row.spec["file_prefix"]), sid, row.cname)
    return keys.playlist_key(*names) if track == MIX else keys.stream_playlist_key(*names, Stream.of(track))


def taken(session: Session, sid: str, snapshot: journal.Snapshot) -> None:
    """A snapshot waits for its upload."""
    size, md5 = snapshot.bytes, snapshot.md5
    snapshots.taken(session, sid, snapshot.key, track=snapshot.track, bytes_=size, md5=md5)


def snapped(session: Session, sid: str, key: str, store: str) -> bool:
    """A store has a snapshot: the receiver is told, once. False: it is no snapshot."""
    if not key.endswith(SNAPSHOT):
        return False
    if snapshots.stored(session, sid, key, store=store):
        notices.say(session, sid, Event.SNAPSHOT_FILE, fileName=key)
    return True
