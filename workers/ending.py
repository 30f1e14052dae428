"""How a recording ends, as changes of its state. Each is a compare-and-set that only the writer's epoch may make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from models.repositories import notices, recordings, tenures
from models.vocabulary import pipe
from models.vocabulary.errors import Scope
from models.vocabulary.states import Status, Wanted
from workers.bookkeeping import Grantee

#: Why a recorder left by itself, for people.
WHY = {
    "idle": "nobody was in the channel for maxIdleTime",
    "closed": "the channel was closed",
    "kicked": "the recorder was thrown out of the channel",
    "token": "the channel's token ran out",
    "limit": "the longest length was reached",
}


def capture_is_over(session: Session, who: Grantee, reason: str) -> None:
    """6, then 7: files may still go up."""
    cause = WHY.get(reason, "")
    if cause:
        recordings.want(session, who.sid, Wanted.STOP, cause)
    row = recordings.get(session, who.sid)
    cause = cause or (row.wanted_cause if row is not None else "") or "stop called"
    running = {status for status in Status if status < Status.STOPPING}
    for expect, to in ((running, Status.STOPPING), ({Status.STOPPING}, Status.STOPPED)):
        recordings.advance(session, who.sid, expect=expect, to=to, cause=cause, epoch=who.epoch)


def note(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """The newest trouble, for the record. It never hides the one that ends the recording."""
    row = recordings.lock(session, who.sid)
    if row is not None and not is_condemned(row.fault):
        recordings.set_fault(session, who.sid, _told(fault, fatal=False))


def condemn(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """The recording has failed; what there is of it is still brought to its end, by this tenure or a finaliser."""
    recordings.set_fault(session, who.sid, _told(fault, fatal=True))


def is_condemned(fault: Mapping[str, Any] | None) -> bool:
    return bool(fault and fault.get("fatal"))


def _told(fault: pipe.Fault, *, fatal: bool) -> dict[str, Any]:
    told = {"code": fault.code, "scope": str(fault.scope), "retryable": fault.retryable, "text": fault.text}
    return told | {"fatal": fatal}


def all_is_stored(session: Session, who: Grantee) -> None:
    """8, or 20 when a fatal fault ended it; what is secret is no longer needed."""
    row = recordings.lock(session, who.sid)
    failed = row is not None and is_condemned(row.fault)
    cause = str(row.fault.get("text", "")) if row is not None and row.fault and failed else ""
    to = Status.FAILED if failed else Status.EXITED
    if recordings.advance(session, who.sid, expect={Status.STOPPED}, to=to, cause=cause, epoch=who.epoch):
        recordings.set_uploading(session, who.sid, "uploaded")
        _exited(session, who, failed=failed)
    tenures.end(session, who.sid, who.epoch, who.owner, cause or "all is stored")


def nothing_was_recorded(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """20 at once: the fault came before the first slice and no other worker can mend it."""
    recordings.advance(session, who.sid, expect=None, to=Status.FAILED, cause=fault.text, epoch=who.epoch)
    details = {
        "msgName": "cloud_recording_error",
        "module": 1 if fault.scope is Scope.CALLER else 0,
        "errorLevel": 5,
        "errorCode": fault.code,
        "stat": 0,
        "errorMsg": fault.text,
    }
    notices.tell(session, who.sid, 1, details)
    _exited(session, who, failed=True)
    tenures.end(session, who.sid, who.epoch, who.owner, fault.text)


def _exited(session: Session, who: Grantee, *, failed: bool) -> None:
    notices.tell(session, who.sid, 11, {"msgName": "session_exit", "exitStatus": 1 if failed else 0})
    recordings.wipe_secrets(session, who.sid)
