"""The farm itself: nodes, the leader, which ingest holds which room, which URLs are a channel's users."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column

from models.secrets import EncryptedJson
from models.tables.base import Base, Big


class Node(Base):
    """A worker process. Its name is the identity of its spool volume; its row's lock makes placement exact."""

    __tablename__ = "node"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    boot: Mapped[str] = mapped_column(String(32))  # nonce of this run of the process
    capacity: Mapped[int] = mapped_column()  # hundredths of a core
    draining: Mapped[bool] = mapped_column(Boolean, default=False)  # is leaving (SIGTERM, `reelyard drain`)
    cordoned: Mapped[bool] = mapped_column(Boolean, default=False)  # takes nothing new (`reelyard cordon`, low disk)
    cordon_cause: Mapped[str] = mapped_column(String(200), default="")
    spool_full: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # below its low water
    missed: Mapped[int] = mapped_column(default=0)  # dispatches in a row that it did not claim
    version: Mapped[str] = mapped_column(String(32), default="")
    ingest_url: Mapped[str] = mapped_column(String(500), default="")
    ingest_units: Mapped[str] = mapped_column(String(200), default="")
    ingest_up: Mapped[bool] = mapped_column(Boolean, default=False)
    expires_ms: Mapped[int] = mapped_column(Big)
    created_ms: Mapped[int] = mapped_column(Big)


class Leader(Base):
    __tablename__ = "leader"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(80), default="")
    term: Mapped[int] = mapped_column(default=0)
    expires_ms: Mapped[int] = mapped_column(Big, default=0)
    held_since_ms: Mapped[int] = mapped_column(Big, default=0)


class RoomPlace(Base):
    """Which node's ingest holds a WHIP room. One room, one ingest; moves only when that node is gone or drains."""

    __tablename__ = "room_place"

    appid: Mapped[str] = mapped_column(ForeignKey("app.appid", ondelete="CASCADE"), primary_key=True)
    cname: Mapped[str] = mapped_column(String(1024), primary_key=True)
    node: Mapped[str] = mapped_column(String(80))
    used_ms: Mapped[int] = mapped_column(Big)


class PulledUser(Base):
    """A user of a `pull:` channel, there whether somebody records it or not. His URL may hold a password or a stream's key."""

    __tablename__ = "pulled_user"

    appid: Mapped[str] = mapped_column(ForeignKey("app.appid", ondelete="CASCADE"), primary_key=True)
    cname: Mapped[str] = mapped_column(String(1024), primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[dict[str, Any]] = mapped_column(EncryptedJson)  # {url}
    created_ms: Mapped[int] = mapped_column(Big)
