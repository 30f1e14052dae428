"""When a job is to end, and how it does: whatever may still record is stopped, one after the other, and then proven gone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from models.vocabulary import keys
from models.vocabulary.states import JobState, Status
from scheduler.jobs import waits
from scheduler.jobs.view import Attempt, Cause, JobView, Terms, Verb

CAPTURE_IS_OVER = frozenset({Status.STOPPING, Status.STOPPED, Status.EXITED, Status.FAILED})


def due_ms(job: JobView) -> int | None:
    """When the job must be looked at again; None: never."""
    if job.over:
        return None
    if job.state is JobState.STOPPING:
        return min(job.call_ms, (job.stopping_ms or 0) + waits.STOP_WITHIN_MS)
    if job.stop_wanted:
        return 0
    first = job.terms.not_before_ms if job.state is JobState.WAITING else job.call_ms
    return min(first, *(at_ms for at_ms, *_ in _limits(job)))


def wanted(job: JobView, now_ms: int) -> tuple[JobState, Cause, str] | None:
    """How the job is to end now, if it is."""
    if job.stop_wanted:
        return JobState.DONE, Cause.STOPPED, "stop called"
    passed = [(at_ms, state, cause, why) for at_ms, state, cause, why in _limits(job) if now_ms >= at_ms]
    if not passed:
        return None
    _, state, cause, why = min(passed, key=lambda limit: limit[0])
    return state, cause, why


def _limits(job: JobView) -> Iterator[tuple[int, JobState, Cause, str]]:
    terms = job.terms
    at_ms = terms.deadline_ms - waits.STOP_WITHIN_MS
    yield at_ms, JobState.FAILED, Cause.DEADLINE, "the job's deadline passed"
    if terms.until_ms is not None:
        if job.first_sid_ms is None:
            yield terms.until_ms, JobState.FAILED, Cause.NOT_STARTED, "its time was over before a start succeeded"
        else:
            yield terms.until_ms, JobState.DONE, Cause.UNTIL, "its time is over"
    if terms.for_ms is not None and job.first_sid_ms is not None:
        yield job.first_sid_ms + terms.for_ms, JobState.DONE, Cause.LENGTH, "its length is reached"
    if job.trouble_ms:
        words = f"no recording was confirmed within {terms.start_within_ms // 1000} s"
        yield job.trouble_ms + terms.start_within_ms, JobState.FAILED, Cause.NOT_STARTED, words


def end(job: JobView, state: JobState, cause: Cause, reason: str, now_ms: int) -> JobView:
    """End so; first whatever may still record is stopped."""
    return stop_next(replace(job, ends=state, cause=cause, reason=reason, stopping_ms=now_ms), now_ms)


def stop_next(job: JobView, now_ms: int) -> JobView:
    """The next attempt that may record and whose end was not tried in vain; none: the job is over."""
    order = [job.current, *range(len(job.attempts))] if job.attempts else []
    pending = [n for n in order if job.attempts[n].may_record and not job.attempts[n].ending]
    if not pending:
        return _finish(job)
    current = pending[0]
    was = job.verb if current == job.current else Verb.NONE
    job = replace(job, current=current)
    verb = Verb.STOP if job.attempt.sid else Verb.START
    under_way = job.state is JobState.CLEARING or was is verb
    job = replace(job, state=JobState.STOPPING)
    if under_way:  # the waits of what is under way stay as they are
        return job
    job = replace(job, verb=verb, call_ms=now_ms, tries=0, lost=0, doubt="")
    return job if job.attempt.sid else job.now_about(resumed=True)


def overdue(job: JobView, now_ms: int) -> JobView:
    """A stop that takes too long. Capture that is over is an end, though files may still go up."""
    if now_ms < (job.stopping_ms or 0) + waits.STOP_WITHIN_MS:
        return job
    settled = tuple(
        replace(a, over_ms=now_ms, ending="it has stopped; its files were still going up")
        if a.may_record and a.sid and a.status in CAPTURE_IS_OVER
        else a
        for a in job.attempts
    )
    return _finish(replace(job, attempts=settled))


def _finish(job: JobView) -> JobView:
    assert job.ends is not None
    done = replace(job, state=job.ends, verb=Verb.NONE, ends=None, doubt="")
    unproven = [a for a in job.attempts if a.may_record]
    if not unproven:
        return done
    if job.ends is JobState.DONE:
        cause = Cause.UNSTOPPED if any(a.sid for a in unproven) else Cause.UNANSWERED
        done = replace(done, state=JobState.FAILED, cause=cause)
    left = ", ".join(a.sid or f"the start of uid {a.uid}" for a in unproven)
    return replace(done, reason=f"{job.reason}; not proven to have ended: {left}")


def by_itself(attempt: Attempt, max_idle_ms: int, *, recorded: bool) -> Cause | None:
    """Why a recording that is gone ended, if it was to end; None: it died, and is started again.

    With a record its status says so. Without: it was seen leaving; or nobody ever published (its last status was 4, never
    5) and it stood for maxIdleTime. What had files and is gone unseen counts as dead: if that is wrong, the next attempt
    finds nobody, and ends by the second rule.
    """
    if recorded:
        if attempt.status != Status.EXITED:
            return None
        return Cause.IDLE if "maxIdleTime" in attempt.ending else Cause.ENDED
    if attempt.status in CAPTURE_IS_OVER and attempt.status != Status.FAILED:
        return Cause.ENDED
    stood_ms = (attempt.missed_ms or 0) - (attempt.sid_ms or 0)
    return Cause.IDLE if attempt.status == Status.READY and stood_ms >= max_idle_ms else None


def playlist(terms: Terms, sid: str) -> str:
    """The playlist's name by the naming rule; `query` confirms it later."""
    return f"{terms.file_prefix}{sid}_{keys.safe(terms.cname)}.m3u8"
