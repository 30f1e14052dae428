"""The ladder: what a job does next. Pure: a job, what was answered, the time; out comes the job with its next call.

Two invariants carry it. A resourceId starts one recording at most, and an attempt never changes its resourceId; so as
long as a UID has at most one attempt that may record, it is never in the channel twice. And an attempt with a sid is
proven over before another one begins; one whose start was never answered has no sid to ask by, so it is the first
that is taken up again, with its old resourceId, when its UID's turn comes round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from models.vocabulary.states import JobState, Status
from scheduler.jobs import ending, waits
from scheduler.jobs.ending import end, stop_next
from scheduler.jobs.view import Attempt, Cause, JobView, Kind, Outcome, Verb

#: Answers of contract §2 that mean "ask again", besides every 50x.
LATER: Final = frozenset({206, 408, 425, 429})
VENDOR_OVER_LOAD: Final = 406
TASK_CONFLICT: Final = 53
RESOURCE_EXPIRED: Final = 433
INVALID_OPERATION: Final = 49  # a stop that came before
NO_RECORDED_DATA: Final = 435
SERVICE_EXITING: Final = 501  # a query after a stop

UP: Final = frozenset({Status.READY, Status.IN_PROGRESS})
LEAVING: Final = frozenset({Status.STOPPING, Status.STOPPED})
GONE: Final = frozenset({Status.EXITED, Status.FAILED})
ENDING: Final = frozenset({JobState.STOPPING, JobState.CLEARING})


def next_step(job: JobView, outcome: Outcome, now_ms: int, chance: float = 0.5) -> JobView:
    """`chance` in [0, 1) spreads the periodic queries. The next call is `verb`, not before `call_ms`; look at the job
    again at `ending.due_ms`, with `WOKEN` before each call.
    """
    if job.over:
        return job
    job = _wished(_heard(job, outcome, now_ms, chance), now_ms)
    about_to_start = outcome.kind is Kind.WOKEN and job.verb is Verb.START and job.call_ms <= now_ms
    return job.now_about(sent=True) if about_to_start else job


def _wished(job: JobView, now_ms: int) -> JobView:
    """What the caller wants and the clock demands, whatever was answered."""
    if job.over:
        return job
    if job.state is JobState.STOPPING:
        return ending.overdue(job, now_ms)
    if wanted := ending.wanted(job, now_ms):
        return end(job, *wanted, now_ms)
    if job.state is JobState.WAITING and now_ms >= job.terms.not_before_ms:
        return _acquire(replace(job, trouble_ms=now_ms), job.terms.uids[0], now_ms)
    return job


def _heard(job: JobView, outcome: Outcome, now_ms: int, chance: float) -> JobView:
    if outcome.kind is Kind.WOKEN or job.verb is Verb.NONE:
        return job
    if outcome.kind is Kind.LOST:
        if job.lost < len(waits.DOMAIN_MS):
            return _other_domain(job, now_ms)
        outcome = replace(outcome, kind=Kind.ANSWER, http=504)
    hear = _BY_VERB[job.verb]
    return hear(replace(job, lost=0), outcome, now_ms, chance)


def _other_domain(job: JobView, now_ms: int) -> JobView:
    lost = job.lost + 1
    turn = lost == waits.OTHER_DOMAIN_AT
    domain = (job.domain + turn) % job.terms.domains
    return replace(job, lost=lost, domain=domain, call_ms=now_ms + waits.DOMAIN_MS[job.lost])


def _later(outcome: Outcome) -> bool:
    return outcome.http >= 500 or outcome.http in LATER


def _foreign(job: JobView, outcome: Outcome) -> JobView | None:
    """No 404 is defined for acquire and start: whoever answered it may have passed the request on before. So it is like a
    50x; only one that was the answer from the first call on, "missing", is a wrong address.
    """
    if outcome.http != 404:
        return None
    return replace(job, doubt="missing" if job.tries == 0 or job.doubt == "missing" else "")


def _wait(job: JobView, wait_ms: int, now_ms: int) -> JobView:
    return replace(job, tries=job.tries + 1, call_ms=now_ms + wait_ms)


def _call(job: JobView, verb: Verb, at_ms: int) -> JobView:
    return replace(job, verb=verb, call_ms=at_ms, tries=0)


def _over(job: JobView, now_ms: int, how: str) -> JobView:
    return job.now_about(over_ms=now_ms, ending=how)


# -- attempts ---------------------------------------------------------------------------------------------------


def _acquire(job: JobView, uid: str, now_ms: int) -> JobView:
    attempts = (*job.attempts, Attempt(uid=uid, begun_ms=now_ms))
    begun = replace(job, state=JobState.STARTING, attempts=attempts, current=len(attempts) - 1, doubt="")
    return _call(replace(begun, rounds=job.rounds + 1), Verb.ACQUIRE, now_ms)


def _next_attempt(job: JobView, now_ms: int, *, same_uid: bool = False) -> JobView:
    """The UIDs in turn; one that may still record is not used again, but taken up where it was left."""
    if job.rounds >= job.terms.max_rounds or len(job.attempts) >= waits.MAX_ATTEMPTS:
        last = job.attempt.ending or "start was not answered"
        if job.attempt.may_record:  # asked just now, in vain
            job = job.now_about(ending=last)
        return end(job, JobState.FAILED, Cause.ROUNDS, f"{job.rounds} rounds, the last one: {last}", now_ms)
    uids = job.terms.uids
    uid = uids[(uids.index(job.attempt.uid) + (not same_uid)) % len(uids)]
    for n, attempt in enumerate(job.attempts):
        if attempt.uid == uid and attempt.may_record:
            again = replace(job, state=JobState.STARTING, current=n, rounds=job.rounds + 1, doubt="")
            return _call(again.now_about(resumed=True), Verb.START, now_ms)
    return _acquire(job, uid, now_ms)


def _clear(job: JobView, now_ms: int) -> JobView:
    return _call(replace(job, state=JobState.CLEARING, doubt=""), Verb.STOP, now_ms)


# -- acquire and start ------------------------------------------------------------------------------------------


def _acquired(job: JobView, outcome: Outcome, now_ms: int, _chance: float) -> JobView:
    if outcome.http == 200 and outcome.resource_id:
        return _call(replace(job, doubt="").now_about(resource_id=outcome.resource_id), Verb.START, now_ms)
    how = f"acquire: {outcome.in_words()}"
    foreign = _foreign(job, outcome)
    again = _later(outcome) or outcome.code == VENDOR_OVER_LOAD or foreign is not None
    job = foreign or replace(job, doubt="")
    if again and job.tries < len(waits.START_MS):
        return _wait(job, waits.START_MS[job.tries], now_ms)
    if not again or job.doubt:
        return end(_over(job, now_ms, how), JobState.FAILED, Cause.REFUSED, how, now_ms)
    return _next_attempt(_over(job, now_ms, how), now_ms)


def _started(job: JobView, outcome: Outcome, now_ms: int, _chance: float) -> JobView:
    sid = outcome.sid or job.attempt.sid
    if outcome.http in (200, 201) and sid:
        return _got(job.now_about(sid=sid, sid_ms=now_ms, files=(ending.playlist(job.terms, sid),)), now_ms)
    if (foreign := _foreign(job, outcome)) is not None:
        return _not_found(foreign, outcome, now_ms)
    job = replace(job, doubt="")
    if _later(outcome) or outcome.http in (200, 201):
        job = job.now_about(sid=sid)  # a 206 may tell it, too
        if job.tries < len(waits.START_MS):
            return _wait(job, waits.START_MS[job.tries], now_ms)
        return _unanswered(job, outcome, now_ms)
    return _start_refused(job, outcome, now_ms)


def _got(job: JobView, now_ms: int) -> JobView:
    job = replace(job, doubt="")
    first = now_ms if job.first_sid_ms is None else job.first_sid_ms
    if job.state is JobState.STOPPING:  # it was only repeated to learn the sid
        return _call(job, Verb.STOP, now_ms)
    job = replace(job, state=JobState.CONFIRMING, first_sid_ms=first)
    return _call(job, Verb.QUERY, now_ms + waits.CONFIRM_FIRST_MS)


def _unanswered(job: JobView, outcome: Outcome, now_ms: int) -> JobView:
    if job.state is JobState.STOPPING:
        if job.attempt.sid:
            return _call(job, Verb.STOP, now_ms)
        return stop_next(job.now_about(ending=f"start: {outcome.in_words()}"), now_ms)
    return _clear(job, now_ms) if job.attempt.sid else _next_attempt(job, now_ms)


def _not_found(job: JobView, outcome: Outcome, now_ms: int) -> JobView:
    if job.tries < len(waits.START_MS):
        return _wait(job, waits.START_MS[job.tries], now_ms)
    if job.state is JobState.STOPPING or not job.doubt:
        return _unanswered(job, outcome, now_ms)
    how = f"start: {outcome.in_words()}"
    return end(job.now_about(ending=how), JobState.FAILED, Cause.REFUSED, how, now_ms)


def _start_refused(job: JobView, outcome: Outcome, now_ms: int) -> JobView:
    """40x: nothing was started with this resourceId, or can be."""
    resumed, how = job.attempt.resumed, f"start: {outcome.in_words()}"
    job = _over(job, now_ms, how)
    if job.state is JobState.STOPPING:
        return stop_next(job, now_ms)
    if resumed or outcome.code == RESOURCE_EXPIRED:
        return _next_attempt(job, now_ms, same_uid=True)
    if outcome.code == TASK_CONFLICT:
        return _next_attempt(job, now_ms)
    return end(job, JobState.FAILED, Cause.REFUSED, how, now_ms)


# -- query ------------------------------------------------------------------------------------------------------


def _queried(job: JobView, outcome: Outcome, now_ms: int, chance: float) -> JobView:
    if outcome.http == 400 and outcome.code == SERVICE_EXITING:
        outcome = replace(outcome, http=200, status=Status.STOPPING, files=())
    if outcome.http == 200 and outcome.status is not None:
        job = job.now_about(status=outcome.status, files=outcome.files or job.attempt.files)
        return _still(job, now_ms) if job.state in ENDING else _seen(job, now_ms, chance)
    if outcome.http == 404:
        return _missing(job, now_ms)
    if _later(outcome):
        return _unknown(job, now_ms)
    return _query_refused(job, outcome, now_ms)


def _seen(job: JobView, now_ms: int, chance: float) -> JobView:
    """An answer about a recording that is wanted."""
    status, confirmed = job.attempt.status, job.attempt.confirmed_ms is not None
    if status in GONE:
        return _call(replace(job, state=JobState.DOUBTED, doubt="ending"), Verb.RECORD, now_ms)
    if status in LEAVING:
        return _wait(_doubt(job, "ending"), waits.rung(waits.MISSING_MS, _tries(job, "ending")), now_ms)
    if status in UP or confirmed:
        wait_ms = waits.period_ms(chance) if confirmed else waits.playlist_ms(job.terms.mode)
        job = replace(job, state=JobState.RUNNING, rounds=0, trouble_ms=0, doubt="")
        job = job.now_about(missed_ms=None, confirmed_ms=job.attempt.confirmed_ms if confirmed else now_ms)
        return _call(job, Verb.QUERY, now_ms + wait_ms)
    return _not_up_yet(job, now_ms)


def _not_up_yet(job: JobView, now_ms: int) -> JobView:
    until_ms = (job.attempt.sid_ms or now_ms) + waits.CONFIRM_WITHIN_MS
    if now_ms >= until_ms:
        return _clear(job, now_ms)
    tries = 0 if job.doubt else job.tries
    at_ms = min(now_ms + waits.confirming_ms(tries, job.terms.max_idle_ms), until_ms)
    return replace(job, state=JobState.CONFIRMING, verb=Verb.QUERY, tries=tries + 1, doubt="", call_ms=at_ms)


def _tries(job: JobView, doubt: str) -> int:
    """How often in a row this very doubt was raised."""
    return job.tries if job.doubt == doubt else 0


def _doubt(job: JobView, doubt: str) -> JobView:
    state = job.state if job.state in ENDING else JobState.DOUBTED
    return replace(job, state=state, verb=Verb.QUERY, doubt=doubt, tries=_tries(job, doubt))


def _missing(job: JobView, now_ms: int) -> JobView:
    if job.doubt == "ending" or job.attempt.told:
        return _call(job, Verb.RECORD, now_ms)
    job = _doubt(job, "missing")
    if job.attempt.missed_ms is None or job.tries == 0:
        job = job.now_about(missed_ms=now_ms)
    if job.tries < len(waits.MISSING_MS):
        return _wait(job, waits.MISSING_MS[job.tries], now_ms)
    return _call(job, Verb.RECORD, now_ms)


def _unknown(job: JobView, now_ms: int) -> JobView:
    """50x: whether it records nobody knows; it is asked for, and never started again, until somebody does."""
    job = _doubt(job, "unknown")
    return _wait(job, waits.rung(waits.UNKNOWN_MS, job.tries), now_ms)


def _query_refused(job: JobView, outcome: Outcome, now_ms: int) -> JobView:
    job = _doubt(job, "refused")
    if job.tries < len(waits.MISSING_MS):
        return _wait(job, waits.MISSING_MS[job.tries], now_ms)
    how = f"query: {outcome.in_words()}"
    if job.state is JobState.STOPPING:
        return stop_next(job.now_about(ending=how), now_ms)
    return end(job, JobState.FAILED, Cause.QUERY_REFUSED, how, now_ms)


def _still(job: JobView, now_ms: int) -> JobView:
    """It was told to stop, and still answers."""
    if job.attempt.status in GONE:
        return _call(job, Verb.RECORD, now_ms)
    if _tries(job, "") < len(waits.UNKNOWN_MS):
        return _wait(replace(job, verb=Verb.QUERY, doubt=""), waits.UNKNOWN_MS[_tries(job, "")], now_ms)
    return _call(replace(job, doubt=""), Verb.STOP, now_ms)


# -- record: how it ended ---------------------------------------------------------------------------------------


def _recorded(job: JobView, outcome: Outcome, now_ms: int, chance: float) -> JobView:
    if outcome.http == 200 and outcome.status is not None:
        files = tuple(dict.fromkeys((*job.attempt.files, *outcome.files)))[: waits.MAX_FILES]
        job = job.now_about(status=outcome.status, files=files)
        if outcome.status in GONE:
            return _gone(_over(job, now_ms, outcome.reason), now_ms, recorded=True)
        # The query's 404 was not true.
        return _still(job, now_ms) if job.state in ENDING else _seen(job, now_ms, chance)
    if _later(outcome) and (job.terms.farm or job.tries + 1 < waits.RECORD_TRIES):
        return _wait(job, waits.rung(waits.UNKNOWN_MS, job.tries), now_ms)
    if (
        job.terms.farm and outcome.http == 404 and job.tries < len(waits.MISSING_MS)
    ):  # this farm keeps records for weeks
        return _wait(job, waits.MISSING_MS[job.tries], now_ms)
    return _gone(_over(job, now_ms, "404 failed to find worker"), now_ms, recorded=False)


def _gone(job: JobView, now_ms: int, *, recorded: bool) -> JobView:
    if job.state is JobState.STOPPING:
        return stop_next(job, now_ms)
    if job.state is JobState.CLEARING:
        return _next_attempt(job, now_ms)
    cause = ending.by_itself(job.attempt, job.terms.max_idle_ms, recorded=recorded)
    if cause is not None:
        return end(job, JobState.DONE, cause, job.attempt.ending, now_ms)
    return _next_attempt(replace(job, trouble_ms=job.trouble_ms or now_ms), now_ms)


# -- stop -------------------------------------------------------------------------------------------------------


def _stopped(job: JobView, outcome: Outcome, now_ms: int, _chance: float) -> JobView:
    if outcome.http == 404:
        return _missing(replace(job, doubt=""), now_ms)
    if outcome.http == 200 or outcome.code in (NO_RECORDED_DATA, INVALID_OPERATION):
        job = job.now_about(files=outcome.files or job.attempt.files, told=True)
        return _call(replace(job, doubt=""), Verb.QUERY, now_ms + waits.UNKNOWN_MS[0])
    if _later(outcome):
        return _wait(job, waits.rung(waits.START_MS, job.tries), now_ms)
    if job.tries < len(waits.MISSING_MS):
        return _wait(job, waits.MISSING_MS[job.tries], now_ms)
    how = f"stop: {outcome.in_words()}"
    job = job.now_about(ending=how)
    if job.state is JobState.STOPPING:
        return stop_next(job, now_ms)
    return end(job, JobState.FAILED, Cause.UNSTOPPED, how, now_ms)


_BY_VERB: Final[dict[Verb, Callable[[JobView, Outcome, int, float], JobView]]] = {
    Verb.ACQUIRE: _acquired,
    Verb.START: _started,
    Verb.QUERY: _queried,
    Verb.RECORD: _recorded,
    Verb.STOP: _stopped,
}
