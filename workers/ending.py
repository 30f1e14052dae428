"""How a recording ends, as changes of its state. Each is a compare-and-set that only the writer's epoch may make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.orm import Session

from models.repositories import listing, notices, recordings, tenures
from models.tables import Recording
from models.vocabulary import events, pipe
from models.vocabulary.errors import ChannelError, Scope, StorageError, table
from models.vocabulary.events import Event, Leave, Module
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
#: How it left, as event 41 says it.
LEAVE: Final = {"idle": Leave.NO_USERS, "limit": Leave.TIMER, "stdin": Leave.SIGNAL}
STORAGE_CODES: Final = frozenset(cls.code for cls in table() if issubclass(cls, StorageError))
CHANNEL_CODES: Final = frozenset(cls.code for cls in table() if issubclass(cls, ChannelError))


def capture_is_over(session: Session, who: Grantee, reason: str) -> None:
    """6, then 7: files may still go up."""
    cause = WHY.get(reason, "")
    if cause:
        recordings.want(session, who.sid, Wanted.STOP, cause)
    row = recordings.get(session, who.sid)
    cause = cause or (row.wanted_cause if row is not None else "") or "stop called"
    running = {status for status in Status if status < Status.STOPPING}
    if recordings.advance(session, who.sid, expect=running, to=Status.STOPPING, cause=cause, epoch=who.epoch):
        notices.say(session, who.sid, Event.RECORDER_LEAVE, leaveCode=int(LEAVE.get(reason, Leave.CLIENT_LEAVE)))
    recordings.advance(session, who.sid, expect={Status.STOPPING}, to=Status.STOPPED, cause=cause, epoch=who.epoch)


def note(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """The newest trouble, for the record. It never hides the one that ends the recording."""
    row = recordings.lock(session, who.sid)
    if row is not None and not is_condemned(row.fault):
        recordings.set_fault(session, who.sid, _told(fault, fatal=False))
    if not fault.fatal:
        _say_trouble(session, who, fault)


def _say_trouble(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """It is tried again by itself, or cannot get better until the caller does something."""
    module = module_of(fault.code)
    if module is Module.UPLOADER and fault.scope is not Scope.CALLER:
        notices.say(session, who.sid, Event.WARNING, module=int(module), warnCode=events.UPLOAD_AGAIN)
    else:
        said = events.error(module, fault.code, fault.text, level=events.SERIOUS)
        notices.say(session, who.sid, Event.ERROR, **said)


def module_of(code: int) -> Module:
    """Whose part an error's code belongs to (contract §2, §7)."""
    if code in STORAGE_CODES:
        return Module.UPLOADER
    return Module.RECORDER if code in CHANNEL_CODES else Module.SERVICE


def condemn(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """The recording has failed; what there is of it is still brought to its end, by this tenure or a finaliser."""
    recordings.set_fault(session, who.sid, _told(fault, fatal=True))


def is_condemned(fault: Mapping[str, Any] | None) -> bool:
    return bool(fault and fault.get("fatal"))


def is_cancelled(row: Recording | None) -> bool:
    """What is not in a store is not wanted any more."""
    return row is not None and row.wanted is Wanted.CANCEL


def _told(fault: pipe.Fault, *, fatal: bool) -> dict[str, Any]:
    told = {"code": fault.code, "scope": str(fault.scope), "retryable": fault.retryable, "text": fault.text}
    return told | {"fatal": fatal}


def all_is_stored(session: Session, who: Grantee, *, backuped: bool = False) -> None:
    """8, or 20 when a fatal fault ended it; what is secret is no longer needed, unless files are still to be moved from
    the backup store (`backuped`).
    """
    row = recordings.lock(session, who.sid)
    cancelled = is_cancelled(row)
    failed = row is not None and is_condemned(row.fault)
    cause = str(row.fault.get("text", "")) if row is not None and row.fault and failed else ""
    to = Status.FAILED if failed else Status.EXITED
    if recordings.advance(session, who.sid, expect={Status.STOPPED}, to=to, cause=cause, epoch=who.epoch):
        uploading = "backuped" if backuped else "unknown" if cancelled else "uploaded"
        recordings.set_uploading(session, who.sid, uploading)
        if row is not None and failed and row.fault:
            said = events.error(module_of(int(row.fault.get("code", 0))), int(row.fault.get("code", 0)), cause)
            notices.say(session, who.sid, Event.ERROR, **said)
        if row is not None and backuped:
            notices.say(session, who.sid, Event.BACKUPED, status=0, fileList=listing.file_items(session, row))
        elif row is not None and row.sliced and not cancelled:
            notices.say(session, who.sid, Event.UPLOADING_PROGRESS, progress=10_000)
            notices.say(session, who.sid, Event.UPLOADED, status=0, fileList=listing.file_items(session, row))
        _exited(session, who, failed=failed)
        if not backuped:
            recordings.wipe_secrets(session, who.sid)
    tenures.end(session, who.sid, who.epoch, who.owner, cause or "all is stored")


def nothing_was_recorded(session: Session, who: Grantee, fault: pipe.Fault) -> None:
    """20 at once: the fault came before the first slice and no other worker can mend it."""
    recordings.advance(session, who.sid, expect=None, to=Status.FAILED, cause=fault.text, epoch=who.epoch)
    said = events.error(module_of(fault.code), fault.code, fault.text)
    notices.say(session, who.sid, Event.ERROR, **said)
    notices.say(session, who.sid, Event.RECORDER_LEAVE, leaveCode=int(Leave.INIT_FAILED))
    _exited(session, who, failed=True)
    recordings.wipe_secrets(session, who.sid)
    tenures.end(session, who.sid, who.epoch, who.owner, fault.text)


def _exited(session: Session, who: Grantee, *, failed: bool) -> None:
    notices.say(session, who.sid, Event.SESSION_EXIT, exitStatus=1 if failed else 0)
