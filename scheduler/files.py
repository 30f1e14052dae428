"""Files of recordings: what there is, how it is fetched and played, and that it is to be deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from posixpath import basename
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy.orm import Session

from models import links
from models.database import Database
from models.repositories import apps, files, films, recordings, timeline
from models.settings import Settings
from models.tables import File, Recording
from models.vocabulary import keys, playlist
from models.vocabulary.errors import (
    BadParameter,
    FileNotFound,
    InvalidOperation,
    StoreSealed,
    WorkerNotFound,
)
from models.vocabulary.film import CONTENT_TYPE as MP4_TYPE
from models.vocabulary.film import unclaimed
from models.vocabulary.spec import RecordingSpec, Secrets, StoreKeys
from models.vocabulary.states import SegmentState, ended
from models.vocabulary.ticks import TICKS_PER_S, seconds
from scheduler import views
from stores.base import Store
from stores.names import content_type
from stores.opening import open_store

MAX_PAGE: Final = 200
MAX_SEGMENTS: Final = 1_000
#: Signature V4's bound of an address that is signed beforehand.
LONGEST_LINK_S: Final = 604_800
#: A document is read whole; a playlist of a month in 6 s slices has some 40 MB.
MAX_DOCUMENT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Download:
    """Either an address that gives the file without keys, or where to read it piece by piece."""

    content_type: str
    url: str = ""
    size_bytes: int = 0
    key: str = ""


class Files:
    def __init__(self, database: Database, settings: Settings, *, now_s: Callable[[], float] = time.time) -> None:
        self._database = database
        self._settings = settings
        self._now_s = now_s

    # -- what there is ------------------------------------------------------------------------------------------

    def list(
        self,
        appid: str,
        *,
        cname: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 50,
        before: str = "",
    ) -> dict[str, Any]:
        """Recordings with their files, newest first, one page; `before` is the sid that ended the page before."""
        if not 1 <= limit <= MAX_PAGE:
            raise BadParameter(f"limit must be from 1 to {MAX_PAGE}")
        with self._database.unit() as session:
            apps.get(session, appid)
            last = recordings.get(session, before) if before else None
            if before and (last is None or last.appid != appid):
                raise BadParameter("before names no recording of this app")
            after = None if last is None else (last.created_ms, last.sid)
            found = files.recordings_with(
                session, appid, cname=cname, from_ms=from_ms, to_ms=to_ms, before=after, limit=limit + 1
            )
            page = found[:limit]
            following = page[-1].sid if len(found) > limit else None
            return {"recordings": [self._listed(session, row) for row in page], "next": following}

    def of(self, appid: str, sid: str, *, after: str = "", limit: int = MAX_SEGMENTS) -> dict[str, Any]:
        """A recording's files, its segments after the one of that name, a page of them."""
        if not 1 <= limit <= MAX_SEGMENTS:
            raise BadParameter(f"limit must be from 1 to {MAX_SEGMENTS}")
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            segments, _ = timeline.rows(session, sid, views.MIX)
            names = [basename(segment.key) for segment in segments]
            if after and after not in names:
                raise BadParameter("after names no segment of this recording")
            start = names.index(after) + 1 if after else 0
            page = segments[start : start + limit]
            listed = [
                {
                    "name": basename(segment.key),
                    "state": _segment_state(segment.state, segment.store),
                    "bytes": segment.bytes,
                    "md5": segment.md5,
                    "start_s": seconds(segment.start_90k),
                    "duration_s": seconds(segment.end_90k - segment.start_90k),
                    "store": segment.store,
                }
                for segment in page
            ]
            following = names[start + limit - 1] if start + limit < len(names) else None
            return self._listed(session, row) | {"segments": listed, "next": following}

    def _listed(self, session: Session, row: Recording) -> dict[str, Any]:
        rows = {file.key: file for file in files.of(session, row.sid)}
        prefix = tuple(row.spec["file_prefix"])
        recorded_90k, stored_90k = timeline.uploaded(session, row.sid)
        shown = [_shown(file, row.t0_ms or 0) for file in rows.values()]
        name = keys.playlist_key(prefix, row.sid, row.cname)
        if row.sliced and name not in rows:
            shown.insert(0, _written(name, "playlist", row.t0_ms or 0))
        shown += _growing(session, row)
        for file in shown:
            if file["kind"] == "playlist" and not file["duration_s"]:
                file["duration_s"] = seconds(stored_90k)
        return {
            "sid": row.sid,
            "cname": row.cname,
            "uid": row.uid,
            "status": row.status,
            "created_ms": row.created_ms,
            "started_ms": row.t0_ms,
            "ended_ms": row.ended_ms,
            "recorded_s": seconds(recorded_90k),
            "stored_s": seconds(stored_90k),
            "own_store": _owns(session, row),
            "files": sorted(shown, key=lambda file: (len(file["name"]), file["name"])),
        }

    # -- fetching and playing -----------------------------------------------------------------------------------

    def link(self, appid: str, sid: str, *, for_s: int) -> dict[str, Any]:
        """A token for this recording's files and playlist, for players, which have no customer's secret."""
        if not 1 <= for_s <= LONGEST_LINK_S:
            raise BadParameter(f"for_s must be from 1 to {LONGEST_LINK_S}")
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            files_ = [basename(file.key) for file in files.of(session, sid) if file.kind == "mp4" and _is_there(file)]
        until_s = int(self._now_s()) + for_s
        token = links.mint(self._keys()[0], appid, sid, until_s=until_s)
        base = f"/v1/apps/{appid}/recordings/{sid}"
        return {
            "token": token,
            "until_s": until_s,
            "playlist": f"{base}/play/{quote(_playlist_name(row))}?token={token}",
            "files": [{"name": name, "path": f"{base}/files/{quote(name)}?token={token}"} for name in files_],
        }

    def admits(self, appid: str, sid: str, token: str) -> None:
        """Raises `Unauthorized` for a token that is not good for this recording."""
        links.verify(self._keys(), token, appid, sid, self._now_s())

    def download(
        self, appid: str, sid: str, name: str, given: StoreKeys | None = None, *, for_s: int = 300
    ) -> Download:
        """Raises `FileNotFound`, or `StoreSealed` where nobody has keys that may read."""
        with self._store(appid, sid, given) as (store, row, _):
            with self._database.unit() as session:
                key, size_bytes = _find(session, row, name)
            type_ = MP4_TYPE if name.endswith(".mp4") else content_type(name)
            if url := store.presign(key, for_s):
                return Download(type_, url=url)
            if size_bytes is None:
                size_bytes = len(store.get_range(key, 0, MAX_DOCUMENT_BYTES))
            return Download(type_, size_bytes=size_bytes, key=key)

    def piece(self, appid: str, sid: str, key: str, start: int, end: int) -> bytes:
        with self._store(appid, sid, None) as (store, _, _):
            return store.get_range(key, start, end)

    def playlist(
        self, appid: str, sid: str, name: str, given: StoreKeys | None = None, *, for_s: int = 3_600, token: str = ""
    ) -> str:
        """A playlist of the recording as it is now, its segments at addresses that need no keys."""
        if not 1 <= for_s <= LONGEST_LINK_S:
            raise BadParameter(f"for_s must be from 1 to {LONGEST_LINK_S}")
        with self._store(appid, sid, given) as (store, row, spec):
            with self._database.unit() as session:
                key, _ = _find(session, row, name)
            if not name.endswith(".m3u8"):
                raise FileNotFound("that is no playlist")
            text = store.get_range(key, 0, MAX_DOCUMENT_BYTES).decode()
            folder = keys.prefix_path(spec.file_prefix)
            signing = token or links.mint(self._keys()[0], appid, sid, until_s=int(self._now_s()) + for_s)

            def address(file: str) -> str:
                own = f"../files/{quote(file)}?token={signing}"
                return store.presign(folder + file, for_s) or own

            return playlist.addressed(text, address)

    @contextmanager
    def _store(self, appid: str, sid: str, given: StoreKeys | None) -> Iterator[tuple[Store, Recording, RecordingSpec]]:
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            spec = RecordingSpec.model_validate(row.spec)
            found = given or _known_keys(session, row)
        if found is None:
            raise StoreSealed
        store = open_store(
            spec.store, found, stores_root=self._settings.stores_root, allow_networks=self._settings.allow_networks
        )
        try:
            yield store, row, spec
        finally:
            store.close()

    # -- deleting -----------------------------------------------------------------------------------------------

    def delete(self, appid: str, sid: str, name: str | None = None) -> dict[str, Any]:
        """All files of an ended recording in the operator's own store, or one MP4; soon, by the scheduler."""
        with self._database.unit() as session:
            row = recordings.lock(session, _recording(session, appid, sid).sid)
            assert row is not None
            if not _owns(session, row):
                raise InvalidOperation("the files lie in the customer's own store: only its owner deletes there")
            if not ended(row.status):
                raise InvalidOperation("the recording is still running; stop it first")
            key = None
            if name is not None:
                key, _ = _find(session, row, name)
                file = files.get(session, sid, key)
                if file is None or file.kind != "mp4":
                    raise InvalidOperation("only an MP4 can be deleted alone; without a name all files are deleted")
            files.doom(session, sid, key)
        return self.of(appid, sid, limit=1) | {"segments": [], "next": None}

    def _keys(self) -> tuple[bytes, ...]:
        return links.link_keys(self._settings.secret_keys.get_secret_value())


def _recording(session: Session, appid: str, sid: str) -> Recording:
    row = recordings.get(session, sid)
    if row is None or row.appid != appid:
        raise WorkerNotFound("there is no recording of that sid on record")
    return row


def _owns(session: Session, row: Recording) -> bool:
    """Whether the files lie in the operator's own store, whose keys the app still has."""
    own = apps.store_of(apps.get(session, row.appid))
    return own is not None and own == RecordingSpec.model_validate(row.spec).store


def _known_keys(session: Session, row: Recording) -> StoreKeys | None:
    if _owns(session, row):
        return apps.store_keys_of(apps.get(session, row.appid))
    if row.secrets is None:
        return None
    return Secrets.model_validate(row.secrets).store


def _playlist_name(row: Recording) -> str:
    return basename(keys.playlist_key((), row.sid, row.cname))


def _find(session: Session, row: Recording, name: str) -> tuple[str, int | None]:
    """(key, bytes if they are known) of a file. Raises `FileNotFound`; a name never leads to another recording's."""
    key = keys.prefix_path(tuple(row.spec["file_prefix"])) + name
    if (file := files.get(session, row.sid, key)) is not None:
        if not _is_there(file):
            raise FileNotFound("the file is not there yet, or has been deleted")
        return key, file.bytes if file.kind == "mp4" else None
    if (segment := files.segment(session, row.sid, key)) is not None:
        if segment.state is not SegmentState.STORED or segment.store == files.DELETED:
            raise FileNotFound("the segment is not there yet, or has been deleted")
        return key, segment.bytes
    if row.sliced and name == _playlist_name(row):
        return key, None
    raise FileNotFound


def _is_there(file: File) -> bool:
    return file.store not in (files.DOOMED, files.DELETED) and (file.kind != "mp4" or (file.final and file.bytes > 0))


def _shown(file: File, t0_ms: int) -> dict[str, Any]:
    return {
        "name": basename(file.key),
        "key": file.key,
        "kind": file.kind,
        "state": _state(file),
        "bytes": file.bytes,
        "md5": file.md5,
        "duration_s": seconds(file.duration_90k),
        "started_ms": t0_ms + file.start_90k * 1000 // TICKS_PER_S,
        "error": file.error,
        "store": file.store,
    }


def _written(key: str, kind: str, t0_ms: int) -> dict[str, Any]:
    """Of a document that is not final, so that its record has not been made."""
    shown: dict[str, Any] = {"name": basename(key), "key": key, "kind": kind, "state": "writing"}
    return shown | {"bytes": 0, "md5": "", "duration_s": 0.0, "started_ms": t0_ms, "error": "", "store": ""}


def _growing(session: Session, row: Recording) -> list[dict[str, Any]]:
    """The MP4 that what is recorded now will be in;"""
    if "mp4" not in row.spec["av_file_type"] or ended(row.status):
        return []
    claims = films.of(session, row.sid)
    taken = [(file.start_90k, file.end_90k) for file in claims]
    left = [shot for run in unclaimed(films.shots(session, row.sid, views.MIX, final=False), taken) for shot in run]
    if not left:
        return []
    key = keys.mp4_key(tuple(row.spec["file_prefix"]), row.sid, row.cname, len(claims))
    started_ms = (row.t0_ms or 0) + left[0].start_90k * 1000 // TICKS_PER_S
    length_90k = sum(shot.end_90k - shot.start_90k for shot in left)
    grown = {"bytes": sum(shot.bytes for shot in left), "duration_s": seconds(length_90k)}
    return [_written(key, "mp4", started_ms) | grown]


def _state(file: File) -> str:
    if file.store in (files.DOOMED, files.DELETED):
        return {files.DOOMED: "deleting", files.DELETED: "deleted"}[file.store]
    if not file.final:
        return "writing"
    return "stored" if file.bytes else "failed"


def _segment_state(state: SegmentState, store: str) -> str:
    if store == files.DELETED:
        return "deleted"
    return "stored" if state is SegmentState.STORED else "writing"
