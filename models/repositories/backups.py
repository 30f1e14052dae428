"""Copies in the backup store: made while a customer's store fails, moved when it answers, deleted when all is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import add_if_absent, changed, insert, moved, run
from models.tables import Backlog, BackupCopy, File, Segment, Tenure
from models.tables.base import db_now_ms
from models.vocabulary.playlist import Entry
from models.vocabulary.states import TenureState

PRIMARY: Final = "primary"
BACKUP: Final = "backup"
#: While its recorder lives, it moves its own; others look after so long.
FIRST_LOOK_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Copy:
    key: str
    kind: str
    bytes: int
    md5: str


@dataclass(frozen=True, slots=True)
class Told:
    first: bool = False  # the recording had nothing in the backup store before
    moved: bool = False  # the customer's store has what only the backup store had


def told(session: Session, sid: str, key: str, store: str) -> Told:
    """A store has proven a segment or a file of a recording; its own row knows already. Again the same: nothing changes."""
    if store == BACKUP:
        return _backed(session, sid, key)
    copy = update(BackupCopy).where(BackupCopy.sid == sid, BackupCopy.key == key, BackupCopy.moved.is_(False))
    if moved(session, copy.values(moved=True).returning(BackupCopy.key)) is None:
        return Told()
    for table in (Segment, File):  # what has been deleted since stays so
        run(session, update(table).where(_of(table, sid, key), table.store == BACKUP).values(store=PRIMARY))
    return Told(moved=True)


def _backed(session: Session, sid: str, key: str) -> Told:
    row = session.execute(select(Segment.bytes, Segment.md5, Segment.store).where(_of(Segment, sid, key))).first()
    row = row or session.execute(select(File.bytes, File.md5, File.store).where(_of(File, sid, key))).first()
    if row is None:
        return Told()  # nothing that we know of
    bytes_, md5, store = row
    return Told(first=hold(session, sid, key, "file", bytes_=bytes_, md5=md5, is_moved=store == PRIMARY))


def hold(session: Session, sid: str, key: str, kind: str, *, bytes_: int, md5: str, is_moved: bool = False) -> bool:
    """The backup store has this object. Whether it is the recording's first there."""
    values = {"kind": kind, "bytes": bytes_, "md5": md5, "moved": is_moved}
    add = insert(session, BackupCopy).values(sid=sid, key=key, **values)
    if kind == "file":
        session.execute(add.on_conflict_do_nothing(index_elements=["sid", "key"]))
    else:
        session.execute(add.on_conflict_do_update(index_elements=["sid", "key"], set_=values))
    if session.get(Backlog, sid, populate_existing=True) is not None:
        return False
    add_if_absent(session, Backlog, ("sid",), sid=sid, next_ms=now_ms(session) + FIRST_LOOK_MS, tries=0, error="")
    return True


def exist(session: Session, sid: str) -> bool:
    return session.execute(select(BackupCopy.key).where(BackupCopy.sid == sid).limit(1)).first() is not None


def waiting(session: Session, sid: str) -> int:
    """Files that only the backup store has."""
    only = select(func.count()).select_from(BackupCopy)
    only = only.where(BackupCopy.sid == sid, BackupCopy.kind == "file", BackupCopy.moved.is_(False))
    return session.scalar(only) or 0


def only_there(session: Session, sid: str) -> list[str]:
    """Keys of those files."""
    c = BackupCopy
    return list(session.scalars(select(c.key).where(c.sid == sid, c.kind == "file", c.moved.is_(False))))


def entries(session: Session, sid: str, track: str) -> list[Entry]:
    """What the backup store's own playlist lists."""
    s = Segment
    held = select(s.start_90k, s.end_90k, s.key, s.shape, s.bytes).join(
        BackupCopy, (BackupCopy.sid == s.sid) & (BackupCopy.key == s.key)
    )
    held = held.where(s.sid == sid, s.track == track).order_by(s.start_90k)
    return [Entry(*row) for row in session.execute(held)]


# -- moving -----------------------------------------------------------------------------------------------------


def due(session: Session, *, limit: int, lease_ms: int) -> list[str]:
    """Recordings whose turn it is; for `lease_ms` they are nobody else's."""
    oldest = select(Backlog.sid).where(Backlog.next_ms <= db_now_ms()).order_by(Backlog.next_ms).limit(limit)
    taken = update(Backlog).where(Backlog.sid.in_(oldest), Backlog.next_ms <= db_now_ms())
    rows = changed(session, taken.values(next_ms=db_now_ms() + lease_ms).returning(Backlog.sid))
    return [row[0] for row in rows]


def movable(session: Session, sid: str, *, all_: bool, limit: int) -> list[Copy]:
    """Files that only the backup store has, in the order of their names; unless `all_`, without those whose recorder is
    still there to bring them itself.
    """
    c = BackupCopy
    found = select(c.key, c.kind, c.bytes, c.md5).where(c.sid == sid, c.kind == "file", c.moved.is_(False))
    if not all_:
        over = select(Tenure.epoch).where(Tenure.sid == sid, Tenure.state == TenureState.ENDED)
        found = found.where(c.key.in_(select(Segment.key).where(Segment.sid == sid, Segment.epoch.in_(over))))
    return [Copy(*row) for row in session.execute(found.order_by(c.key).limit(limit))]


def copies(session: Session, sid: str, *kinds: str, limit: int | None = None) -> list[Copy]:
    c = BackupCopy
    found = select(c.key, c.kind, c.bytes, c.md5).where(c.sid == sid, c.kind.in_(kinds)).order_by(c.key)
    return [Copy(*row) for row in session.execute(found.limit(limit))]


def deleted(session: Session, sid: str, key: str) -> None:
    """The backup store has it no more."""
    run(session, delete(BackupCopy).where(_of(BackupCopy, sid, key)))


def again(session: Session, sid: str, *, in_ms: int, error: str = "") -> int:
    """Its next turn; with an error one more has failed in a row. How many."""
    row = session.get(Backlog, sid, populate_existing=True)
    if row is None:
        return 0
    row.next_ms, row.error = now_ms(session) + in_ms, error[:500]
    row.tries = row.tries + 1 if error else 0
    session.flush()
    return row.tries


def again_in(session: Session, sid: str, in_ms: int) -> None:
    run(session, update(Backlog).where(Backlog.sid == sid).values(next_ms=db_now_ms() + in_ms))


def placed(session: Session, sid: str, key: str) -> None:
    """A document stands in the customer's store now."""
    run(session, update(File).where(_of(File, sid, key), File.store == BACKUP).values(store=PRIMARY))


def close(session: Session, sid: str) -> None:
    """Nothing of it is to be moved any more."""
    run(session, delete(Backlog).where(Backlog.sid == sid))


def _of(table: type[Segment] | type[File] | type[BackupCopy], sid: str, key: str) -> ColumnElement[bool]:
    return (table.sid == sid) & (table.key == key)
