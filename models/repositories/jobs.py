"""Supervised jobs: rows only; what they mean is `scheduler.jobs`'.

A due job is claimed twice over. The leader claims it for a message (`enqueue`), so that it is not sent again at every
tick; whoever gets the message takes it for one call (`take`), which only one can. A message or a taker that is lost
costs the length of its claim, and nothing else: the row stays due.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import changed, insert, moved
from models.settings import settings
from models.tables import Job, JobAttempt
from models.tables.base import db_now_ms
from models.vocabulary.states import JobState

DAY_MS: Final = 86_400_000


def add(session: Session, **values: Any) -> bool:
    """Whether it is new; False: there is a job of that key. Due at once."""
    now = now_ms(session)
    row = {"created_ms": now, "next_due_ms": now, "state": JobState.WAITING} | values
    made = insert(session, Job).values(**row).on_conflict_do_nothing(index_elements=["appid", "key"])
    return moved(session, made.returning(Job.job_id)) is not None


def get(session: Session, job_id: str) -> Job | None:
    return session.get(Job, job_id, populate_existing=True)


def by_key(session: Session, appid: str, key: str) -> Job | None:
    return session.scalar(select(Job).where(Job.appid == appid, Job.key == key))


def attempts(session: Session, job_ids: Collection[str]) -> dict[str, list[JobAttempt]]:
    """Of each job, in order."""
    found: dict[str, list[JobAttempt]] = {job_id: [] for job_id in job_ids}
    wanted = select(JobAttempt).where(JobAttempt.job_id.in_(job_ids)).order_by(JobAttempt.job_id, JobAttempt.n)
    for attempt in session.scalars(wanted, execution_options={"populate_existing": True}):
        found[attempt.job_id].append(attempt)
    return found


def for_app(
    session: Session, appid: str, *, limit: int = 50, before: tuple[int, str] | None = None, live: bool | None = None
) -> list[Job]:
    """Newest first. `before` = (created_ms, job_id) of the last one on the page before."""
    wanted = select(Job).where(Job.appid == appid)
    if live is not None:
        wanted = wanted.where(Job.next_due_ms.is_not(None) if live else Job.next_due_ms.is_(None))
    if before is not None:
        created_ms, job_id = before
        wanted = wanted.where(or_(Job.created_ms < created_ms, (Job.created_ms == created_ms) & (Job.job_id < job_id)))
    return list(session.scalars(wanted.order_by(Job.created_ms.desc(), Job.job_id.desc()).limit(limit)))


def want_stop(session: Session, job_id: str) -> bool:
    """Whether that is news. A call that is under way is not disturbed: its taker sees the wish when it saves."""
    wish = update(Job).where(Job.job_id == job_id, Job.stop_wanted.is_(False), Job.next_due_ms.is_not(None))
    wish = wish.values(stop_wanted=True, next_due_ms=db_now_ms(), queued_until_ms=0)
    return moved(session, wish.returning(Job.job_id)) is not None


def enqueue(session: Session, *, limit: int, for_ms: int) -> list[str]:
    """Due jobs that no message is under way for, the longest due first; claimed for `for_ms`."""
    now = now_ms(session)
    due = select(Job.job_id).where(Job.next_due_ms <= now, Job.queued_until_ms <= now, Job.busy_until_ms <= now)
    due = due.order_by(Job.next_due_ms).limit(limit).with_for_update(skip_locked=True)
    claimed = update(Job).where(Job.job_id.in_(due)).values(queued_until_ms=now + for_ms)
    return [row.job_id for row in changed(session, claimed.returning(Job.job_id))]


def take(session: Session, job_ids: Collection[str], *, for_ms: int) -> dict[str, int]:
    """Those of the jobs that are due and free, as job_id → turn; ours for `for_ms`."""
    now = now_ms(session)
    free = select(Job.job_id).where(Job.job_id.in_(job_ids), Job.next_due_ms <= now, Job.busy_until_ms <= now)
    free = free.with_for_update(skip_locked=True)
    mine = update(Job).where(Job.job_id.in_(free))
    mine = mine.values(busy_until_ms=now + for_ms, queued_until_ms=0, turn=Job.turn + 1)
    return {row.job_id: row.turn for row in changed(session, mine.returning(Job.job_id, Job.turn))}


def taken(session: Session, job_ids: Collection[str]) -> list[Job]:
    wanted = select(Job).where(Job.job_id.in_(job_ids))
    return list(session.scalars(wanted, execution_options={"populate_existing": True}))


def save(
    session: Session,
    job_id: str,
    turn: int,
    *,
    due_ms: int | None,
    saw_stop: bool,
    busy: bool,
    attempts: Sequence[dict[str, Any]],
    **values: Any,
) -> bool:
    """Whether the turn was still ours. `busy`: a call follows, the job stays taken. `attempts`: those that changed."""
    wished = case((Job.stop_wanted.is_not(saw_stop), db_now_ms()), else_=due_ms)
    values["next_due_ms"] = None if due_ms is None else wished
    if not busy:
        values["busy_until_ms"] = 0
    if due_ms is None:
        values |= {"secrets": None, "ended_ms": db_now_ms()}
        values["keep_until_ms"] = db_now_ms() + settings().record_days * DAY_MS
    mine = update(Job).where(Job.job_id == job_id, Job.turn == turn)
    if moved(session, mine.values(**values).returning(Job.job_id)) is None:
        return False
    for row in attempts:
        made = insert(session, JobAttempt).values(job_id=job_id, **row)
        changes = {name: made.excluded[name] for name in row if name != "n"}
        session.execute(made.on_conflict_do_update(index_elements=["job_id", "n"], set_=changes))
    return True


def late_ms(session: Session) -> int:
    """How long the longest waiting due job waits."""
    first = session.scalar(select(func.min(Job.next_due_ms)))
    return 0 if first is None else max(0, now_ms(session) - first)


def delete_old(session: Session, *, limit: int = 500) -> int:
    """Jobs whose time is over, with their attempts. Returns how many."""
    old = select(Job.job_id).where(Job.keep_until_ms < db_now_ms()).limit(limit)
    return len(changed(session, delete(Job).where(Job.job_id.in_(old)).returning(Job.job_id)))
