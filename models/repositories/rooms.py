"""Which node's ingest holds a room. One room, one ingest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import add_if_absent, changed, moved, run
from models.tables import RoomPlace
from models.tables.base import db_now_ms


def place(session: Session, appid: str, cname: str, node: str, *, instead_of: str | None = None) -> RoomPlace:
    """Where the room is from now on: at `node`, unless somebody has placed it elsewhere first. It is moved away only
    from `instead_of`, the node that is gone.
    """
    now = now_ms(session)
    add_if_absent(session, RoomPlace, ("appid", "cname"), appid=appid, cname=cname, node=node, used_ms=now)
    if instead_of is not None:
        gone = update(RoomPlace).where(*_key(appid, cname), RoomPlace.node == instead_of)
        moved(session, gone.values(node=node, used_ms=now).returning(RoomPlace.node))
    return session.get_one(RoomPlace, (appid, cname), populate_existing=True)


def find(session: Session, appid: str, cname: str) -> RoomPlace | None:
    return session.get(RoomPlace, (appid, cname), populate_existing=True)


def touch(session: Session, appid: str, cname: str) -> None:
    """It is in use."""
    run(session, update(RoomPlace).where(*_key(appid, cname)).values(used_ms=db_now_ms()))


def delete_old(session: Session, *, idle_ms: int) -> int:
    """Forget rooms that nobody used for so long. How many."""
    idle = delete(RoomPlace).where(RoomPlace.used_ms < db_now_ms() - idle_ms)
    return len(changed(session, idle.returning(RoomPlace.cname)))


def _key(appid: str, cname: str) -> tuple[Any, Any]:
    return RoomPlace.appid == appid, RoomPlace.cname == cname
