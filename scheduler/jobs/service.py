"""What a caller may do with jobs: submit, look, stop. Sync; a unit of work each."""

from __future__ import annotations

import secrets
from typing import Any, Final

from models.database import Database, now_ms
from models.repositories import apps, jobs
from models.tables import Job
from models.vocabulary import messages
from models.vocabulary.errors import BadParameter, JobNotFound
from scheduler.broker import Broker
from scheduler.jobs import orders, rows
from scheduler.jobs.orders import Credentials, JobOrder
from scheduler.jobs.view import Attempt

MAX_PAGE: Final = 200


class Jobs:
    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker

    def submit(self, appid: str, order: JobOrder, caller: Credentials | None = None) -> tuple[dict[str, Any], bool]:
        """The job, and whether it is new. `caller` are the credentials that a job at this farm uses if it names none.

        Raises `BadParameter`, also when the key stands for another channel.
        """
        credentials = order.credentials or (None if order.endpoints else caller)
        if credentials is None:
            raise BadParameter("credentials: customer key and secret at the endpoint are missing")
        job_id = secrets.token_hex(16)
        with self._database.unit() as session:
            apps.get(session, appid)
            existing = jobs.by_key(session, appid, order.key)
            if existing is None:
                self._add(session, appid, job_id, order, credentials)
                existing = jobs.by_key(session, appid, order.key)
            assert existing is not None
            if (existing.cname, existing.mode) != (order.cname, order.mode):
                raise BadParameter("key: there is a job of that key for another channel or mode")
            made = _told(
                existing, rows.view(existing, jobs.attempts(session, [existing.job_id])[existing.job_id]).attempts
            )
            new = existing.job_id == job_id
        if new:
            self._broker.task(messages.CHECK_STEP, job_id)
        return made, new

    def _add(self, session: Any, appid: str, job_id: str, order: JobOrder, credentials: Credentials) -> None:
        now = now_ms(session)
        orders.check_times(order, now)
        terms = orders.terms(order, now)
        said = {name: getattr(terms, name) for name in terms.__slots__}
        said |= {"uids": list(terms.uids), "endpoints": list(order.endpoints), "remote_appid": order.remote_appid}
        hidden = {"key": credentials.key, "secret": credentials.secret, "start": order.start, "acquire": order.acquire}
        jobs.add(
            session,
            job_id=job_id,
            appid=appid,
            key=order.key,
            cname=order.cname,
            mode=order.mode,
            terms=said,
            secrets=hidden,
            deadline_ms=terms.deadline_ms,
        )

    def stop(self, appid: str, job_id: str) -> dict[str, Any]:
        """Want it to end; the answer is the job as it stands. Stopping twice, or after the end, is like stopping once."""
        with self._database.unit() as session:
            _of_app(jobs.get(session, job_id), appid)
            news = jobs.want_stop(session, job_id)
        if news:
            self._broker.task(messages.CHECK_STEP, job_id)
        return self.get(appid, job_id)

    def stop_by_key(self, appid: str, key: str) -> dict[str, Any]:
        with self._database.unit() as session:
            job_id = _of_app(jobs.by_key(session, appid, key), appid).job_id
        return self.stop(appid, job_id)

    def get(self, appid: str, job_id: str) -> dict[str, Any]:
        """Raises `JobNotFound`."""
        with self._database.unit() as session:
            job = _of_app(jobs.get(session, job_id), appid)
            return _told(job, rows.view(job, jobs.attempts(session, [job_id])[job_id]).attempts)

    def list(
        self, appid: str, *, limit: int = 50, before: str = "", live: bool | None = None, key: str = ""
    ) -> dict[str, Any]:
        """One page, newest first, without the attempts; `before` is the job_id that ended the page before."""
        if not 1 <= limit <= MAX_PAGE:
            raise BadParameter(f"limit must be from 1 to {MAX_PAGE}")
        with self._database.unit() as session:
            apps.get(session, appid)
            if key:
                job = jobs.by_key(session, appid, key)
                return {"jobs": [] if job is None else [summary(job)], "next": None}
            last = jobs.get(session, before) if before else None
            if before and (last is None or last.appid != appid):
                raise BadParameter("before names no job of this app")
            after = None if last is None else (last.created_ms, last.job_id)
            found = jobs.for_app(session, appid, limit=limit + 1, before=after, live=live)
            page = found[:limit]
            return {"jobs": [summary(job) for job in page], "next": page[-1].job_id if len(found) > limit else None}


def _of_app(job: Job | None, appid: str) -> Job:
    if job is None or job.appid != appid:
        raise JobNotFound
    return job


def summary(job: Job) -> dict[str, Any]:
    """One line of the list of jobs; no secret is in it."""
    return {
        "job_id": job.job_id,
        "key": job.key,
        "cname": job.cname,
        "mode": job.mode,
        "state": job.state.value,
        "stop_wanted": job.stop_wanted,
        "cause": job.cause,
        "reason": job.reason,
        "trouble": job.trouble,
        "sid": job.sid,
        "next_check_ms": job.next_due_ms,
        "deadline_ms": job.deadline_ms,
        "created_ms": job.created_ms,
        "ended_ms": job.ended_ms,
    }


def _told(job: Job, attempts: tuple[Attempt, ...]) -> dict[str, Any]:
    asked = ("uids", "not_before_ms", "until_ms", "for_ms", "endpoints")
    return (
        summary(job)
        | {name: job.terms[name] for name in asked}
        | {
            "files": list(dict.fromkeys(name for attempt in attempts for name in attempt.files)),
            "attempts": [_attempt(attempt) for attempt in attempts],
        }
    )


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "uid": attempt.uid,
        "sid": attempt.sid,
        "status": attempt.status,
        "files": list(attempt.files),
        "begun_ms": attempt.begun_ms,
        "started_ms": attempt.sid_ms,
        "confirmed_ms": attempt.confirmed_ms,
        "ended_ms": attempt.over_ms,
        "ending": attempt.ending,
    }
