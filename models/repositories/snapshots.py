"""Snapshots: pictures of users, as files of a recording. `final` says that a store has it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.repositories.statements import insert, moved
from models.tables import File

KIND: Final = "snapshot"


def taken(session: Session, sid: str, key: str, *, track: str, bytes_: int, md5: str) -> None:
    """It waits for its upload. Said twice, nothing changes."""
    values = {"kind": KIND, "track": track, "bytes": bytes_, "md5": md5, "final": False}
    new = insert(session, File).values(sid=sid, key=key, **values)
    session.execute(new.on_conflict_do_nothing(index_elements=["sid", "key"]))


def stored(session: Session, sid: str, key: str, *, store: str) -> bool:
    """A store has it. Whether that is news."""
    change = update(File).where(File.sid == sid, File.key == key, File.kind == KIND, File.final.is_(False))
    return moved(session, change.values(final=True, store=store).returning(File.key)) is not None


def lost(session: Session, sid: str, key: str) -> None:
    """It is gone before any store had it: nobody waits for it."""
    change = update(File).where(File.sid == sid, File.key == key, File.kind == KIND, File.final.is_(False))
    moved(session, change.values(final=True, error="gone from the spool").returning(File.key))


def page(session: Session, sid: str, *, uid: str = "", after: str = "", limit: int) -> list[File]:
    """Those whose keys come after one, in the order of keys: by user, in time order."""
    mine = select(File).where(File.sid == sid, File.kind == KIND, File.key > after)
    if uid:
        mine = mine.where(File.track.startswith(f"{uid}/", autoescape=True))
    return list(session.scalars(mine.order_by(File.key).limit(limit)))


def count(session: Session, sid: str, *, waiting: bool = False) -> int:
    mine = select(func.count()).select_from(File).where(File.sid == sid, File.kind == KIND)
    return session.scalar(mine.where(File.final.is_(False)) if waiting else mine) or 0
