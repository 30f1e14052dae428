"""The inventory of a recording: its files, segments and snapshots as the API shows them, also while they are written."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename
from typing import Any

from sqlalchemy.orm import Session

from models.repositories import files, films, snapshots
from models.repositories.files import Length
from models.tables import File, Recording, Segment
from models.vocabulary import keys
from models.vocabulary.film import unclaimed
from models.vocabulary.spec import Mode
from models.vocabulary.states import SegmentState, ended
from models.vocabulary.streams import JOINED, MIX
from models.vocabulary.ticks import TICKS_PER_S, seconds
from scheduler import whereabouts


def listed(session: Session, row: Recording) -> dict[str, Any]:
    """A recording with its files; of an individual one, how long its longest stream is."""
    rows = {basename(file.key): file for file in files.of(session, row.sid)}
    lengths = files.lengths(session, row.sid)
    playlists = dict(whereabouts.playlists(row, lengths))
    t0_ms = row.t0_ms or 0
    shown = [_shown(file, t0_ms) for file in rows.values()]
    shown += [_written(row, name, "playlist") for name in playlists if name not in rows]
    shown += _growing(session, row)
    for file in shown:
        if (length := playlists.get(file["name"])) is not None:
            file["duration_s"] = seconds(length.stored_90k)
            file["started_ms"] = t0_ms + length.start_90k * 1000 // TICKS_PER_S
    told = {
        "sid": row.sid,
        "cname": row.cname,
        "uid": row.uid,
        "mode": row.mode,
        "status": row.status,
        "created_ms": row.created_ms,
        "started_ms": row.t0_ms,
        "ended_ms": row.ended_ms,
        "recorded_s": seconds(max((length.recorded_90k for length in lengths), default=0)),
        "stored_s": seconds(max((length.stored_90k for length in lengths), default=0)),
        "own_store": whereabouts.owns(session, row),
        "files": sorted(shown, key=lambda file: (len(file["name"]), file["name"])),
    }
    if row.mode == Mode.INDIVIDUAL:
        told["snapshots"] = snapshots.count(session, row.sid)
    return told


def segment(row: Segment) -> dict[str, Any]:
    return {
        "name": basename(row.key),
        "track": row.track,
        "state": _segment_state(row),
        "bytes": row.bytes,
        "md5": row.md5,
        "start_s": seconds(row.start_90k),
        "duration_s": seconds(row.end_90k - row.start_90k),
        "store": row.store,
    }


def snapshot(row: File) -> dict[str, Any]:
    uid = row.track.rpartition("/")[0]
    told = {"name": basename(row.key), "uid": uid, "state": _state(row), "bytes": row.bytes, "md5": row.md5}
    return told | {"error": row.error, "store": row.store}


def playable(row: Recording, lengths: Sequence[Length]) -> list[str]:
    """Names of playlists, those first that show most: a mix's, also before there is one; users' joined ones, then each
    stream's.
    """
    if row.mode != Mode.INDIVIDUAL:
        return [basename(keys.playlist_key((), row.sid, row.cname))]
    names = [name for name, _ in whereabouts.playlists(row, lengths)]
    return sorted(names, key=lambda name: (not name.endswith(f"__uid_e_{JOINED}{whereabouts.PLAYLIST}"), name))


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


def _written(row: Recording, name: str, kind: str) -> dict[str, Any]:
    """Of a file that is not whole, so that its record has not been made."""
    key = keys.prefix_path(tuple(row.spec["file_prefix"])) + name
    shown: dict[str, Any] = {"name": name, "key": key, "kind": kind, "state": "writing"}
    return shown | {"bytes": 0, "md5": "", "duration_s": 0.0, "started_ms": row.t0_ms or 0, "error": "", "store": ""}


def _growing(session: Session, row: Recording) -> list[dict[str, Any]]:
    """The MP4 that what is recorded now will be in."""
    if "mp4" not in row.spec["av_file_type"] or ended(row.status):
        return []
    claims = films.of(session, row.sid)
    taken = [(file.start_90k, file.end_90k) for file in claims]
    left = [shot for run in unclaimed(films.shots(session, row.sid, MIX, final=False), taken) for shot in run]
    if not left:
        return []
    name = basename(keys.mp4_key((), row.sid, row.cname, len(claims)))
    length_90k = sum(shot.end_90k - shot.start_90k for shot in left)
    started_ms = (row.t0_ms or 0) + left[0].start_90k * 1000 // TICKS_PER_S
    grown = {"bytes": sum(shot.bytes for shot in left), "duration_s": seconds(length_90k), "started_ms": started_ms}
    return [_written(row, name, "mp4") | grown]


def _state(file: File) -> str:
    if file.store in (files.DOOMED, files.DELETED):
        return {files.DOOMED: "deleting", files.DELETED: "deleted"}[file.store]
    if not file.final:
        return "writing"
    return "stored" if whereabouts.is_there(file) and file.bytes else "failed"


def _segment_state(row: Segment) -> str:
    if row.store == files.DELETED:
        return "deleted"
    return "stored" if row.state is SegmentState.STORED else "writing"
