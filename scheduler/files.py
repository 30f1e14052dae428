"""Files of recordings: what there is, how it is fetched and played, and that it is to be deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy.orm import Session

from models import links
from models.database import Database
from models.repositories import apps, files, recordings, snapshots
from models.settings import Settings
from models.tables import Recording
from models.vocabulary import keys, playlist
from models.vocabulary.errors import BadParameter, FileNotFound, InvalidOperation, WorkerNotFound
from models.vocabulary.spec import StoreKeys
from models.vocabulary.states import ended
from scheduler import inventory, whereabouts
from scheduler.whereabouts import PLAYLIST, Found
from stores.names import content_type

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
    found: Found
    url: str = ""
    size_bytes: int = 0


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
        _check(limit, MAX_PAGE)
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
            return {"recordings": [inventory.listed(session, row) for row in page], "next": following}

    def of(
        self, appid: str, sid: str, *, track: str = "", after: str = "", limit: int = MAX_SEGMENTS
    ) -> dict[str, Any]:
        """A recording's files, its segments (of one track) after the one of that name, a page of them."""
        _check(limit, MAX_SEGMENTS)
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            last = files.segment(session, sid, _key(row, after)) if after else None
            if after and last is None:
                raise BadParameter("after names no segment of this recording")
            place = None if last is None else (last.track, last.start_90k)
            found = files.segments(session, sid, track=track, after=place, limit=limit + 1)
            page = [inventory.segment(segment) for segment in found[:limit]]
            following = page[-1]["name"] if len(found) > limit else None
            return inventory.listed(session, row) | {"segments": page, "next": following}

    def snapshots(
        self, appid: str, sid: str, *, uid: str = "", after: str = "", limit: int = MAX_SEGMENTS
    ) -> dict[str, Any]:
        """A recording's snapshots (of one user) after the one of that name, a page of them: by user, in time order."""
        _check(limit, MAX_SEGMENTS)
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            found = snapshots.page(session, sid, uid=uid, after=_key(row, after) if after else "", limit=limit + 1)
            page = [inventory.snapshot(file) for file in found[:limit]]
            return {"snapshots": page, "next": page[-1]["name"] if len(found) > limit else None}

    # -- fetching and playing -----------------------------------------------------------------------------------

    def link(self, appid: str, sid: str, *, for_s: int) -> dict[str, Any]:
        """A token for this recording's files and playlists, for players, which have no customer's secret."""
        self._check_time(for_s)
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            there = [file for file in files.of(session, sid) if file.kind == "mp4" and whereabouts.is_there(file)]
            names = inventory.playable(row, files.lengths(session, sid))
        until_s = int(self._now_s()) + for_s
        token = links.mint(self._keys()[0], appid, sid, until_s=until_s)
        base = f"/v1/apps/{appid}/recordings/{sid}"
        lists = [{"name": name, "path": f"{base}/play/{quote(name)}?token={token}"} for name in names]
        films = [name for file in there if (name := file.key.rpartition("/")[2])]
        return {
            "token": token,
            "until_s": until_s,
            "playlist": lists[0]["path"] if lists else "",
            "playlists": lists,
            "files": [{"name": name, "path": f"{base}/files/{quote(name)}?token={token}"} for name in films],
        }

    def admits(self, appid: str, sid: str, token: str) -> int:
        """For how many seconds more, at least 1. Raises `Unauthorized` for a token that is not good for this recording."""
        now_s = self._now_s()
        return max(1, int(links.verify(self._keys(), token, appid, sid, now_s) - now_s))

    def download(
        self, appid: str, sid: str, name: str, given: StoreKeys | None = None, *, for_s: int = 300
    ) -> Download:
        """Raises `FileNotFound`, `StoreSealed` where nobody has keys that may read, `FileInBackup`."""
        self._check_time(for_s)
        row, found = self._find(appid, sid, name)
        with whereabouts.reach(self._database, self._settings, row, given) as reach:
            type_, size_bytes = content_type(name), found.bytes
            if url := reach.store(found.store).presign(found.key, for_s):
                return Download(type_, found, url=url)
            if size_bytes is None:
                size_bytes = len(reach.read(found, 0, MAX_DOCUMENT_BYTES))
            return Download(type_, found, size_bytes=size_bytes)

    def piece(self, appid: str, sid: str, found: Found, start: int, end: int) -> bytes:
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
        with whereabouts.reach(self._database, self._settings, row, None) as reach:
            return reach.read(found, start, end)

    def playlist(
        self, appid: str, sid: str, name: str, given: StoreKeys | None = None, *, for_s: int = 3_600, token: str = ""
    ) -> str:
        """A playlist of the recording as it is now, its segments at addresses that need no keys, in whichever store."""
        self._check_time(for_s)
        row, found = self._find(appid, sid, name)
        if not name.endswith(PLAYLIST):
            raise FileNotFound("that is no playlist")
        with whereabouts.reach(self._database, self._settings, row, given) as reach:
            text = reach.read(found, 0, MAX_DOCUMENT_BYTES).decode()
            folder = keys.prefix_path(reach.spec.file_prefix)
            signing = token or links.mint(self._keys()[0], appid, sid, until_s=int(self._now_s()) + for_s)

            def address(file: str) -> str:
                if file.endswith(PLAYLIST):
                    return f"{quote(file)}?token={signing}"  # of a stream, beside the one that joins them
                return reach.presigned(folder + file, for_s) or f"../files/{quote(file)}?token={signing}"

            return playlist.addressed(text, address)

    # -- deleting -----------------------------------------------------------------------------------------------

    def delete(self, appid: str, sid: str, name: str | None = None) -> dict[str, Any]:
        """All files of an ended recording in the operator's own store, or one MP4; soon, by the scheduler."""
        with self._database.unit() as session:
            row = recordings.lock(session, _recording(session, appid, sid).sid)
            assert row is not None
            if not whereabouts.owns(session, row):
                raise InvalidOperation("the files lie in the customer's own store: only its owner deletes there")
            if not ended(row.status):
                raise InvalidOperation("the recording is still running; stop it first")
            key = None
            if name is not None:
                whereabouts.find(session, row, name)
                key = _key(row, name)
                file = files.get(session, sid, key)
                if file is None or file.kind != "mp4":
                    raise InvalidOperation("only an MP4 can be deleted alone; without a name all files are deleted")
            files.doom(session, sid, key)
        return self.of(appid, sid, limit=1) | {"segments": [], "next": None}

    def _find(self, appid: str, sid: str, name: str) -> tuple[Recording, Found]:
        with self._database.unit() as session:
            row = _recording(session, appid, sid)
            return row, whereabouts.find(session, row, name)

    def _keys(self) -> tuple[bytes, ...]:
        return links.link_keys(self._settings.secret_keys.get_secret_value())

    def _check_time(self, for_s: int) -> None:
        if not 1 <= for_s <= LONGEST_LINK_S:
            raise BadParameter(f"for_s must be from 1 to {LONGEST_LINK_S}")


def _recording(session: Session, appid: str, sid: str) -> Recording:
    row = recordings.get(session, sid)
    if row is None or row.appid != appid:
        raise WorkerNotFound("there is no recording of that sid on record")
    return row


def _key(row: Recording, name: str) -> str:
    return keys.prefix_path(tuple(row.spec["file_prefix"])) + name


def _check(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise BadParameter(f"limit must be from 1 to {most}")
