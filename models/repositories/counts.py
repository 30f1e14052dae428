"""The farm in numbers, counted in SQL: what `/metrics` shows. Every gateway counts the same rows, so each shows the same.

What only grows is counted since the beginning of a period that is as long as records are kept: within one no row of it
is deleted, so the count never falls but to begin again, which Prometheus takes for a counter's reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session, aliased

from models.database import now_ms
from models.repositories import disagreements, jobs, nodes, tenures
from models.tables import Hole, Job, Leader, Node, Notice, Recording, Segment, Tenure
from models.tables.base import db_now_ms
from models.tables.timeline import IS_RESERVED
from models.vocabulary.states import (
    HoleState,
    JobState,
    NoticeState,
    Role,
    Status,
    TenureState,
)
from models.vocabulary.ticks import seconds

DAY_MS: Final = 86_400_000
#: A node that went without leaving is shown as gone for so long; one that left in order is not shown.
GONE_SHOWN_MS: Final = 3_600_000
#: Causes are words: those that are most often there are told apart, the rest is "other".
MOST_CAUSES: Final = 20
ENDS: Final = (Status.FAILED, Status.EXITED)


@dataclass(frozen=True, slots=True)
class NodeCount:
    """Capacity and load in hundredths of a core."""

    name: str
    up: bool
    draining: bool
    cordoned: bool
    capacity: int
    load: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Things in a queue, and how long the oldest one waits."""

    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Starts:
    """Of this period, by what came of them; those that are still open are in none."""

    recorded: int  # a first segment is in the store
    failed: int  # ended by a fault before that
    empty: int  # ended otherwise before that: nobody published


@dataclass(frozen=True, slots=True)
class Backlog:
    segments: int
    bytes: int


@dataclass(frozen=True, slots=True)
class HoleCount:
    state: HoleState
    cause: str
    count: int
    length_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    recordings: Mapping[Status, int]  # on record, thus also those of the last days
    starts: Starts
    dispatched: Waiting  # tenures that no worker has claimed
    unplaced: int  # recordings that no tenure works on
    nodes: tuple[NodeCount, ...]
    holes: tuple[HoleCount, ...]  # of recordings on record
    failovers: int  # of this period
    handovers: int
    unclaimed: int
    uploads: Backlog  # of recordings that have not ended
    notices: Waiting
    jobs: Mapping[JobState, int]  # on record
    jobs_late_s: float
    disagreements: Mapping[str, int]  # between rows of recordings that have ended, by kind
    led: bool  # a scheduler holds the leader's lease


def take(session: Session, *, record_days: int) -> Counts:
    now = now_ms(session)
    since_ms = period_start_ms(now, record_days)
    return Counts(
        recordings=_recordings(session),
        starts=_starts(session, since_ms),
        dispatched=_dispatched(session, now),
        unplaced=_unplaced(session),
        nodes=_nodes(session, now),
        holes=_holes(session),
        failovers=_failovers(session, since_ms),
        handovers=_tenures(session, since_ms, Tenure.role == Role.SUCCESSOR, Tenure.owner.is_not(None)),
        unclaimed=_tenures(session, since_ms, Tenure.state == TenureState.ENDED, Tenure.owner.is_(None)),
        uploads=_uploads(session),
        notices=_notices(session, now),
        jobs=_jobs(session),
        jobs_late_s=jobs.late_ms(session) / 1000,
        disagreements=disagreements.count(session),
        led=session.scalar(select(func.count()).select_from(Leader).where(Leader.expires_ms > db_now_ms())) != 0,
    )


def period_start_ms(now: int, record_days: int) -> int:
    """The same for whoever asks within one period."""
    period_ms = record_days * DAY_MS
    return now - now % period_ms


def _recordings(session: Session) -> dict[Status, int]:
    found = session.execute(select(Recording.status, func.count()).group_by(Recording.status))
    return dict.fromkeys(Status, 0) | {Status(status): count for status, count in found}


def _starts(session: Session, since_ms: int) -> Starts:
    counted = (
        _count(of)
        for of in (Recording.sliced.is_(True), *(~Recording.sliced & (Recording.status == end) for end in ENDS))
    )
    row = session.execute(select(*counted).where(Recording.created_ms >= since_ms)).one()
    return Starts(*(int(count) for count in row))


def _count(where: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((where, 1), else_=0)), 0)


def _dispatched(session: Session, now: int) -> Waiting:
    open_ = Tenure.state.in_((TenureState.RESERVED, TenureState.DISPATCHED))
    count, oldest_ms = session.execute(select(func.count(), func.min(Tenure.created_ms)).where(open_)).one()
    return _waiting(count, oldest_ms, now)


def _unplaced(session: Session) -> int:
    works = select(Tenure.sid).where(Tenure.sid == Recording.sid, Tenure.state.in_(tenures.OPEN)).exists()
    idle = select(func.count()).select_from(Recording).where(Recording.live_key.is_not(None), ~works)
    return session.scalar(idle) or 0


def _nodes(session: Session, now: int) -> tuple[NodeCount, ...]:
    loads = tenures.loads(session)
    shown = [node for node in nodes.known(session) if node.expires_ms > now - GONE_SHOWN_MS]
    return tuple(_node(node, loads.get(node.name, 0), now) for node in shown)


def _node(node: Node, load: int, now: int) -> NodeCount:
    return NodeCount(
        name=node.name,
        up=node.expires_ms > now,
        draining=node.draining,
        cordoned=node.cordoned or node.spool_full,
        capacity=node.capacity,
        load=load,
    )


def _holes(session: Session) -> tuple[HoleCount, ...]:
    length = func.sum(Hole.end_90k - Hole.start_90k)
    found = select(Hole.state, Hole.cause, func.count(), length).where(Hole.state != HoleState.FILLED)
    found = found.group_by(Hole.state, Hole.cause).order_by(func.count().desc(), Hole.cause)
    told: dict[tuple[HoleState, str], tuple[int, int]] = {}
    for n, (state, cause, count, length_90k) in enumerate(session.execute(found)):
        key = (state, cause if n < MOST_CAUSES else "other")
        before = told.get(key, (0, 0))
        told[key] = (before[0] + count, before[1] + int(length_90k))
    return tuple(HoleCount(*key, count, seconds(length_90k)) for key, (count, length_90k) in told.items())


def _failovers(session: Session, since_ms: int) -> int:
    """Primaries after one that was claimed: a recording went on elsewhere, or again, because its tenure died."""
    before = aliased(Tenure)
    earlier = select(before.sid).where(
        before.sid == Tenure.sid, before.epoch < Tenure.epoch, before.owner.is_not(None), before.role != Role.FINALISER
    )
    return _tenures(session, since_ms, Tenure.epoch > 1, Tenure.role == Role.PRIMARY, earlier.exists())


def _tenures(session: Session, since_ms: int, *where: ColumnElement[bool]) -> int:
    # By the recording's age, since a tenure goes with its recording's row.
    counted = select(func.count()).select_from(Tenure).join(Recording, Recording.sid == Tenure.sid)
    return session.scalar(counted.where(Recording.created_ms >= since_ms, *where)) or 0


def _uploads(session: Session) -> Backlog:
    owed = select(func.count(), func.coalesce(func.sum(Segment.bytes), 0)).select_from(Segment)
    owed = owed.join(Recording, Recording.sid == Segment.sid)
    owed = owed.where(Recording.live_key.is_not(None), IS_RESERVED)
    count, size_bytes = session.execute(owed).one()
    return Backlog(count, int(size_bytes))


def _notices(session: Session, now: int) -> Waiting:
    pending = select(func.count(), func.min(Notice.created_ms)).where(Notice.state == NoticeState.PENDING)
    return _waiting(*session.execute(pending).one(), now)


def _jobs(session: Session) -> dict[JobState, int]:
    found = session.execute(select(Job.state, func.count().label("jobs")).group_by(Job.state))
    return dict.fromkeys(JobState, 0) | {row.state: row.jobs for row in found}


def _waiting(count: int, oldest_ms: int | None, now: int) -> Waiting:
    return Waiting(count, 0.0 if oldest_ms is None else max(0, now - oldest_ms) / 1000)
