"""Tenures: one worker's grant to make a range of a recording. Narrow and hot: renewed every few seconds."""

from __future__ import annotations

from sqlalchemy import Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.base import Base, Big, enum_column
from models.vocabulary.states import Role, TenureState


class Tenure(Base):
    __tablename__ = "tenure"
    __table_args__ = (
        Index("ix_tenure_state_node", "state", "node"),
        # Renewals touch no indexed column, so PostgreSQL updates in place (HOT) where pages have room.
        {"postgresql_with": {"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0.02}},
    )

    sid: Mapped[str] = mapped_column(ForeignKey("recording.sid", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    #: random nonce of the claim; fences a database that went back in time
    owner: Mapped[str | None] = mapped_column(String(32))
    node: Mapped[str] = mapped_column(String(80))
    role: Mapped[Role] = mapped_column(enum_column(Role, "role"))
    state: Mapped[TenureState] = mapped_column(enum_column(TenureState, "state"))
    weight: Mapped[int] = mapped_column(default=100)
    from_90k: Mapped[int] = mapped_column(Big, default=0)  # granted range, half-open; until null: no end yet
    until_90k: Mapped[int | None] = mapped_column(Big)
    expires_ms: Mapped[int] = mapped_column(Big)  # dispatch deadline, then lease, on the database's clock
    #: number of renewals: the leader watches it by its own monotonic clock
    renewed: Mapped[int] = mapped_column(default=0)
    observed_gen: Mapped[int] = mapped_column(default=0)
    ready: Mapped[bool] = mapped_column(Boolean, default=False)
    cut_ack: Mapped[bool] = mapped_column(Boolean, default=False)
    created_ms: Mapped[int] = mapped_column(Big)
    ended_ms: Mapped[int | None] = mapped_column(Big)
    cause: Mapped[str] = mapped_column(String(200), default="")  # why it ended
