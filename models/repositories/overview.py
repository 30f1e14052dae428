"""Rows of every app, as an operator looks at them. Nothing secret is read, so no key is needed to look."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from models.repositories import tenures
from models.tables import Hole, Job, Node, Recording, Tenure, Track
from models.vocabulary.states import HoleState
from models.vocabulary.ticks import seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """A recording, who makes it now, and what of it there is."""

    recording: Recording
    nodes: tuple[str, ...]
    length_s: float  # of its timeline, holes included
    holes_s: float  # owed or lost, over all tracks


@dataclass(frozen=True, slots=True)
class SeenNode:
    node: Node
    up: bool
    load: int
    recordings: int = 0
    sids: tuple[str, ...] = field(default=())


def recordings(session: Session, *, live: bool, appid: str = "", limit: int) -> list[Seen]:
    """Newest first: those that run, or those that have ended."""
    wanted = select(Recording).options(defer(Recording.secrets))
    wanted = wanted.where(Recording.live_key.is_not(None) if live else Recording.live_key.is_(None))
    if appid:
        wanted = wanted.where(Recording.appid == appid)
    wanted = wanted.order_by(Recording.created_ms.desc(), Recording.sid).limit(limit)
    rows = list(session.scalars(wanted))
    sids = [row.sid for row in rows]
    held, lengths, missing = _nodes(session, sids), _lengths(session, sids), _missing(session, sids)
    return [
        Seen(row, tuple(held.get(row.sid, ())), seconds(lengths.get(row.sid, 0)), seconds(missing.get(row.sid, 0)))
        for row in rows
    ]


def of_prefix(session: Session, prefix: str) -> list[Recording]:
    """Recordings whose sid begins so; two are enough to see that it is not one."""
    mine = select(Recording).options(defer(Recording.secrets)).where(Recording.sid.startswith(prefix, autoescape=True))
    return list(session.scalars(mine.order_by(Recording.sid).limit(2)))


def tracks(session: Session, sid: str) -> list[str]:
    return list(session.scalars(select(Track.track).where(Track.sid == sid).order_by(Track.track)))


def jobs(session: Session, *, live: bool, appid: str = "", limit: int) -> list[Job]:
    """Newest first."""
    wanted = select(Job).options(defer(Job.secrets))
    wanted = wanted.where(Job.next_due_ms.is_not(None) if live else Job.next_due_ms.is_(None))
    if appid:
        wanted = wanted.where(Job.appid == appid)
    return list(session.scalars(wanted.order_by(Job.created_ms.desc(), Job.job_id).limit(limit)))


def nodes(session: Session, now_ms: int) -> list[SeenNode]:
    """All that are known, also those that are gone."""
    open_ = select(Tenure.node, func.sum(Tenure.weight), func.count()).where(Tenure.state.in_(tenures.OPEN))
    found = {node: (int(load), count) for node, load, count in session.execute(open_.group_by(Tenure.node))}
    rows = session.scalars(select(Node).order_by(Node.name))
    return [SeenNode(row, row.expires_ms > now_ms, *found.get(row.name, (0, 0))) for row in rows]


def _nodes(session: Session, sids: Collection[str]) -> dict[str, list[str]]:
    held = select(Tenure.sid, Tenure.node).where(Tenure.sid.in_(sids), Tenure.state.in_(tenures.OPEN))
    found: dict[str, list[str]] = {}
    for sid, node in session.execute(held.order_by(Tenure.sid, Tenure.epoch)):
        found.setdefault(sid, []).append(node)
    return found


def _lengths(session: Session, sids: Collection[str]) -> dict[str, int]:
    heads = select(Track.sid, func.max(Track.head_90k)).where(Track.sid.in_(sids)).group_by(Track.sid)
    return {sid: head_90k for sid, head_90k in session.execute(heads)}  # noqa: C416 - a row is no pair to `dict`'s type


def _missing(session: Session, sids: Collection[str]) -> dict[str, int]:
    gaps = select(Hole.sid, func.sum(Hole.end_90k - Hole.start_90k)).where(
        Hole.sid.in_(sids), Hole.state.in_((HoleState.OWED, HoleState.LOST))
    )
    return {sid: int(length_90k) for sid, length_90k in session.execute(gaps.group_by(Hole.sid))}
