"""Recordings: what is wanted and what is. Every change of state is a compare-and-set that says whether it moved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from models.database import now_ms
from models.repositories.statements import changed, moved, run
from models.settings import settings
from models.tables import Backlog, Recording, Resource
from models.tables.base import db_now_ms
from models.vocabulary import states
from models.vocabulary.errors import AlreadyStarted, ResourceExpired, TaskConflict, WorkerNotFound
from models.vocabulary.spec import RecordingSpec, Secrets
from models.vocabulary.states import Status, Wanted

MAX_WARNINGS: Final = 50
MAX_USERS: Final = 1_000
MAX_TEXT: Final = 500
DAY_MS: Final = 86_400_000


def live_key(appid: str, cname: str, uid: str) -> str:
    """What only one running recording may have."""
    return hashlib.sha256(json.dumps([appid, cname, uid]).encode()).hexdigest()


def create(
    session: Session,
    *,
    sid: str,
    resource: Resource,
    spec: RecordingSpec,
    secrets: Secrets,
    weight: int,
    warnings: Sequence[str] = (),
) -> Recording:
    """Use up the resource. Raises `AlreadyStarted` (its `resource.sid` names the recording) or `TaskConflict`."""
    _use(session, resource, sid)
    recording = Recording(
        sid=sid,
        appid=resource.appid,
        cname=resource.cname,
        uid=resource.uid,
        resource_id=resource.resource_id,
        mode=spec.mode.value,
        live_key=live_key(resource.appid, resource.cname, resource.uid),
        spec=spec.model_dump(mode="json"),
        secrets=secrets.model_dump(mode="json"),
        weight=weight,
        warnings=[text[:MAX_TEXT] for text in warnings[:MAX_WARNINGS]],
        created_ms=now_ms(session),
    )
    try:
        with session.begin_nested():
            session.add(recording)
    except IntegrityError as error:
        if session.scalar(select(Recording.sid).where(Recording.live_key == recording.live_key)) is None:
            raise
        raise TaskConflict from error
    return recording


def _use(session: Session, resource: Resource, sid: str) -> None:
    unused = update(Resource).where(Resource.resource_id == resource.resource_id, Resource.sid.is_(None))
    if moved(session, unused.values(sid=sid).returning(Resource.sid)):
        return
    if session.get(Resource, resource.resource_id, populate_existing=True) is None:
        raise ResourceExpired
    raise AlreadyStarted


def get(session: Session, sid: str) -> Recording | None:
    return session.get(Recording, sid, populate_existing=True)


def lock(session: Session, sid: str) -> Recording | None:
    """With the row's lock (SQLite: the unit has locked the database already). Rows that refer to it may still be added."""
    return session.get(Recording, sid, populate_existing=True, with_for_update={"key_share": True})


def lock_all(session: Session, sids: Collection[str], *, skip_locked: bool = False) -> list[Recording]:
    """Many at once, in one order for everybody; `skip_locked`: without those that another unit holds. Secrets stay behind."""
    mine = select(Recording).where(Recording.sid.in_(sids)).order_by(Recording.sid).options(defer(Recording.secrets))
    mine = mine.with_for_update(key_share=True, skip_locked=skip_locked)
    return list(session.scalars(mine, execution_options={"populate_existing": True})) if sids else []


def for_app(
    session: Session, appid: str, *, limit: int = 50, before: tuple[int, str] | None = None, live: bool | None = None
) -> list[Recording]:
    """Newest first. `before` = (created_ms, sid) of the last one on the page before."""
    wanted = select(Recording).where(Recording.appid == appid)
    if live is not None:
        wanted = wanted.where(Recording.live_key.is_not(None) if live else Recording.live_key.is_(None))
    if before is not None:
        created_ms, sid = before
        older = Recording.created_ms < created_ms
        wanted = wanted.where(or_(older, (Recording.created_ms == created_ms) & (Recording.sid < sid)))
    return list(session.scalars(wanted.order_by(Recording.created_ms.desc(), Recording.sid.desc()).limit(limit)))


def running(session: Session, appid: str | None = None) -> int:
    """How many have not ended, in an app or in all."""
    count = select(func.count()).select_from(Recording).where(Recording.live_key.is_not(None))
    return session.scalar(count if appid is None else count.where(Recording.appid == appid)) or 0


def live_sids(session: Session) -> list[str]:
    """Those that have not ended."""
    return list(session.scalars(select(Recording.sid).where(Recording.live_key.is_not(None))))


def advance(
    session: Session, sid: str, *, expect: Collection[Status] | None, to: Status, cause: str, epoch: int | None = None
) -> bool:
    """Along `states.STATUS`; with `epoch` only for that writer. `cause` becomes the reason of an ending recording."""
    before = [int(a) for a, b in states.STATUS if b == to and (expect is None or a in expect)]
    where = [Recording.sid == sid, Recording.status.in_(before)]
    if epoch is not None:
        where.append(Recording.writer_epoch == epoch)
    values: dict[str, Any] = {"status": int(to)}
    if to >= Status.STOPPING:
        first = to in (Status.STOPPING, Status.FAILED)
        values["reason"] = cause[:MAX_TEXT] if first else _if_empty(cause[:MAX_TEXT])
    if states.ended(to):
        values |= {
            "live_key": None,
            "ended_ms": db_now_ms(),
            "keep_until_ms": db_now_ms() + settings().record_days * DAY_MS,
        }
    return moved(session, update(Recording).where(*where).values(values).returning(Recording.sid)) is not None


def _if_empty(cause: str) -> Any:
    return case((Recording.reason == "", cause), else_=Recording.reason)


def want(session: Session, sid: str, wanted: Wanted, cause: str) -> bool:
    """Along `states.WANTED`, while the recording has not ended."""
    before = [a for a, b in states.WANTED if b == wanted]
    change = update(Recording).where(
        Recording.sid == sid, Recording.wanted.in_(before), Recording.status.not_in((Status.EXITED, Status.FAILED))
    )
    change = change.values(wanted=wanted, wanted_gen=Recording.wanted_gen + 1, wanted_cause=cause[:64])
    return moved(session, change.returning(Recording.sid)) is not None


def respec(session: Session, sid: str, spec: RecordingSpec, secrets: Secrets | None = None) -> int:
    """Returns the new generation. Raises `WorkerNotFound` when no such recording is on."""
    values: dict[str, Any] = {"spec": spec.model_dump(mode="json"), "wanted_gen": Recording.wanted_gen + 1}
    if secrets is not None:
        values["secrets"] = secrets.model_dump(mode="json")
    change = update(Recording).where(Recording.sid == sid, Recording.status.not_in((Status.EXITED, Status.FAILED)))
    row = moved(session, change.values(values).returning(Recording.wanted_gen))
    if row is None:
        raise WorkerNotFound
    return int(row[0])


def zero(session: Session, sid: str, *, t0_ms: int, anchor: dict[str, Any]) -> bool:
    """Where tick 0 lies. Only the first call counts."""
    change = update(Recording).where(Recording.sid == sid, Recording.t0_ms.is_(None))
    return moved(session, change.values(t0_ms=t0_ms, anchor=anchor).returning(Recording.sid)) is not None


def seen_user(session: Session, sid: str, last_user_90k: int) -> None:
    """Never goes back."""
    earlier = or_(Recording.last_user_90k.is_(None), Recording.last_user_90k < last_user_90k)
    run(session, update(Recording).where(Recording.sid == sid, earlier).values(last_user_90k=last_user_90k))


def hold_begins(session: Session, sid: str, at_90k: int) -> bool:
    """Nothing is recorded from this edge on. Of several tenures the first one counts."""
    change = update(Recording).where(Recording.sid == sid, Recording.held_90k.is_(None))
    return moved(session, change.values(held_90k=at_90k).returning(Recording.sid)) is not None


def hold_ends(session: Session, sid: str, at_90k: int) -> int | None:
    """It is recorded again from this edge on: since when it was not. None: another tenure has said so before."""
    row = session.execute(select(Recording.held_90k).where(Recording.sid == sid)).first()
    if row is None or row.held_90k is None or row.held_90k >= at_90k:
        return None
    change = update(Recording).where(Recording.sid == sid, Recording.held_90k == row.held_90k)
    ended = moved(session, change.values(held_90k=None).returning(Recording.sid)) is not None
    return int(row.held_90k) if ended else None


def set_fault(session: Session, sid: str, fault: dict[str, Any]) -> None:
    run(session, update(Recording).where(Recording.sid == sid).values(fault=fault))


def set_uploading(session: Session, sid: str, uploading: str) -> None:
    """The contract's word: uploaded, backuped, unknown."""
    run(session, update(Recording).where(Recording.sid == sid).values(uploading=uploading))


def first_slice(session: Session, sid: str) -> bool:
    """A slice is in the store. Whether it was the first."""
    change = update(Recording).where(Recording.sid == sid, Recording.sliced.is_(False))
    return moved(session, change.values(sliced=True).returning(Recording.sid)) is not None


def warn(session: Session, sid: str, text: str) -> None:
    """At most 50, each once."""
    recording, text = lock(session, sid), text[:MAX_TEXT]
    if recording is not None and text not in recording.warnings and len(recording.warnings) < MAX_WARNINGS:
        recording.warnings = [*recording.warnings, text]
        session.flush()


def heard(session: Session, sid: str, uid: str, medium: str, at_ms: int, *, receiving: bool) -> None:
    """Whose media were recorded, from when to when; `until_ms` is null while they are. At most 1000 users are kept."""
    recording = lock(session, sid)
    if recording is None or (uid not in recording.users and len(recording.users) >= MAX_USERS):
        return
    seen = recording.users.get(uid, {"media": [], "from_ms": at_ms, "until_ms": None})
    media = sorted({*seen["media"], medium})
    receives = (
        sorted({*seen.get("receives", []), medium})
        if receiving
        else [m for m in seen.get("receives", []) if m != medium]
    )
    seen = seen | {"media": media, "receives": receives, "until_ms": None if receives else at_ms}
    recording.users = recording.users | {uid: seen}
    session.flush()


def wipe_secrets(session: Session, sid: str) -> None:
    run(session, update(Recording).where(Recording.sid == sid).values(secrets=None))


def delete_old(session: Session, *, limit: int = 500) -> int:
    """Records whose time is over, with all that hangs on them. Returns how many."""
    kept = select(Backlog.sid).where(Backlog.sid == Recording.sid)  # its files are not all where they belong
    old = select(Recording.sid).where(Recording.keep_until_ms < db_now_ms(), ~kept.exists()).limit(limit)
    return len(changed(session, delete(Recording).where(Recording.sid.in_(old)).returning(Recording.sid)))
