"""The ladder on a virtual clock: answers by script in, calls out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from models.vocabulary.states import JOB
from scheduler.jobs.ending import due_ms
from scheduler.jobs.ladder import next_step
from scheduler.jobs.view import WOKEN, JobView, Kind, Outcome, Terms, Verb

HOUR_MS = 3_600_000
#: The clock of the tests begins here: 0 would hide a "since" that is not set.
ZERO_MS = 1_700_000_000_000


def terms(**changes: Any) -> Terms:
    said: dict[str, Any] = {
        "cname": "lesson",
        "mode": "mix",
        "uids": ("main", "spare"),
        "max_idle_ms": 30_000,
        "file_prefix": "",
        "domains": 1,
        "farm": False,
        "not_before_ms": 0,
        "until_ms": None,
        "for_ms": None,
        "start_within_ms": HOUR_MS,
        "max_rounds": 6,
        "deadline_ms": 24 * HOUR_MS,
    }
    said |= changes
    for name in ("not_before_ms", "until_ms", "deadline_ms"):
        if said[name] is not None:
            said[name] += ZERO_MS
    return Terms(**said)


@dataclass(frozen=True)
class Call:
    at_ms: int
    verb: Verb
    uid: str
    domain: int


def answer(text: str, verb: Verb, fresh: Callable[[], str]) -> Outcome:
    """An answer of `scheduler.jobs.table` as an outcome."""
    if text == "lost":
        return Outcome(kind=Kind.LOST, reason="reset")
    if text.startswith("="):
        status, _, reason = text[1:].partition(":")
        return Outcome(http=200, status=int(status), reason=reason)
    http, _, code = text.partition("/")
    made = Outcome(http=int(http), code=int(code or 0))
    if made.http in (200, 201) and verb is Verb.ACQUIRE:
        return replace(made, resource_id=fresh())
    if made.http in (200, 201) and verb is Verb.START:
        return replace(made, sid=fresh())
    return made


def walk(
    job: JobView, respond: Callable[[Call, JobView], Outcome | None], *, stop_ms: int | None = None, until_ms: int
) -> tuple[JobView, list[Call]]:
    """Let the job live until it is over, `respond` has no answer, or `until_ms`."""
    now_ms, calls = ZERO_MS, []
    while not job.over and now_ms <= until_ms:
        if stop_ms is not None and now_ms >= stop_ms:
            job = replace(job, stop_wanted=True)
        job = moved(job, WOKEN, now_ms)
        if not job.over and job.verb is not Verb.NONE and job.call_ms <= now_ms:
            call = Call(now_ms, job.verb, job.attempt.uid, job.domain)
            outcome = respond(call, job)
            if outcome is None:
                break
            calls.append(call)
            job = moved(job, outcome, now_ms)
        due = due_ms(job)
        if due is None:
            break
        if stop_ms is not None and not job.stop_wanted:
            due = min(due, stop_ms)
        now_ms = max(now_ms, due)
    return job, calls


def moved(job: JobView, outcome: Outcome, now_ms: int, chance: float = 0.5) -> JobView:
    after = next_step(job, outcome, now_ms, chance)
    assert after.state == job.state or (job.state, after.state) in JOB, f"{job.state} → {after.state} is no transition"
    return after
