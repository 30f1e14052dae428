"""The timeline: each track is a partition of [0, head) into segments and holes. models.repositories.timeline is its only door."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base, Big, enum_column
from models.vocabulary.states import HoleState, SegmentState

#: Spelt out in the statement, not bound: else neither database knows that the index below serves it.
RESERVED: Final = text("state = 'reserved'")


class Track(Base):
    __tablename__ = "track"

    sid: Mapped[str] = mapped_column(ForeignKey("recording.sid", ondelete="CASCADE"), primary_key=True)
    track: Mapped[str] = mapped_column(String(128), primary_key=True)  # "mix", or "<uid>/audio" … in individual mode
    head_90k: Mapped[int] = mapped_column(Big, default=0)


class Segment(Base):
    __tablename__ = "segment"
    __table_args__ = (
        ForeignKeyConstraint(["sid", "track"], ["track.sid", "track.track"], ondelete="CASCADE"),
        CheckConstraint("start_90k < end_90k", name="range"),
        # No object of a recording is ever two segments; and an acknowledgement finds its row by the key.
        Index("uq_segment_key", "sid", "key", unique=True),
        # Few of the many wait for a store; whoever looks for them must not read all.
        Index("ix_segment_reserved", "sid", "epoch", postgresql_where=RESERVED, sqlite_where=RESERVED),
    )

    sid: Mapped[str] = mapped_column(String(32), primary_key=True)
    track: Mapped[str] = mapped_column(String(128), primary_key=True)
    start_90k: Mapped[int] = mapped_column(Big, primary_key=True)
    end_90k: Mapped[int] = mapped_column(Big)
    epoch: Mapped[int] = mapped_column()
    key: Mapped[str] = mapped_column(String(1200))
    state: Mapped[SegmentState] = mapped_column(enum_column(SegmentState, "state"))
    bytes: Mapped[int] = mapped_column(Big, default=0)
    md5: Mapped[str] = mapped_column(String(32), default="")
    shape: Mapped[str] = mapped_column(
        String(24), default="", server_default=text("''")
    )  # streams.Shape, of a single sender's
    store: Mapped[str] = mapped_column(String(16), default="")  # primary | backup
    #: fills a hole that was lost: live playlists have passed it, the final one has it
    late: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())


IS_RESERVED: Final = Segment.state == literal_column("'reserved'")


class Hole(Base):
    __tablename__ = "hole"
    __table_args__ = (
        ForeignKeyConstraint(["sid", "track"], ["track.sid", "track.track"], ondelete="CASCADE"),
        CheckConstraint("start_90k < end_90k", name="range"),
        Index("ix_hole_state", "state"),
    )

    sid: Mapped[str] = mapped_column(String(32), primary_key=True)
    track: Mapped[str] = mapped_column(String(128), primary_key=True)
    start_90k: Mapped[int] = mapped_column(Big, primary_key=True)
    end_90k: Mapped[int] = mapped_column(Big)
    state: Mapped[HoleState] = mapped_column(enum_column(HoleState, "state"))
    owed_epoch: Mapped[int] = mapped_column(default=0)  # the newest tenure that could fill it; older ones could too
    cause: Mapped[str] = mapped_column(String(200), default="")
    since_ms: Mapped[int] = mapped_column(Big)
