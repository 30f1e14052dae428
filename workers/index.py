"""The index of a recording: one small JSON object beside its files. Written first, as the probe of the store; last, as the truth."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.orm import Session

from models.repositories import timeline
from models.tables import Recording
from models.vocabulary import keys
from models.vocabulary.playlist import program_date_time
from models.vocabulary.spec import Mode
from models.vocabulary.states import HoleState, Wanted
from models.vocabulary.streams import MIX, Stream
from models.vocabulary.ticks import seconds

CONTENT_TYPE = "application/json"
INDEX_VERSION = 1


def render(session: Session, recording: Recording, *, final: bool) -> str:
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
        "warnings": list(recording.warnings),
    }
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
            for s in segments
        ],
        "holes": [
            {"start_s": seconds(h.start_90k), "end_s": seconds(h.end_90k), "state": str(h.state), "cause": h.cause}
            for h in holes
            if h.state is not HoleState.FILLED
        ],
    }
