"""The notices outbox: told in the transaction of the change, delivered at least once, in order per recording."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import func, literal, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from models.database import now_ms
from models.repositories.statements import changed, moved, run
from models.tables import App, Notice, NoticeAttempt, Recording
from models.tables.base import db_now_ms
from models.vocabulary import events
from models.vocabulary.events import Event
from models.vocabulary.states import NoticeState

#: Answer of `tell` where the app has no receiver.
UNTOLD: Final = -1


def has_receiver(session: Session, sid: str) -> bool:
    return _receiver(session, sid) is not None


def _receiver(session: Session, sid: str) -> str | None:
    """The app of a recording, if somebody listens there."""
    receiver = select(App.appid).join(Recording, Recording.appid == App.appid)
    return session.scalar(receiver.where(Recording.sid == sid, App.notice_url != ""))


def tell(session: Session, sid: str, event: int, details: Mapping[str, Any]) -> int:
    """Returns the notice's sequence, given under the recording's row lock; `UNTOLD` (and nothing is written) when the
    app has no notice URL, or there is no such recording.
    """
    appid = _receiver(session, sid)
    if appid is None:
        return UNTOLD
    count = update(Recording).where(Recording.sid == sid).values(notice_sequence=Recording.notice_sequence + 1)
    row = moved(session, count.returning(Recording.notice_sequence))
    if row is None:
        return UNTOLD
    now, sequence = now_ms(session), int(row[0]) - 1
    session.add(_notice(sid, sequence, appid, event, details, now))
    session.flush()
    return sequence


def say(session: Session, sid: str, event: Event, **fields: Any) -> int:
    """`tell`, with the event's own name in its details."""
    return tell(session, sid, event, events.details(event, fields))


def say_all(session: Session, event: Event, fields: Mapping[str, Mapping[str, Any]]) -> None:
    """`say` of many recordings, by sid, whose row locks the caller holds."""
    listening = select(Recording.sid, App.appid).join(App, Recording.appid == App.appid)
    listening = listening.where(Recording.sid.in_(fields), App.notice_url != "")
    apps = dict(session.execute(listening).all())
    if not apps:
        return
    count = update(Recording).where(Recording.sid.in_(apps)).values(notice_sequence=Recording.notice_sequence + 1)
    now = now_ms(session)
    for sid, count_ in changed(session, count.returning(Recording.sid, Recording.notice_sequence)):
        session.add(_notice(sid, count_ - 1, apps[sid], event, events.details(event, fields[sid]), now))
    session.flush()


def _notice(sid: str, sequence: int, appid: str, event: int, details: Mapping[str, Any], now: int) -> Notice:
    return Notice(
        sid=sid,
        sequence=sequence,
        notice_id=str(uuid.uuid4()),
        appid=appid,
        event=event,
        details=dict(details),
        created_ms=now,
        next_ms=now,
    )


def lease(session: Session, limit: int, *, for_ms: int, but_apps: Collection[str] = ()) -> list[Notice]:
    """`due`, taken for so long: whoever has taken one tells how it went, or somebody else takes it afterwards."""
    taken = due(session, limit, but_apps=but_apps)
    for notice in taken:
        notice.next_ms = now_ms(session) + for_ms
    session.flush()
    return taken


def hasten(session: Session, appid: str, *, but: Collection[tuple[str, int]] = ()) -> None:
    """The app's receiver is back: what waits for another try is due now, `but` what is on its way (sid, sequence)."""
    waiting = update(Notice).where(Notice.appid == appid, Notice.state == NoticeState.PENDING, Notice.attempts > 0)
    if but:
        waiting = waiting.where(tuple_(Notice.sid, Notice.sequence).not_in(but))
    run(session, waiting.where(Notice.next_ms > db_now_ms()).values(next_ms=db_now_ms()))


def due(session: Session, limit: int, *, but_apps: Collection[str] = ()) -> list[Notice]:
    """The oldest pending notice of each recording whose time has come, locked for this unit; others' are passed over."""
    before = aliased(Notice)
    waits = select(before.sid).where(
        before.sid == Notice.sid, before.sequence < Notice.sequence, before.state == NoticeState.PENDING
    )
    ready = select(Notice).where(Notice.state == NoticeState.PENDING, Notice.next_ms <= db_now_ms(), ~waits.exists())
    if but_apps:
        ready = ready.where(Notice.appid.not_in(but_apps))
    ready = ready.order_by(Notice.next_ms).limit(limit).with_for_update(skip_locked=True)
    return list(session.scalars(ready, execution_options={"populate_existing": True}))


def done(session: Session, sid: str, sequence: int, outcome: str) -> bool:
    """The receiver took it. Whether it was pending."""
    return _attempted(session, sid, sequence, outcome, {"state": NoticeState.DELIVERED})


def failed(session: Session, sid: str, sequence: int, outcome: str, *, retry_ms: int | None) -> bool:
    """Try again in so long; None: never. Whether it was pending."""
    later = {"state": NoticeState.GIVEN_UP} if retry_ms is None else {"next_ms": db_now_ms() + retry_ms}
    return _attempted(session, sid, sequence, outcome, later)


def replay(session: Session, sid: str, sequence: int) -> bool:
    """Deliver it once more. Whether it was over."""
    over = update(Notice).where(Notice.sid == sid, Notice.sequence == sequence, Notice.state != NoticeState.PENDING)
    again = over.values(state=NoticeState.PENDING, next_ms=db_now_ms())
    return moved(session, again.returning(Notice.sequence)) is not None


def get(session: Session, appid: str, notice_id: str) -> Notice | None:
    mine = select(Notice).where(Notice.appid == appid, Notice.notice_id == notice_id)
    return session.scalar(mine, execution_options={"populate_existing": True})


def for_app(
    session: Session,
    appid: str,
    *,
    limit: int,
    before: tuple[int, str] | None = None,
    sid: str = "",
    state: NoticeState | None = None,
) -> list[Notice]:
    """Newest first. `before` = (created_ms, notice_id) of the last one on the page before."""
    wanted = select(Notice).where(Notice.appid == appid)
    if sid:
        wanted = wanted.where(Notice.sid == sid)
    if state is not None:
        wanted = wanted.where(Notice.state == state)
    if before is not None:
        wanted = wanted.where(tuple_(Notice.created_ms, Notice.notice_id) < tuple_(*map(literal, before)))
    return list(session.scalars(wanted.order_by(Notice.created_ms.desc(), Notice.notice_id.desc()).limit(limit)))


def of(session: Session, sid: str) -> list[Notice]:
    return list(session.scalars(select(Notice).where(Notice.sid == sid).order_by(Notice.sequence)))


def attempts(session: Session, sid: str, sequence: int) -> list[NoticeAttempt]:
    made = select(NoticeAttempt).where(NoticeAttempt.sid == sid, NoticeAttempt.sequence == sequence)
    return list(session.scalars(made.order_by(NoticeAttempt.attempt)))


def pending(session: Session) -> int:
    """How many are not delivered yet."""
    waiting = select(func.count()).select_from(Notice).where(Notice.state == NoticeState.PENDING)
    return session.scalar(waiting) or 0


def _attempted(session: Session, sid: str, sequence: int, outcome: str, values: dict[str, Any]) -> bool:
    open_ = update(Notice).where(Notice.sid == sid, Notice.sequence == sequence, Notice.state == NoticeState.PENDING)
    row = moved(session, open_.values(attempts=Notice.attempts + 1, **values).returning(Notice.attempts))
    if row is None:
        return False
    session.add(NoticeAttempt(sid=sid, sequence=sequence, attempt=row[0], at_ms=now_ms(session), outcome=outcome[:300]))
    session.flush()
    return True
