"""Supervised jobs (Reelyard only): "keep this channel recorded, so, until I say stop". What is ordered, what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reelyard.answers import Json, Status, objects, status, text, truth, whole
from reelyard.errors import ProtocolError
from reelyard.requests import AcquireRequest, Mode, StartRequest, to_wire


class JobState(StrEnum):
    """Where a job stands. It has ended when DONE (as it was wanted) or FAILED; UNKNOWN is what this package does not know."""

    UNKNOWN = "unknown"
    WAITING = "waiting"
    STARTING = "starting"
    CONFIRMING = "confirming"
    RUNNING = "running"
    DOUBTED = "doubted"
    CLEARING = "clearing"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED)


@dataclass(frozen=True, slots=True)
class JobAttempt:
    """One acquire and what came of it: one recording at most. Times are Unix ms; `ending` says in words how it ended."""

    uid: str
    sid: str
    status: Status
    files: tuple[str, ...]
    begun_ms: int | None
    started_ms: int | None
    confirmed_ms: int | None
    ended_ms: int | None
    ending: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stood. `cause` names how it ended and `reason` says it in words; `trouble` is what went wrong last.

    `files` are those of all attempts; a job out of a list has neither these nor `uids`.
    `new`: this submission made it; False where an earlier one with its key did.
    """

    job_id: str
    key: str
    cname: str
    mode: str
    state: JobState
    stop_wanted: bool
    cause: str
    reason: str
    trouble: str
    sid: str
    created_ms: int | None
    ended_ms: int | None
    next_check_ms: int | None
    deadline_ms: int | None
    uids: tuple[str, ...]
    files: tuple[str, ...]
    attempts: tuple[JobAttempt, ...]
    new: bool
    warnings: tuple[str, ...]
    raw: Json = field(repr=False)

    @property
    def ended(self) -> bool:
        return self.state.ended


@dataclass(frozen=True, slots=True)
class JobPage:
    """`next` is the `before` of the following page; "" ends the list."""

    jobs: tuple[Job, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """Customer key and secret at a service that is not this farm."""

    key: str
    secret: str = field(repr=False)


def order(
    key: str,
    cname: str,
    uids: Sequence[str],
    start: StartRequest | Json,
    acquire: AcquireRequest | Json,
    mode: Mode | str,
    credentials: Credentials | None,
    **limits: object,
) -> dict[str, Any]:
    """The body of a submission. A limit that is None or empty is not sent: the farm's own default holds."""
    body: dict[str, Any] = {"key": key, "cname": cname, "uids": list(uids), "mode": Mode(mode).value}
    body |= {"start": to_wire(start), "acquire": to_wire(acquire)}
    if credentials is not None:
        body["credentials"] = {"key": credentials.key, "secret": credentials.secret}
    return body | {name: to_wire(value) for name, value in limits.items() if value not in (None, "", (), [])}


def job(body: Json, *, new: bool = False, warnings: tuple[str, ...] = ()) -> Job:
    job_id = text(body.get("job_id"))
    if not job_id:
        raise ProtocolError("the answer has no job_id")
    said = text(body.get("state"))
    return Job(
        job_id=job_id,
        key=text(body.get("key")),
        cname=text(body.get("cname")),
        mode=text(body.get("mode")),
        state=JobState(said) if said in set(JobState) else JobState.UNKNOWN,
        stop_wanted=truth(body.get("stop_wanted"), default=False),
        cause=text(body.get("cause")),
        reason=text(body.get("reason")),
        trouble=text(body.get("trouble")),
        sid=text(body.get("sid")),
        created_ms=whole(body.get("created_ms")),
        ended_ms=whole(body.get("ended_ms")),
        next_check_ms=whole(body.get("next_check_ms")),
        deadline_ms=whole(body.get("deadline_ms")),
        uids=_texts(body.get("uids")),
        files=_texts(body.get("files")),
        attempts=tuple(map(_attempt, objects(body.get("attempts")))),
        new=new,
        warnings=warnings,
        raw=body,
    )


def page(body: Json) -> JobPage:
    return JobPage(tuple(map(job, objects(body.get("jobs")))), text(body.get("next")))


def _attempt(body: Json) -> JobAttempt:
    return JobAttempt(
        uid=text(body.get("uid")),
        sid=text(body.get("sid")),
        status=status(body.get("status")),
        files=_texts(body.get("files")),
        begun_ms=whole(body.get("begun_ms")),
        started_ms=whole(body.get("started_ms")),
        confirmed_ms=whole(body.get("confirmed_ms")),
        ended_ms=whole(body.get("ended_ms")),
        ending=text(body.get("ending")),
    )


def _texts(value: object) -> tuple[str, ...]:
    found: Sequence[object] = value if isinstance(value, list) else ()
    return tuple(said for said in map(text, found) if said)
