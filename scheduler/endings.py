"""Recordings that end without a worker: nothing of them lies anywhere, or nobody can take them any further."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from models.repositories import notices, recordings
from models.tables import Recording
from models.vocabulary import events
from models.vocabulary.errors import ReelyardError
from models.vocabulary.events import Event, Module
from models.vocabulary.states import Status


def exit_empty(session: Session, recording: Recording) -> None:
    """No worker ever had it, so there is nothing to upload."""
    cause = recording.wanted_cause or "stop called"
    running = {status for status in Status if status < Status.STOPPING}
    recordings.advance(session, recording.sid, expect=running, to=Status.STOPPING, cause=cause)
    if recordings.advance(session, recording.sid, expect={Status.STOPPING}, to=Status.EXITED, cause=cause):
        _told(session, recording.sid, exit_status=0)


def fail(session: Session, recording: Recording, error: ReelyardError) -> None:
    fault = fault_of(error)
    recordings.set_fault(session, recording.sid, fault)
    if recordings.advance(session, recording.sid, expect=None, to=Status.FAILED, cause=error.text):
        said = events.error(Module.SERVICE, error.code, error.text)
        notices.say(session, recording.sid, Event.ERROR, **said)
        _told(session, recording.sid, exit_status=1)


def fault_of(error: ReelyardError, *, fatal: bool = True) -> dict[str, Any]:
    return {
        "code": error.code,
        "scope": error.scope.value,
        "retryable": error.retryable,
        "text": error.text,
        "fatal": fatal,
    }


def _told(session: Session, sid: str, *, exit_status: int) -> None:
    notices.say(session, sid, Event.SESSION_EXIT, exitStatus=exit_status)
    recordings.wipe_secrets(session, sid)
