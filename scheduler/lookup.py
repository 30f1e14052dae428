"""Whom a call of the contract concerns: the resource, the recording, and whether it may still be called so."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories import recordings, resources
from models.tables import App, Recording, Resource
from models.vocabulary.errors import (
    BadParameter,
    ResourceExpired,
    ResourceMismatch,
    ResourceUnreadable,
    SidMismatch,
    WorkerNotFound,
)
from models.vocabulary.spec import Mode
from models.vocabulary.states import Status, Wanted, ended
from scheduler import faults

HOUR_MS: Final = 3_600_000


def resource(session: Session, app: App, resource_id: str, cname: str, uid: str) -> Resource:
    found = resources.get(session, resource_id)
    if found is None:
        raise ResourceUnreadable
    if found.appid != app.appid:
        raise ResourceMismatch("the resourceId belongs to another app")
    for name, asked, acquired in (("cname", cname, found.cname), ("uid", uid, found.uid)):
        if asked != acquired:
            raise ResourceMismatch(f"{name} is not the one that acquire was called with")
    return found


def running(
    session: Session, appid: str, mode: Mode, resource_id: str, sid: str, *, also_ended: bool = False
) -> Recording:
    recording = recordings.get(session, sid)
    if recording is None or recording.appid != appid:
        raise WorkerNotFound
    if recording.resource_id != resource_id:
        raise SidMismatch
    if recording.mode != mode.value:
        raise BadParameter(f"mode: this recording was started in mode {recording.mode}")
    _check_time(session, recording)
    if ended(recording.status) and not also_ended:
        happened = faults.what_happened(
            status=recording.status, reason=recording.reason, fault=recording.fault, ended_ms=recording.ended_ms
        )
        raise WorkerNotFound(f"{happened}; its record is at /v1/apps/{appid}/recordings/{sid}")
    return recording


def _check_time(session: Session, recording: Recording) -> None:
    """resourceExpiredHour ends the contract's calls, not the recording."""
    resource = resources.get(session, recording.resource_id)
    hours = int(resource.options.get("resourceExpiredHour", 72)) if resource is not None else 72
    if now_ms(session) > recording.created_ms + hours * HOUR_MS:
        own = f"/v1/apps/{recording.appid}/recordings/{recording.sid}"
        raise ResourceExpired(f"resourceExpiredHour ({hours}) is over; {own} and {own}/stop still answer")


def is_ending(recording: Recording) -> bool:
    return recording.wanted in (Wanted.STOP, Wanted.CANCEL) or recording.status >= Status.STOPPING


def check_same(recording: Recording, cname: str, uid: str) -> None:
    if (recording.cname, recording.uid) != (cname, uid):
        raise ResourceMismatch("cname and uid are not those of the recording")
