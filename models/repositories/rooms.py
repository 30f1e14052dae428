"""Which node's ingest holds a room. One room, one ingest."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, select, tuple_, update
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


def used_lately(session: Session, keys: Collection[tuple[str, str]], within_ms: int) -> dict[tuple[str, str], str]:
    """The nodes of those of these rooms (appid, cname) that were in use so shortly ago."""
    mine = select(RoomPlace.appid, RoomPlace.cname, RoomPlace.node)
    mine = mine.where(tuple_(RoomPlace.appid, RoomPlace.cname).in_(keys), RoomPlace.used_ms > db_now_ms() - within_ms)
    return {(appid, cname): node for appid, cname, node in session.execute(mine)} if keys else {}


def touch(session: Session, appid: str, cname: str) -> None:
    """It is in use."""
    run(session, update(RoomPlace).where(*_key(appid, cname)).values(used_ms=db_now_ms()))


def delete_old(session: Session, *, idle_ms: int) -> int:
    """Forget rooms that nobody used for so long. How many."""
    idle = delete(RoomPlace).where(RoomPlace.used_ms < db_now_ms() - idle_ms)
    return len(changed(session, idle.returning(RoomPlace.cname)))


def _key(appid: str, cname: str) -> tuple[Any, Any]:
    return RoomPlace.appid == appid, RoomPlace.cname == cname
