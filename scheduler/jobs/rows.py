"""A job's rows as the ladder's view, and the view's changes as values for the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from models.tables import Job, JobAttempt
from models.vocabulary.states import JobState
from scheduler.jobs.ending import due_ms
from scheduler.jobs.view import Attempt, Cause, JobView, Terms, Verb

MAX_TEXT: Final = 500
_ELSEWHERE: Final = frozenset({"terms", "state", "attempts", "stop_wanted", "cause", "reason"})
_TERMS: Final = tuple(field.name for field in fields(Terms))
_ATTEMPT: Final = tuple(field.name for field in fields(Attempt))


def view(job: Job, attempts: Sequence[JobAttempt]) -> JobView:
    kept = dict(job.position)
    ends = kept.pop("ends", None)
    said = {name: job.terms[name] for name in _TERMS}
    return JobView(
        terms=Terms(**said | {"uids": tuple(said["uids"])}),
        state=job.state,
        attempts=tuple(_attempt(row) for row in attempts),
        stop_wanted=job.stop_wanted,
        cause=Cause(job.cause) if job.cause else None,
        reason=job.reason,
        verb=Verb(kept.pop("verb", Verb.NONE)),
        ends=JobState(ends) if ends else None,
        **kept,
    )


def _attempt(row: JobAttempt) -> Attempt:
    values = {name: getattr(row, name) for name in _ATTEMPT}
    return Attempt(**values | {"files": tuple(row.files)})


def values(job: JobView) -> dict[str, Any]:
    """Columns of `job`."""
    position = {
        field.name: getattr(job, field.name) for field in fields(JobView) if field.name not in _ELSEWHERE
    }  # enums are their strings in JSON
    return {
        "state": job.state,
        "position": position,
        "sid": job.attempt.sid if job.attempts else "",
        "cause": job.cause.value if job.cause else "",
        "reason": job.reason[:MAX_TEXT],
        "due_ms": due_ms(job),
    }


def changed(before: JobView, after: JobView) -> list[dict[str, Any]]:
    """Rows of `job_attempt` that are new or not what they were."""
    old = before.attempts
    return [
        asdict(attempt) | {"n": n, "files": list(attempt.files), "ending": attempt.ending[:MAX_TEXT]}
        for n, attempt in enumerate(after.attempts)
        if n >= len(old) or old[n] != attempt
    ]
