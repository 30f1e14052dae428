"""Users of `pull:` channels: URLs under a uid, of a channel by its name, whether it is being recorded or not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import changed, moved
from models.tables import PulledUser, Recording
from models.vocabulary.spec import RecordingSpec, Secrets


def put(session: Session, appid: str, cname: str, uid: str, url: str) -> bool:
    """Whether that is news."""
    user = session.get(PulledUser, (appid, cname, uid), populate_existing=True)
    if user is None:
        session.add(PulledUser(appid=appid, cname=cname, uid=uid, source={"url": url}, created_ms=now_ms(session)))
    elif user.source == {"url": url}:
        return False
    else:
        user.source = {"url": url}
    session.flush()
    return True


def remove(session: Session, appid: str, cname: str, uid: str) -> bool:
    """Whether he was there."""
    his = delete(PulledUser).where(*_of(appid, cname), PulledUser.uid == uid)
    return moved(session, his.returning(PulledUser.uid)) is not None


def count(session: Session, appid: str, cname: str) -> int:
    return session.scalar(select(func.count()).select_from(PulledUser).where(*_of(appid, cname))) or 0


def count_of_app(session: Session, appid: str) -> int:
    return session.scalar(select(func.count()).select_from(PulledUser).where(PulledUser.appid == appid)) or 0


def users(session: Session, appid: str, cname: str) -> list[PulledUser]:
    """By uid."""
    return list(session.scalars(select(PulledUser).where(*_of(appid, cname)).order_by(PulledUser.uid)))


def of(session: Session, appid: str, cname: str) -> dict[str, str]:
    """URLs by uid."""
    return {user.uid: str(user.source["url"]) for user in users(session, appid, cname)}


def known_to(session: Session, spec: RecordingSpec, secrets: Secrets) -> Secrets:
    """What the recorders of a recording are to know: with its channel's users. Read its generation first."""
    if not spec.is_pulled:
        return secrets
    return secrets.model_copy(update={"pulls": of(session, spec.appid, spec.cname)})


def tell(session: Session, appid: str, cname: str) -> list[str]:
    """The recordings of this channel that are on are to look anew. In a unit behind the change's own: one that begins
    between the two reads what is there. Their sids.
    """
    live = update(Recording).where(Recording.appid == appid, Recording.cname == cname, Recording.live_key.is_not(None))
    rows = changed(session, live.values(wanted_gen=Recording.wanted_gen + 1).returning(Recording.sid))
    return [row.sid for row in rows]


def _of(appid: str, cname: str) -> tuple[Any, Any]:
    return PulledUser.appid == appid, PulledUser.cname == cname
