"""Tenures: placed, claimed, renewed, ended. Each change is a compare-and-set on (sid, epoch, owner).

Who may do what with media is `models.repositories.timeline`'s; whose state, playlist and MP4 count is
`recording.writer_epoch`, which `place` moves for a primary and a finaliser.
"""

from __future__ import annotations

import json
import secrets as chance
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ARRAY, Integer, String, Update, bindparam, cast, column, func, select, tuple_, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import FromClause

from models.database import now_ms
from models.repositories import nodes, pulls, recordings
from models.repositories.statements import changed, moved, run
from models.settings import settings
from models.tables import Node, Recording, Tenure, Track
from models.tables.base import Base, db_now_ms, db_now_once_ms
from models.vocabulary import states
from models.vocabulary.errors import InvalidOperation, WorkerNotFound
from models.vocabulary.spec import RecordingSpec, Secrets
from models.vocabulary.states import Role, TenureState, Wanted

#: Claimed by a worker and not ended: what is renewed.
HELD: Final = (TenureState.WARMING, TenureState.LIVE, TenureState.DRAINING)
#: Not ended. As a list of states, so that the index on state serves.
OPEN: Final = (TenureState.RESERVED, TenureState.DISPATCHED, *HELD)
#: Roles whose placing makes them the writer at once; a successor or standby becomes it later.
WRITERS: Final = (Role.PRIMARY, Role.FINALISER)
_NAMES: Final = ("sid", "epoch", "owner", "gen")
_SAID: Final = tuple(f"said_{name}" for name in _NAMES)
_KINDS: Final = (String, Integer, String, Integer)
#: In no sid and no nonce.
_SEPARATOR: Final = "\x1f"
#: Renewals are most of what a large farm asks of its database: tables, not objects.
_TENURE: Final = Base.metadata.tables["tenure"]
_RECORDING: Final = Base.metadata.tables["recording"]
_ANSWER: Final = (
    *(_TENURE.c[name] for name in ("sid", "epoch", "state", "until_90k", "observed_gen")),
    *(_RECORDING.c[name] for name in ("wanted", "wanted_gen", "wanted_cause", "writer_epoch")),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """All that a worker needs to begin."""

    owner: str
    epoch: int
    role: Role
    from_90k: int
    until_90k: int | None
    spec: RecordingSpec
    spec_gen: int
    secrets: Secrets
    wanted: Wanted
    wanted_cause: str
    status: int
    t0_ms: int | None
    anchor: dict[str, Any] | None
    opened_ms: int
    last_user_90k: int | None
    held_90k: int | None  # since when it is on hold, if it is to be
    resume_at_90k: int  # the timeline's head
    db_now_ms: int
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Alive:
    """A tenure whose recorder has just proven alive, and the generation it has taken in."""

    sid: str
    epoch: int
    owner: str
    observed_gen: int


class Renewed(NamedTuple):
    """A named tuple, for there are tens of thousands a second."""

    sid: str
    epoch: int
    wanted: Wanted
    wanted_gen: int
    wanted_cause: str
    spec: RecordingSpec | None  # None: the generation is the observed one
    secrets: Secrets | None
    state: TenureState
    until_90k: int | None
    writer: bool
    for_ms: int


def place(
    session: Session,
    sid: str,
    *,
    role: Role,
    node: str,
    weight: int,
    from_90k: int = 0,
    until_90k: int | None = None,
    deadline_ms: int,
) -> int:
    """Grant a range to a node, to be claimed within `deadline_ms`; returns the epoch, which is never given twice.

    Holds the recording's row lock from here to the end of the unit. Send the message after COMMIT.
    Raises `WorkerNotFound` (no such recording) or `InvalidOperation` (it has ended).
    """
    recording = recordings.lock(session, sid)
    if recording is None:
        raise WorkerNotFound
    if states.ended(recording.status):
        raise InvalidOperation("the recording has ended")
    recording.max_epoch += 1
    epoch = recording.max_epoch
    if role in WRITERS:
        recording.writer_epoch = epoch
    now = now_ms(session)
    session.add(
        Tenure(
            sid=sid,
            epoch=epoch,
            node=node,
            role=role,
            state=TenureState.DISPATCHED,
            weight=weight,
            from_90k=from_90k,
            until_90k=until_90k,
            expires_ms=now + deadline_ms,
            created_ms=now,
        )
    )
    session.flush()
    return epoch


def place_first(
    session: Session,
    sid: str,
    *,
    candidates: Sequence[str],
    role: Role,
    weight: int,
    from_90k: int = 0,
    until_90k: int | None = None,
    deadline_ms: int,
) -> tuple[str, int] | None:
    """(node, epoch) on the first candidate that has room; None: none has. Exact: the node's row is locked while its
    load is added up, and no lock is kept on a node that was full.
    """
    recordings.lock(session, sid)
    for name in candidates:
        savepoint = session.begin_nested()
        if has_room(session, name, weight):
            savepoint.commit()
            epoch = place(
                session,
                sid,
                role=role,
                node=name,
                weight=weight,
                from_90k=from_90k,
                until_90k=until_90k,
                deadline_ms=deadline_ms,
            )
            return name, epoch
        savepoint.rollback()
    return None


def has_room(session: Session, node: str, weight: int) -> bool:
    """Whether the node is up, takes new work and has room. Holds its row lock from here on."""
    row = nodes.lock(session, node)
    if row is None or row.draining or row.cordoned or row.spool_full or row.expires_ms <= now_ms(session):
        return False
    return node_load(session, node) + weight <= row.capacity


def node_load(session: Session, node: str) -> int:
    """Sum of the weights of its tenures that have not ended. Exact while the caller holds the node's row lock."""
    load = select(func.coalesce(func.sum(Tenure.weight), 0))
    return int(session.scalar(load.where(Tenure.node == node, Tenure.state.in_(OPEN))) or 0)


def loads(session: Session) -> dict[str, int]:
    """Every node's load, for choosing candidates; not exact."""
    load = select(Tenure.node, func.sum(Tenure.weight)).where(Tenure.state.in_(OPEN))
    return {node: int(weight) for node, weight in session.execute(load.group_by(Tenure.node))}


def claim(session: Session, sid: str, epoch: int, node: str, boot: str, *, ttl_ms: int | None = None) -> Claim | None:
    """Take up a dispatched tenure with a new owner nonce. None: a duplicate or stale message, or too late, or this run
    of the node does not hold the node's name. A passed deadline that nobody has reaped yet is no hindrance.
    """
    ttl_ms = ttl_ms or settings().tenure_ttl_ms
    recordings.lock(session, sid)  # the lock order; and whoever finds the zero now is waited for
    holds_name = select(Node.name).where(Node.name == node, Node.boot == boot).exists()
    dispatched = update(Tenure).where(*_key(sid, epoch), Tenure.node == node, holds_name)
    won = moved(
        session,
        dispatched.where(Tenure.state == TenureState.DISPATCHED)
        .values(state=TenureState.WARMING, owner=chance.token_hex(16), expires_ms=db_now_ms() + ttl_ms)
        .returning(Tenure.owner, Tenure.role, Tenure.from_90k, Tenure.until_90k),
    )
    if won is None:
        return None
    recording = recordings.get(session, sid)
    assert recording is not None  # the tenure's foreign key
    spec = RecordingSpec.model_validate(recording.spec)
    return Claim(
        owner=won.owner,
        epoch=epoch,
        role=won.role,
        from_90k=won.from_90k,
        until_90k=won.until_90k,
        spec=spec,
        spec_gen=recording.wanted_gen,
        secrets=pulls.known_to(session, spec, _secrets(recording.secrets)),
        wanted=recording.wanted,
        wanted_cause=recording.wanted_cause,
        status=recording.status,
        t0_ms=recording.t0_ms,
        anchor=recording.anchor,
        opened_ms=recording.created_ms,
        last_user_90k=recording.last_user_90k,
        # When it is to go on, what the tenure before may have recorded since is not known here: that is no pause.
        held_90k=recording.held_90k if recording.wanted is Wanted.HOLD else None,
        resume_at_90k=session.scalar(select(func.max(Track.head_90k)).where(Track.sid == sid)) or 0,
        db_now_ms=now_ms(session),
        ttl_ms=ttl_ms,
    )


def live(session: Session, sid: str, epoch: int, owner: str) -> bool:
    """Its recorder has joined and reached its store. Also true when it was said before."""
    warm = update(Tenure).where(*_key(sid, epoch), Tenure.owner == owner)
    warm = warm.where(Tenure.state.in_((TenureState.WARMING, TenureState.LIVE)))
    return moved(session, warm.values(state=TenureState.LIVE).returning(Tenure.epoch)) is not None


def proven(session: Session, sid: str, epoch: int, owner: str) -> None:
    """It has closed a whole slot: it could carry the recording alone."""
    mine = update(Tenure).where(*_key(sid, epoch), Tenure.owner == owner, Tenure.ready.is_(False))
    run(session, mine.values(ready=True))


def renew(
    session: Session, node: str, alive: Sequence[Alive | tuple[str, int, str, int]], ttl_ms: int
) -> list[Renewed]:
    """All of a node in one UPDATE, which brings back what is wanted. A tenure missing from the answer is fenced.

    A lease that has run out but was not reaped is renewed: nobody else can have it.
    """
    if not alive:
        return []
    said = [(a.sid, a.epoch, a.owner, a.observed_gen) if isinstance(a, Alive) else a for a in alive]
    given: dict[str, Any] = {"on_node": node, "for_ms": ttl_ms}
    if session.get_bind().dialect.name == "postgresql":
        texts = (_SEPARATOR.join(map(str, values)) for values in zip(*said, strict=True))
        rows = session.execute(_renewal("postgresql"), given | dict(zip(_SAID, texts, strict=True))).all()
    else:  # SQLite returns columns of the updated table only; the unit holds the database's lock meanwhile
        moved_ = session.execute(_renewal("sqlite"), given | {"said": json.dumps(said)})
        rows = _joined(session, [(sid, epoch) for sid, epoch in moved_.all()])
    stale = {row.sid for row in rows if row.wanted_gen != row.observed_gen}
    specs = _specs(session, stale) if stale else {}
    return [_renewed(row, specs, ttl_ms) for row in rows]


def end(session: Session, sid: str, epoch: int, owner: str, cause: str) -> bool:
    """Its worker gives it up. Whether it moved."""
    return close(session, [(sid, epoch)], cause, Tenure.owner == owner) == 1


def is_held(session: Session, sid: str, epoch: int, owner: str) -> bool:
    """Whether it is somebody's, and not over."""
    mine = select(Tenure.epoch).where(*_key(sid, epoch), Tenure.owner == owner, Tenure.state.in_(HELD))
    return session.execute(mine).first() is not None


def relieve(session: Session, sid: str, epoch: int) -> bool:
    """Another tenure makes the recording: this one is to leave at its next slot's edge. Whether it moved."""
    mine = update(Tenure).where(*_key(sid, epoch), Tenure.state.in_((TenureState.WARMING, TenureState.LIVE)))
    return moved(session, mine.values(state=TenureState.DRAINING).returning(Tenure.epoch)) is not None


def promote(session: Session, sid: str) -> int | None:
    """When the writer's tenure has ended but another one captures, that one becomes the writer. Its epoch, if it moved.

    Holds the recording's row lock.
    """
    recording = recordings.lock(session, sid)
    if recording is None or states.ended(recording.status):
        return None
    held = [t for t in of(session, sid) if t.state in HELD and t.role is not Role.FINALISER]
    if not held or any(t.epoch == recording.writer_epoch for t in held):
        return None
    heir = max(held, key=lambda t: (t.state is TenureState.LIVE, t.state is TenureState.WARMING, -t.epoch))
    recording.writer_epoch = heir.epoch
    heir.role = Role.PRIMARY
    session.flush()
    return heir.epoch


def close(session: Session, keys: Sequence[tuple[str, int]], cause: str, *where: Any) -> int:
    """End these, whoever has them, as far as `where` is true of them. How many moved."""
    if not keys:
        return 0
    mine = update(Tenure).where(tuple_(Tenure.sid, Tenure.epoch).in_(keys), Tenure.state.in_(OPEN), *where)
    ended = mine.values(state=TenureState.ENDED, ended_ms=db_now_ms(), cause=cause[:200])
    return len(changed(session, ended.returning(Tenure.epoch)))


def revoke(session: Session, sid: str, epoch: int, cause: str) -> bool:
    """The scheduler takes it back, whoever holds it. Whether it moved."""
    return close(session, [(sid, epoch)], cause) == 1


def of(session: Session, sid: str) -> list[Tenure]:
    """All of a recording's, oldest first."""
    mine = select(Tenure).where(Tenure.sid == sid).order_by(Tenure.epoch)
    return list(session.scalars(mine, execution_options={"populate_existing": True}))


def _key(sid: str, epoch: int) -> tuple[Any, Any]:
    return Tenure.sid == sid, Tenure.epoch == epoch


@cache
def _renewal(dialect: str) -> Update:
    """One statement, whose text does not depend on how many there are, made once."""
    v = _said_to_postgresql() if dialect == "postgresql" else _said_to_sqlite()
    same = [_TENURE.c[name] == v.c[name] for name in ("sid", "epoch", "owner")]
    held = update(_TENURE).where(*same, _TENURE.c.node == bindparam("on_node"), _TENURE.c.state.in_(HELD))
    held = held.values(
        expires_ms=db_now_once_ms() + bindparam("for_ms", type_=Integer),
        observed_gen=v.c.gen,
        renewed=_TENURE.c.renewed + 1,
    )
    if dialect == "postgresql":
        return held.where(_RECORDING.c.sid == _TENURE.c.sid).returning(*_ANSWER)
    return held.returning(_TENURE.c.sid, _TENURE.c.epoch)


def _said_to_postgresql() -> FromClause:
    """A text for each column. Not arrays: the driver would spell them out element by element."""
    texts = [func.string_to_array(bindparam(name, type_=String), _SEPARATOR) for name in _SAID]
    arrays: list[Any] = [cast(text, ARRAY(kind)) for text, kind in zip(texts, _KINDS, strict=True)]
    columns: list[Any] = [column(name, kind) for name, kind in zip(_NAMES, _KINDS, strict=True)]
    return func.unnest(*arrays).table_valued(*columns, name="v").render_derived()


def _said_to_sqlite() -> FromClause:
    each = func.json_each(bindparam("said", type_=String)).table_valued("value", name="each")
    fields: list[Any] = [
        cast(func.json_extract(each.c.value, f"$[{n}]"), kind).label(name)
        for n, (name, kind) in enumerate(zip(_NAMES, _KINDS, strict=True))
    ]
    return select(*fields).subquery("v")


def _joined(session: Session, keys: Sequence[tuple[str, int]]) -> list[Any]:
    both = select(*_ANSWER).join(_RECORDING, _RECORDING.c.sid == _TENURE.c.sid)
    return list(session.execute(both.where(tuple_(_TENURE.c.sid, _TENURE.c.epoch).in_(keys)))) if keys else []


def _specs(session: Session, sids: Collection[str]) -> dict[str, tuple[RecordingSpec, Secrets]]:
    rows = session.execute(select(Recording.sid, Recording.spec, Recording.secrets).where(Recording.sid.in_(sids)))
    known = [(sid, RecordingSpec.model_validate(spec), _secrets(kept)) for sid, spec, kept in rows]
    return {sid: (spec, pulls.known_to(session, spec, kept)) for sid, spec, kept in known}


def _secrets(kept: dict[str, Any] | None) -> Secrets:
    return Secrets.model_validate(kept or {})  # wiped: the last upload is proven, nobody needs them


def _renewed(row: Any, specs: Mapping[str, tuple[RecordingSpec, Secrets]], ttl_ms: int) -> Renewed:
    sid, epoch, state, until_90k, observed, wanted, gen, cause, writer = row
    spec, kept = specs.get(sid, (None, None)) if gen != observed else (None, None)
    return Renewed(sid, epoch, wanted, gen, cause, spec, kept, state, until_90k, writer == epoch, ttl_ms)
