"""The index of a recording: one small JSON object beside its files. Written first, as the probe of the store; last, as the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from models.repositories import files, timeline
from models.tables import File, Recording
from models.vocabulary import keys
from models.vocabulary.playlist import program_date_time
from models.vocabulary.spec import Mode
from models.vocabulary.states import HoleState, Wanted
from models.vocabulary.streams import MIX, Stream
from models.vocabulary.ticks import seconds

CONTENT_TYPE = "application/json"
INDEX_VERSION = 1


def render(session: Session, recording: Recording, *, final: bool, playlists: Sequence[tuple[str, str]] = ()) -> str:
    """`playlists`: (key, text) of those that stand beside it. The last index names every object of the recording."""
    prefix = tuple(recording.spec["file_prefix"])
    index: dict[str, Any] = {
        "version": INDEX_VERSION,
        "sid": recording.sid,
        "appid": recording.appid,
        "cname": recording.cname,
        "uid": recording.uid,
        "final": final,
        "cancelled": recording.wanted is Wanted.CANCEL,
        "started": None if recording.t0_ms is None else program_date_time(recording.t0_ms),
        "users": _users(recording),
        "warnings": list(recording.warnings),
    }
    if final:
        index["files"] = [_playlist(key, text) for key, text in playlists]
        index["files"] += [_file(file) for file in files.of(session, recording.sid) if file.kind in ("mp4", "snapshot")]
    names = (prefix, recording.sid, recording.cname)
    if final and recording.mode == Mode.MIX:
        index |= _track(session, recording.sid, MIX, keys.playlist_key(*names))
    elif final:
        streams = [Stream.of(track) for track in timeline.tracks(session, recording.sid)]
        index["streams"] = [
            {"uid": s.uid, "type": s.type}
            | _track(session, recording.sid, s.track, keys.stream_playlist_key(*names, s))
            for s in streams
        ]
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n"


def _users(recording: Recording) -> list[dict[str, Any]]:
    """Whose media were recorded, in the order in which they were first heard or seen (unix ms)."""
    ordered = sorted(recording.users.items(), key=lambda each: (each[1]["from_ms"], each[0]))
    return [{"uid": uid} | {name: seen[name] for name in ("media", "from_ms", "until_ms")} for uid, seen in ordered]


def _playlist(key: str, text: str) -> dict[str, Any]:
    body = text.encode()
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return {"key": key, "kind": "playlist", "bytes": len(body), "md5": md5}


def _file(file: File) -> dict[str, Any]:
    told = {"key": file.key, "kind": file.kind, "bytes": file.bytes, "md5": file.md5}
    return told | {"duration_s": seconds(file.duration_90k), "error": file.error}


def _track(session: Session, sid: str, track: str, playlist: str) -> dict[str, Any]:
    segments, holes = timeline.rows(session, sid, track)
    return {
        "playlist": playlist if segments else None,
        "duration_s": seconds(sum(s.end_90k - s.start_90k for s in segments)),
        "segments": [
            {
                "key": s.key,
                "start_s": seconds(s.start_90k),
                "end_s": seconds(s.end_90k),
                "bytes": s.bytes,
                "md5": s.md5,
            }
            | ({"shape": s.shape} if s.shape else {})
            for s in segments
        ],
        "holes": [
            {"start_s": seconds(h.start_90k), "end_s": seconds(h.end_90k), "state": str(h.state), "cause": h.cause}
            for h in holes
            if h.state is not HoleState.FILLED
        ],
    }
