"""What lies in the operator's backup store, and which recordings are to be moved out of it."""

from __future__ import annotations

from sqlalchemy import Boolean, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base, Big


class BackupCopy(Base):
    """An object in the backup store, until it is deleted there."""

    __tablename__ = "backup_copy"

    sid: Mapped[str] = mapped_column(ForeignKey("recording.sid", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(1200), primary_key=True)  # in the customer's store
    kind: Mapped[str] = mapped_column(String(16))  # file | playlist (its own, of what it has) | held (to be moved last)
    moved: Mapped[bool] = mapped_column(Boolean, default=False)  # the customer's store has proven it, too
    bytes: Mapped[int] = mapped_column(Big, default=0)
    md5: Mapped[str] = mapped_column(String(32), default="")


class Backlog(Base):
    """A recording with copies in the backup store: its place in the queue of those that are moved."""

    __tablename__ = "backlog"

    sid: Mapped[str] = mapped_column(ForeignKey("recording.sid", ondelete="CASCADE"), primary_key=True)
    next_ms: Mapped[int] = mapped_column(Big, index=True)
    tries: Mapped[int] = mapped_column(default=0)  # that failed in a row
    error: Mapped[str] = mapped_column(String(500), default="")
