"""The notices outbox: written in the transaction of the change it tells, delivered at least once, in order per sid."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base, Big, Json, enum_column
from models.vocabulary.states import NoticeState


class Notice(Base):
    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_due", "state", "next_ms"),)

    sid: Mapped[str] = mapped_column(ForeignKey("recording.sid", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)  # from 0, per sid
    notice_id: Mapped[str] = mapped_column(String(36), unique=True)
    appid: Mapped[str] = mapped_column(String(64), index=True)
    event: Mapped[int] = mapped_column()  # contract §7
    details: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[NoticeState] = mapped_column(enum_column(NoticeState, "state"), default=NoticeState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    created_ms: Mapped[int] = mapped_column(Big)
    next_ms: Mapped[int] = mapped_column(Big)


class NoticeAttempt(Base):
    __tablename__ = "notice_attempt"
    __table_args__ = (ForeignKeyConstraint(["sid", "sequence"], ["notice.sid", "notice.sequence"], ondelete="CASCADE"),)

    sid: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    at_ms: Mapped[int] = mapped_column(Big)
    outcome: Mapped[str] = mapped_column(String(300))  # "200", "503", "timeout after 10 s", …
