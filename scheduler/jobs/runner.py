"""Takes due jobs, makes the one call that each waits for, and saves what came of it. SQL in one thread, HTTP in many."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from models.database import Database, now_ms
from models.repositories import jobs
from models.settings import Settings
from models.tables import Job
from models.vocabulary.errors import ReelyardError, StateUnavailable
from net.guard import EVERYWHERE
from scheduler.jobs import rows
from scheduler.jobs.endpoint import START_TIMEOUT_S, Bodies, Endpoint, call
from scheduler.jobs.ladder import next_step
from scheduler.jobs.limiter import Limiter
from scheduler.jobs.view import WOKEN, JobView, Outcome, Verb

log = logging.getLogger(__name__)

#: Calls at once in one process; each waits for somebody else's network.
CALLS: Final = 64
#: A taker that is not back by then is lost.
BUSY_MS: Final = int(START_TIMEOUT_S * 1000) + 20_000
#: What a call waits for its turn at the limit, rather than put its job off.
PATIENCE_S: Final = 1.0
SAVE_AGAIN_S: Final = (0.2, 0.5, 1.0, 2.0)
URGENT: Final = frozenset({Verb.ACQUIRE, Verb.START, Verb.STOP})

Call = Callable[[Endpoint, JobView, Bodies], Outcome]


@dataclass(frozen=True, slots=True)
class Held:
    """A job that is ours for one call."""

    job_id: str
    turn: int
    view: JobView
    endpoint: Endpoint
    bodies: Bodies


@dataclass(frozen=True, slots=True)
class PutOff:
    """The limit left no room for the call."""

    wait_ms: int


class Runner:
    def __init__(
        self,
        database: Database,
        settings: Settings,
        limiter: Limiter,
        *,
        call: Call = call,
        chance: Callable[[], float] = random.random,  # spreads queries; nothing secret hangs on it
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._settings = settings
        self._limiter = limiter
        self._call = call
        self._chance = chance
        self._sleep = sleep
        self._threads = ThreadPoolExecutor(CALLS, thread_name_prefix="call")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def run(self, job_ids: Collection[str]) -> None:
        """Bring these jobs on as far as they are due; what is not due, or another's, is left alone.

        Raises `StateUnavailable`; then jobs in the middle of a call are free again after `BUSY_MS`.
        """
        waiting = deque(dict.fromkeys(job_ids))
        calls: dict[Future[Outcome | PutOff], Held] = {}
        while waiting or calls:
            batch = [waiting.popleft() for _ in range(min(len(waiting), CALLS - len(calls)))]
            for held in self._take(batch) if batch else ():
                calls[self._threads.submit(self._make, held)] = held
            if not calls:
                continue
            done, _ = wait(calls, return_when=FIRST_COMPLETED)
            waiting += self._save([(calls.pop(future), future.result()) for future in done])

    # -- before the call ----------------------------------------------------------------------------------------

    def _take(self, job_ids: Sequence[str]) -> list[Held]:
        with self._database.unit() as session:
            turns = jobs.take(session, job_ids, for_ms=BUSY_MS)
            attempts = jobs.attempts(session, turns)
            held = []
            for job in jobs.taken(session, turns):
                view = rows.view(job, attempts[job.job_id])
                woken = self._woken(session, job, view)
                if woken is not None:
                    held.append(woken)
            return held

    def _woken(self, session: Session, job: Job, view: JobView) -> Held | None:
        """The job with its next call, if that is due. A start is noted before it is sent."""
        now = now_ms(session)
        after = next_step(view, WOKEN, now)
        calls = not after.over and after.verb is not Verb.NONE and after.call_ms <= now
        if after != view or not calls:
            _write(session, job.job_id, job.turn, view, after, busy=calls)
        if not calls:
            return None
        secrets = job.secrets or {}
        bodies = Bodies(acquire=secrets.get("acquire", {}), start=secrets.get("start", {}))
        return Held(job.job_id, job.turn, after, self._endpoint(job, after), bodies)

    def _endpoint(self, job: Job, view: JobView) -> Endpoint:
        secrets = job.secrets or {}
        endpoints = job.terms.get("endpoints") or [self._settings.gateway_url]
        return Endpoint(
            base_url=endpoints[view.domain % len(endpoints)],
            appid=job.terms.get("remote_appid") or job.appid,
            key=secrets.get("key", ""),
            secret=secrets.get("secret", ""),
            # The farm's own address is the operator's word; any other is a user's.
            allow_networks=EVERYWHERE if view.terms.farm else self._settings.allow_networks,
        )

    # -- the call -----------------------------------------------------------------------------------------------

    def _make(self, held: Held) -> Outcome | PutOff:
        urgent = held.view.verb in URGENT
        spent_s = 0.0
        while wait_s := self._limiter.take(held.endpoint.limit_key, urgent=urgent):
            if spent_s + wait_s > PATIENCE_S:
                # Spread: all that are put off would else ask again at the same moment.
                return PutOff(round(1000 * wait_s * (1 + self._chance())))
            self._sleep(wait_s)
            spent_s += wait_s
        try:
            return self._call(held.endpoint, held.view, held.bodies)
        except ReelyardError as error:  # none is expected: an endpoint's failures are outcomes
            log.exception("call failed: job %s", held.job_id)
            return Outcome(http=500, code=error.code, reason=error.text[:300])

    # -- after the call -----------------------------------------------------------------------------------------

    def _save(self, made: Sequence[tuple[Held, Outcome | PutOff]]) -> list[str]:
        """The ids of those that are due again. An outcome is worth some patience: it may hold a sid."""
        for pause_s in (*SAVE_AGAIN_S, None):
            try:
                with self._database.unit() as session:
                    return [held.job_id for held, outcome in made if self._settle(session, held, outcome)]
            except StateUnavailable:
                if pause_s is None:
                    raise
                self._sleep(pause_s)
        raise AssertionError("the last pass returns or raises")

    def _settle(self, session: Session, held: Held, outcome: Outcome | PutOff) -> bool:
        now = now_ms(session)
        if isinstance(outcome, PutOff):
            after = replace(held.view, call_ms=now + outcome.wait_ms)
            trouble = None
        else:
            after = next_step(held.view, outcome, now, self._chance())
            fine = outcome.http in (200, 201)
            trouble = None if fine else f"{held.view.verb}: {outcome.in_words()}"[: rows.MAX_TEXT]
        if not _write(session, held.job_id, held.turn, held.view, after, busy=False, trouble=trouble):
            log.warning("job %s was taken over in the middle of a call", held.job_id)
            return False
        _tell(held, after)
        return not after.over and after.call_ms <= now


def _write(
    session: Session, job_id: str, turn: int, before: JobView, after: JobView, *, busy: bool, trouble: str | None = None
) -> bool:
    values = rows.values(after)
    if trouble is not None:
        values["trouble"] = trouble
    return jobs.save(
        session, job_id, turn, saw_stop=before.stop_wanted, busy=busy, attempts=rows.changed(before, after), **values
    )


def _tell(held: Held, after: JobView) -> None:
    if after.state is held.view.state:
        return
    why = f": {after.cause} ({after.reason})" if after.over else ""
    extra = {"sid": after.attempt.sid} if after.attempts else {}
    log.info("job %s is %s%s", held.job_id, after.state, why, extra=extra)
