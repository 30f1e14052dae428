"""What is known of recordings: query as the contract has it, and the full records."""

from __future__ import annotations

from typing import Any, Final

from models.database import Database
from models.repositories import apps, files, notices, recordings, tenures, timeline
from models.vocabulary.errors import BadParameter, ServiceExiting, WorkerNotFound
from models.vocabulary.spec import Mode
from scheduler import lookup, views

MAX_PAGE: Final = 200
STOP_CALLED: Final = "stop called"


class Records:
    def __init__(self, database: Database) -> None:
        self.database = database

    def query(self, appid: str, mode: Mode, resource_id: str, sid: str) -> dict[str, Any]:
        with self.database.unit() as session:
            after_end = apps.behaviour(apps.get(session, appid)).query_after_end == "record"
            recording = lookup.running(session, appid, mode, resource_id, sid, also_ended=after_end)
            if recording.wanted_cause == STOP_CALLED and not after_end:
                raise ServiceExiting("stop was called; the record tells how far it is")
            return views.queried(recording, files.of(session, sid), timeline.streams(session, sid))

    def records(self, appid: str, *, limit: int = 50, before: str = "", live: bool | None = None) -> dict[str, Any]:
        """One page of an app's recordings, newest first; `before` is the sid that ended the page before."""
        if not 1 <= limit <= MAX_PAGE:
            raise BadParameter(f"limit must be from 1 to {MAX_PAGE}")
        with self.database.unit() as session:
            apps.get(session, appid)
            last = recordings.get(session, before) if before else None
            if before and (last is None or last.appid != appid):
                raise BadParameter("before names no recording of this app")
            after = None if last is None else (last.created_ms, last.sid)
            found = recordings.for_app(session, appid, limit=limit + 1, before=after, live=live)
            page = found[:limit]
            following = page[-1].sid if len(found) > limit else None
            return {"recordings": [views.summary(recording) for recording in page], "next": following}

    def record(self, appid: str, sid: str) -> dict[str, Any]:
        """The full truth about a recording, also after its end."""
        with self.database.unit() as session:
            recording = recordings.get(session, sid)
            if recording is None or recording.appid != appid:
                raise WorkerNotFound("there is no recording of that sid on record")
            rows = [timeline.rows(session, sid, track) for track in timeline.tracks(session, sid)]
            segments = [segment for found, _ in rows for segment in found]
            holes = [hole for _, found in rows for hole in found]
            return views.record(
                recording,
                segments=segments,
                holes=holes,
                files=files.of(session, sid),
                tenures=tenures.of(session, sid),
                notices=notices.of(session, sid),
            )
