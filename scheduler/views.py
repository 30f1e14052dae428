"""Rows as the contract's `serverResponse` and as the full record. Pure: rows in, JSON-able values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.repositories import films
from models.tables import File, Hole, Notice, Recording, Segment, Tenure
from models.vocabulary import events, keys
from models.vocabulary.spec import Mode, RecordingSpec
from models.vocabulary.states import HoleState, SegmentState, Status, Wanted, ended
from models.vocabulary.ticks import seconds
from scheduler import faults, outbox

MIX: Final = "mix"


def identity(recording: Recording) -> dict[str, Any]:
    return {
        "cname": recording.cname,
        "uid": recording.uid,
        "resourceId": recording.resource_id,
        "sid": recording.sid,
    }


#: (track, the tick at which it begins) of each that has something in the store.
Streams = Sequence[tuple[str, int]]


def file_list(recording: Recording, files: Sequence[File], streams: Streams) -> dict[str, Any]:
    """fileListMode and fileList: a name in `hls` alone, items where MP4s are made, too. Empty before the first slice.

    Of an individual recording, an item for each stream; nothing at all where snapshots alone are taken.
    """
    spec = RecordingSpec.model_validate(recording.spec)
    name, t0_ms = playlist_name(recording), recording.t0_ms or 0
    if spec.mode is Mode.INDIVIDUAL and not spec.keeps_streams:
        return {}
    if spec.mode is Mode.INDIVIDUAL:
        names = (spec.file_prefix, recording.sid, recording.cname)
        return {"fileListMode": "json", "fileList": events.stream_items(*names, streams, t0_ms=t0_ms)}
    if "mp4" not in spec.av_file_type:
        return {"fileListMode": "string", "fileList": name}
    named = ([(name, t0_ms)] if name else []) + films.listed(files, t0_ms)
    return {"fileListMode": "json", "fileList": events.file_items(named, stream_types=spec.stream_types)}


def playlist_name(recording: Recording) -> str:
    """Of a mix. Empty before the first slice is stored."""
    if recording.mode != Mode.MIX:
        return ""
    prefix = tuple(recording.spec["file_prefix"])
    return keys.playlist_key(prefix, recording.sid, recording.cname) if recording.sliced else ""


def queried(recording: Recording, files: Sequence[File], streams: Streams = ()) -> dict[str, Any]:
    response = (
        {"status": recording.status} | file_list(recording, files, streams) | {"sliceStartTime": recording.t0_ms or 0}
    )
    if recording.wanted is Wanted.HOLD:
        response["onhold"] = True  # ours; without a hold the answer has the contract's fields only
    return identity(recording) | {"serverResponse": response}


def stopped(recording: Recording, files: Sequence[File], streams: Streams = ()) -> dict[str, Any]:
    response = file_list(recording, files, streams) | {"uploadingStatus": uploading(recording)}
    return identity(recording) | {"serverResponse": response}


def uploading(recording: Recording) -> str:
    if recording.uploading:
        return recording.uploading
    return "uploaded" if recording.status == Status.EXITED else "unknown"


def summary(recording: Recording) -> dict[str, Any]:
    """One line of the list of recordings."""
    return {
        "sid": recording.sid,
        "cname": recording.cname,
        "uid": recording.uid,
        "mode": recording.mode,
        "status": recording.status,
        "wanted": recording.wanted.value,
        "reason": recording.reason,
        "created_ms": recording.created_ms,
        "started_ms": recording.t0_ms,
        "ended_ms": recording.ended_ms,
    }


def record(
    recording: Recording,
    *,
    segments: Sequence[Segment],
    holes: Sequence[Hole],
    files: Sequence[File],
    tenures: Sequence[Tenure],
    notices: Sequence[Notice] = (),
) -> dict[str, Any]:
    """The full truth about a recording; no secret is in it."""
    stored = [segment for segment in segments if segment.state is SegmentState.STORED]
    return summary(recording) | {
        "resource_id": recording.resource_id,
        "wanted_cause": recording.wanted_cause,
        "held_since_s": None if recording.held_90k is None else seconds(recording.held_90k),
        "what_happened": _ending(recording),
        "fault": None if recording.fault is None else dict(recording.fault),
        "warnings": list(recording.warnings),
        "spec": recording.spec,
        "weight": recording.weight,
        "uploading": uploading(recording) if ended(recording.status) else recording.uploading,
        "keep_until_ms": recording.keep_until_ms,
        "segments": {
            "count": len(segments),
            "stored": len(stored),
            "bytes": sum(segment.bytes for segment in stored),
            "duration_s": seconds(sum(s.end_90k - s.start_90k for s in segments)),
        },
        "holes": [_hole(hole) for hole in holes if hole.state is not HoleState.FILLED],
        "files": [_file(file) for file in files],
        "tenures": [_tenure(tenure) for tenure in tenures],
        "notices": [outbox.shown(notice) for notice in notices],
    }


def _ending(recording: Recording) -> str:
    if not ended(recording.status):
        return ""
    return faults.what_happened(
        status=recording.status, reason=recording.reason, fault=recording.fault, ended_ms=recording.ended_ms
    )


def _hole(hole: Hole) -> Mapping[str, Any]:
    return {
        "track": hole.track,
        "start_s": seconds(hole.start_90k),
        "end_s": seconds(hole.end_90k),
        "state": hole.state.value,
        "cause": hole.cause,
    }


def _file(file: File) -> Mapping[str, Any]:
    return {
        "key": file.key,
        "kind": file.kind,
        "bytes": file.bytes,
        "final": file.final,
        "store": file.store,
        "error": file.error,
    }


def _tenure(tenure: Tenure) -> Mapping[str, Any]:
    return {
        "epoch": tenure.epoch,
        "node": tenure.node,
        "role": tenure.role.value,
        "state": tenure.state.value,
        "created_ms": tenure.created_ms,
        "ended_ms": tenure.ended_ms,
        "cause": tenure.cause,
    }
