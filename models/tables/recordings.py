"""What is recorded: resources (a right to start), recordings (what is wanted and what is), files."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from models.secrets import EncryptedJson
from models.tables.base import Base, Big, Json, enum_column
from models.vocabulary.states import Wanted


class Resource(Base):
    __tablename__ = "resource"

    resource_id: Mapped[str] = mapped_column(String(512), primary_key=True)
    appid: Mapped[str] = mapped_column(ForeignKey("app.appid", ondelete="CASCADE"))
    cname: Mapped[str] = mapped_column(String(1024))
    uid: Mapped[str] = mapped_column(String(64))
    options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # the acquire's clientRequest
    created_ms: Mapped[int] = mapped_column(Big)
    expires_ms: Mapped[int] = mapped_column(Big, index=True)
    sid: Mapped[str | None] = mapped_column(String(32), unique=True)  # set by the one start that used it


class Recording(Base):
    __tablename__ = "recording"
    __table_args__ = (
        # One running recording of an instance (appid, cname, uid): `live_key` is null once it has ended.
        Index("uq_recording_live", "live_key", unique=True),
        Index("ix_recording_app_created", "appid", "created_ms"),
        Index("ix_recording_status", "status"),
    )

    sid: Mapped[str] = mapped_column(String(32), primary_key=True)
    appid: Mapped[str] = mapped_column(ForeignKey("app.appid", ondelete="CASCADE"))
    cname: Mapped[str] = mapped_column(String(1024))
    uid: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(512), unique=True)
    mode: Mapped[str] = mapped_column(String(16))
    live_key: Mapped[str | None] = mapped_column(String(64))  # sha256 hex of appid, cname, uid
    spec: Mapped[dict[str, Any]] = mapped_column(Json)  # spec.RecordingSpec
    #: spec.Secrets; wiped when the last upload is proven
    secrets: Mapped[dict[str, Any] | None] = mapped_column(EncryptedJson)
    weight: Mapped[int] = mapped_column(default=100)  # hundredths of a core
    warnings: Mapped[list[str]] = mapped_column(Json, default=list)
    #: uid → {media, receives, from_ms, until_ms}: whose media were recorded
    users: Mapped[dict[str, dict[str, Any]]] = mapped_column(Json, default=dict, server_default="{}")

    wanted: Mapped[Wanted] = mapped_column(enum_column(Wanted, "wanted"), default=Wanted.RUN)
    wanted_gen: Mapped[int] = mapped_column(default=1)  # bumped by every change of wanted or spec
    wanted_cause: Mapped[str] = mapped_column(String(64), default="")  # why it is to end: "stop called", "idle", …

    status: Mapped[int] = mapped_column(SmallInteger, default=0)  # states.Status
    reason: Mapped[str] = mapped_column(String(500), default="")  # how it ended, in words
    #: {code, scope, retryable, text}: of the end, or the latest
    fault: Mapped[dict[str, Any] | None] = mapped_column(Json)

    max_epoch: Mapped[int] = mapped_column(default=0)  # epochs are never given twice
    writer_epoch: Mapped[int] = mapped_column(default=0)  # whose state, playlist and MP4 count
    next_dispatch_ms: Mapped[int] = mapped_column(Big, default=0)  # back-off between tenures
    deaths: Mapped[int] = mapped_column(default=0)  # tenures lost in a row without a slice

    t0_ms: Mapped[int | None] = mapped_column(Big)  # wall time of tick 0, database clock, written once
    anchor: Mapped[dict[str, Any] | None] = mapped_column(Json)  # channel.Anchor
    last_user_90k: Mapped[int | None] = mapped_column(Big)
    held_90k: Mapped[int | None] = mapped_column(Big)  # on hold: nothing is recorded since this edge
    sliced: Mapped[bool] = mapped_column(Boolean, default=False)  # a first slice is in the store
    uploading: Mapped[str] = mapped_column(String(16), default="")  # contract: uploaded | backuped | unknown
    notice_sequence: Mapped[int] = mapped_column(default=0)

    created_ms: Mapped[int] = mapped_column(Big)
    ended_ms: Mapped[int | None] = mapped_column(Big)
    keep_until_ms: Mapped[int | None] = mapped_column(Big, index=True)


class File(Base):
    """An object in a store that is no segment: playlist, index, MP4, snapshot."""

    __tablename__ = "file"

    sid: Mapped[str] = mapped_column(ForeignKey("recording.sid", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(1200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # playlist | index | mp4 | snapshot
    track: Mapped[str] = mapped_column(String(128), default="mix")
    rev: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(Big, default=0)
    md5: Mapped[str] = mapped_column(String(32), default="")
    final: Mapped[bool] = mapped_column(Boolean, default=False)
    duration_90k: Mapped[int] = mapped_column(Big, default=0)
    start_90k: Mapped[int] = mapped_column(Big, default=0, server_default="0")  # of an MP4: which range it was cut from
    end_90k: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    error: Mapped[str] = mapped_column(String(500), default="")
    store: Mapped[str] = mapped_column(String(16), default="primary")
