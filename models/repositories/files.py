"""Objects in a store that are no segments: playlist, index, MP4, snapshot."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.repositories.statements import insert
from models.tables import File

Kind = Literal["playlist", "index", "mp4", "snapshot"]


def wrote(
    session: Session,
    sid: str,
    key: str,
    kind: Kind,
    *,
    rev: int = 0,
    bytes_: int,
    md5: str,
    final: bool,
    track: str = "mix",
    duration_90k: int = 0,
    error: str = "",
    store: str = "primary",
) -> bool:
    """The store has this object, in this revision. False: a newer one, or the final one, was written before."""
    values = {
        "kind": kind,
        "track": track,
        "rev": rev,
        "bytes": bytes_,
        "md5": md5,
        "final": final,
        "duration_90k": duration_90k,
        "error": error[:500],
        "store": store,
    }
    upsert = insert(session, File).values(sid=sid, key=key, **values)
    older = (File.rev <= rev) & (File.final.is_(False) | final)
    upsert = upsert.on_conflict_do_update(index_elements=["sid", "key"], set_=values, where=older)
    return session.execute(upsert.returning(File.key)).first() is not None


def of(session: Session, sid: str) -> list[File]:
    mine = select(File).where(File.sid == sid).order_by(File.key)
    return list(session.scalars(mine, execution_options={"populate_existing": True}))
