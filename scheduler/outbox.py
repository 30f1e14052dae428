"""The outbox as an app's owner sees it: which notices there are, how their deliveries went, and once more, please."""

from __future__ import annotations

from typing import Any, Final

from models.database import Database
from models.repositories import apps, notices
from models.tables import Notice, NoticeAttempt
from models.vocabulary.errors import BadParameter, InvalidOperation, NoticeNotFound
from models.vocabulary.states import NoticeState

MAX_PAGE: Final = 200


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, appid: str, *, limit: int = 50, before: str = "", sid: str = "", state: str = "") -> dict[str, Any]:
        """One page, newest first; `before` is the notice id that ended the page before."""
        if not 1 <= limit <= MAX_PAGE:
            raise BadParameter(f"limit must be from 1 to {MAX_PAGE}")
        if state and state not in list(NoticeState):
            raise BadParameter(f"state must be one of {', '.join(NoticeState)}")
        with self._database.unit() as session:
            apps.get(session, appid)
            last = notices.get(session, appid, before) if before else None
            if before and last is None:
                raise BadParameter("before names no notice of this app")
            after = None if last is None else (last.created_ms, last.notice_id)
            chosen = NoticeState(state) if state else None
            found = notices.for_app(session, appid, limit=limit + 1, before=after, sid=sid, state=chosen)
        page = found[:limit]
        following = page[-1].notice_id if len(found) > limit else None
        return {"notices": [shown(notice) for notice in page], "next": following}

    def get(self, appid: str, notice_id: str) -> dict[str, Any]:
        """With every attempt to deliver it."""
        with self._database.unit() as session:
            notice = notices.get(session, appid, notice_id)
            if notice is None:
                raise NoticeNotFound
            made = notices.attempts(session, notice.sid, notice.sequence)
            return shown(notice) | {"log": [_attempt(attempt) for attempt in made]}

    def replay(self, appid: str, notice_id: str) -> dict[str, Any]:
        """Deliver it once more. Raises `InvalidOperation` while it is on its way anyhow."""
        with self._database.unit() as session:
            notice = notices.get(session, appid, notice_id)
            if notice is None:
                raise NoticeNotFound
            if not notices.replay(session, notice.sid, notice.sequence):
                raise InvalidOperation("the notice is still to be delivered")
        return self.get(appid, notice_id)


def shown(notice: Notice) -> dict[str, Any]:
    return {
        "notice_id": notice.notice_id,
        "sid": notice.sid,
        "sequence": notice.sequence,
        "event": notice.event,
        "state": notice.state.value,
        "attempts": notice.attempts,
        "created_ms": notice.created_ms,
        "next_ms": notice.next_ms if notice.state is NoticeState.PENDING else None,
        "details": notice.details,
    }


def _attempt(attempt: NoticeAttempt) -> dict[str, Any]:
    return {"attempt": attempt.attempt, "at_ms": attempt.at_ms, "outcome": attempt.outcome}
