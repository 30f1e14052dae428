"""Supervised jobs: what was ordered, where the ladder stands, and every attempt with its sid and files."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from models.secrets import EncryptedJson
from models.tables.base import Base, Big, Json, enum_column
from models.vocabulary.states import JobState


class Job(Base):
    __tablename__ = "job"
    __table_args__ = (
        Index("uq_job_key", "appid", "key", unique=True),
        Index("ix_job_app_created", "appid", "created_ms"),
        Index("ix_job_due", "next_due_ms"),
    )

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    appid: Mapped[str] = mapped_column(ForeignKey("app.appid", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(200))  # the caller's; submitting it again finds this job
    cname: Mapped[str] = mapped_column(String(1024))
    mode: Mapped[str] = mapped_column(String(16))
    terms: Mapped[dict[str, Any]] = mapped_column(Json)  # scheduler.jobs.orders, without what is secret
    #: credentials and the bodies of acquire and start; wiped when the job ends
    secrets: Mapped[dict[str, Any] | None] = mapped_column(EncryptedJson)

    state: Mapped[JobState] = mapped_column(enum_column(JobState, "state"), default=JobState.WAITING)
    position: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # on the ladder
    stop_wanted: Mapped[bool] = mapped_column(Boolean, default=False)
    sid: Mapped[str] = mapped_column(String(64), default="")  # of the current attempt
    cause: Mapped[str] = mapped_column(String(32), default="")  # of the end, by name
    reason: Mapped[str] = mapped_column(String(500), default="")  # and in words
    #: what an endpoint said last, when it was no success
    trouble: Mapped[str] = mapped_column(String(500), default="")

    turn: Mapped[int] = mapped_column(default=0)  # counts takers; only the latest may save
    next_due_ms: Mapped[int | None] = mapped_column(Big)  # null: over
    queued_until_ms: Mapped[int] = mapped_column(Big, default=0)  # a message about it is under way
    busy_until_ms: Mapped[int] = mapped_column(Big, default=0)  # a taker makes its call
    deadline_ms: Mapped[int] = mapped_column(Big)
    created_ms: Mapped[int] = mapped_column(Big)
    ended_ms: Mapped[int | None] = mapped_column(Big)
    keep_until_ms: Mapped[int | None] = mapped_column(Big, index=True)


class JobAttempt(Base):
    """One acquire and what came of it; the fields are those of scheduler.jobs.view.Attempt."""

    __tablename__ = "job_attempt"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.job_id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    uid: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(2048), default="")
    sid: Mapped[str] = mapped_column(String(64), default="", index=True)
    status: Mapped[int] = mapped_column(SmallInteger, default=0)
    files: Mapped[list[str]] = mapped_column(Json, default=list)
    sent: Mapped[bool] = mapped_column(Boolean, default=False)
    resumed: Mapped[bool] = mapped_column(Boolean, default=False)
    told: Mapped[bool] = mapped_column(Boolean, default=False)
    begun_ms: Mapped[int] = mapped_column(Big)
    sid_ms: Mapped[int | None] = mapped_column(Big)
    confirmed_ms: Mapped[int | None] = mapped_column(Big)
    missed_ms: Mapped[int | None] = mapped_column(Big)
    over_ms: Mapped[int | None] = mapped_column(Big)
    ending: Mapped[str] = mapped_column(String(500), default="")
