"""Grants in bulk: the tenures of many recordings, placed in one unit of work. The caller holds the locks of all the
recordings, then those of all the nodes (`recordings.lock_all`, `nodes.lock_all`), so that loads are exact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.tenures import OPEN, WRITERS
from models.tables import Recording, Tenure
from models.vocabulary.states import Role, TenureState


@dataclass(frozen=True, slots=True)
class Past:
    """What a recording's tenures have been."""

    last_node: str
    claimed: bool  # any of them
    open: bool  # one has not ended


@dataclass(frozen=True, slots=True)
class Grant:
    """From `from_90k` on, without an end."""

    recording: Recording
    role: Role
    node: str
    weight: int
    from_90k: int


def pasts(session: Session, sids: Collection[str]) -> dict[str, Past]:
    """By sid; one that never had a tenure is missing."""
    found: dict[str, Past] = {}
    columns = select(Tenure.sid, Tenure.node, Tenure.owner, Tenure.state).where(Tenure.sid.in_(sids))
    for sid, node, owner, state in session.execute(columns.order_by(Tenure.sid, Tenure.epoch)):
        before = found.get(sid)
        claimed = owner is not None or (before is not None and before.claimed)
        found[sid] = Past(node, claimed, state is not TenureState.ENDED or (before is not None and before.open))
    return found


def loads(session: Session, nodes: Collection[str]) -> dict[str, int]:
    """Sums of the weights of these nodes' tenures that have not ended. Exact while the caller holds the nodes' row locks."""
    load = select(Tenure.node, func.sum(Tenure.weight)).where(Tenure.node.in_(nodes), Tenure.state.in_(OPEN))
    return {node: int(weight) for node, weight in session.execute(load.group_by(Tenure.node))}


def place_all(session: Session, grants: Sequence[Grant], *, deadline_ms: int) -> list[int]:
    """`tenures.place` of many: the epochs, in the same order."""
    now = now_ms(session)
    for grant in grants:
        recording = grant.recording
        recording.max_epoch += 1
        if grant.role in WRITERS:
            recording.writer_epoch = recording.max_epoch
        session.add(
            Tenure(
                sid=recording.sid,
                epoch=recording.max_epoch,
                node=grant.node,
                role=grant.role,
                state=TenureState.DISPATCHED,
                weight=grant.weight,
                from_90k=grant.from_90k,
                expires_ms=now + deadline_ms,
                created_ms=now,
            )
        )
    session.flush()
    return [grant.recording.max_epoch for grant in grants]
