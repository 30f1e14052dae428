"""Nodes: who is up, with what room. A node's row lock makes placement exact."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import insert, moved, run
from models.tables import Node
from models.tables.base import db_now_ms
from models.vocabulary.errors import NameTaken

#: Of two runs of a node the TTLs may differ, but not by more.
BEYOND: Final = 3


def beat(
    session: Session,
    name: str,
    boot: str,
    capacity: int,
    version: str,
    ingest_url: str,
    ingest_units: str,
    ingest_up: bool,
    ttl_ms: int,
    spool_full: bool = False,
) -> Node:
    """Say that this run of the node is up. A new run takes the name over once the old one's time is out, or ends later
    than it could have asked for (the clock went back); until then raises `NameTaken`. It starts undrained; a cordon stays.
    """
    said = {
        "capacity": capacity,
        "version": version[:32],
        "ingest_url": ingest_url,
        "ingest_units": ingest_units,
        "ingest_up": ingest_up,
        "spool_full": spool_full,
    }
    now = now_ms(session)
    same = update(Node).where(Node.name == name, Node.boot == boot)
    if moved(session, same.values(**said, expires_ms=now + ttl_ms).returning(Node.name)) is None:
        fresh = said | {"boot": boot, "draining": False, "missed": 0, "expires_ms": now + ttl_ms}
        upsert = insert(session, Node).values(name=name, created_ms=now, cordoned=False, cordon_cause="", **fresh)
        over = or_(Node.expires_ms < db_now_ms(), Node.expires_ms > now + BEYOND * ttl_ms)
        upsert = upsert.on_conflict_do_update(index_elements=["name"], set_=fresh, where=over)
        if session.execute(upsert.returning(Node.name)).first() is None:
            raise NameTaken(f"another running worker has the node name {name}; give each its own REELYARD_NODE_NAME")
    return _found(session, name)


def leave(session: Session, name: str, boot: str) -> None:
    """This run is over: the name is free at once."""
    run(session, update(Node).where(Node.name == name, Node.boot == boot).values(expires_ms=0, ingest_up=False))


def live(session: Session) -> list[Node]:
    fresh = select(Node).where(Node.expires_ms > db_now_ms()).order_by(Node.name)
    return list(session.scalars(fresh, execution_options={"populate_existing": True}))


def known(session: Session) -> list[Node]:
    """Also those that are gone."""
    return list(session.scalars(select(Node).order_by(Node.name), execution_options={"populate_existing": True}))


def get(session: Session, name: str) -> Node | None:
    return session.get(Node, name, populate_existing=True)


def lock(session: Session, name: str) -> Node | None:
    """With the row's lock (SQLite: the unit has locked the database already). Rows that refer to it may still be added."""
    return session.get(Node, name, populate_existing=True, with_for_update={"key_share": True})


def lock_all(session: Session, names: Collection[str]) -> list[Node]:
    """Many at once, in one order for everybody."""
    mine = select(Node).where(Node.name.in_(names)).order_by(Node.name).with_for_update(key_share=True)
    return list(session.scalars(mine, execution_options={"populate_existing": True})) if names else []


def set_draining(session: Session, name: str, on: bool) -> bool:
    """Whether there is such a node."""
    return moved(session, update(Node).where(Node.name == name).values(draining=on).returning(Node.name)) is not None


def cordon(session: Session, name: str, on: bool, cause: str = "") -> bool:
    """It takes nothing new. Whether there is such a node."""
    change = update(Node).where(Node.name == name).values(cordoned=on, cordon_cause=cause[:200] if on else "")
    return moved(session, change.returning(Node.name)) is not None


def missed(session: Session, name: str, times: int = 1, *, reset: bool = False) -> None:
    """Count dispatches that it did not claim, or forget them all."""
    run(session, update(Node).where(Node.name == name).values(missed=0 if reset else Node.missed + times))


def _found(session: Session, name: str) -> Node:
    return session.get_one(Node, name, populate_existing=True)
