"""Rows as the values that `--json` prints and tables show. Pure, and without anything secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.repositories.overview import Seen, SeenNode
from models.tables import File, Hole, Job, Recording, Segment, Tenure
from models.vocabulary.states import Status
from scheduler import views
from scheduler.jobs.service import summary as job_summary

Row = dict[str, Any]


def recording(seen: Seen) -> Row:
    row = seen.recording
    return (
        {"appid": row.appid}
        | views.summary(row)
        | {
            "state": Status(row.status).name.lower(),
            "nodes": list(seen.nodes),
            "length_s": seen.length_s,
            "holes_s": seen.holes_s,
            "fault": None if row.fault is None else dict(row.fault),
        }
    )


def full_recording(
    row: Recording,
    segments: Sequence[Segment],
    holes: Sequence[Hole],
    files: Sequence[File],
    tenures: Sequence[Tenure],
) -> Row:
    told = views.record(row, segments=segments, holes=holes, files=files, tenures=tenures)
    return {"appid": row.appid, "state": Status(row.status).name.lower()} | told


def job(row: Job) -> Row:
    return {"appid": row.appid} | job_summary(row)


def node(seen: SeenNode, now_ms: int) -> Row:
    row = seen.node
    return {
        "node": row.name,
        "state": node_state(seen),
        "cause": row.cordon_cause,
        "capacity": row.capacity,
        "load": seen.load,
        "tenures": seen.recordings,
        "missed": row.missed,
        "ingest_url": row.ingest_url,
        "ingest_up": row.ingest_up,
        "version": row.version,
        "gone_s": None if seen.up or not row.expires_ms else (now_ms - row.expires_ms) // 1000,
    }


def node_state(seen: SeenNode) -> str:
    row = seen.node
    if not seen.up:
        return "left" if not row.expires_ms else "gone"
    if row.draining:
        return "draining"
    if row.cordoned:
        return "cordoned"
    return "full" if row.spool_full else "open"
