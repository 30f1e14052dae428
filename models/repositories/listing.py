"""A recording's files as the contract's notices list them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from models.repositories import films, timeline
from models.tables import Recording
from models.vocabulary import events, keys
from models.vocabulary.spec import Mode


def file_items(session: Session, row: Recording) -> list[dict[str, Any]]:
    """fileList of events 31 and 32: of a mix its playlist and MP4s, of an individual recording each stream's playlist."""
    t0_ms = row.t0_ms or 0
    names = (tuple(row.spec["file_prefix"]), row.sid, row.cname)
    if row.mode == Mode.INDIVIDUAL:
        return events.stream_items(*names, timeline.streams(session, row.sid), t0_ms=t0_ms)
    named = [(keys.playlist_key(*names), t0_ms), *films.listed(films.of(session, row.sid), t0_ms)]
    return events.file_items(named, stream_types=row.spec["stream_types"])
