"""An assignment: one tenure as its supervision gets it. Either claimed just now, or that of a spool which was left behind."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from models.repositories import recordings, tenures, timeline
from models.vocabulary import pipe
from models.vocabulary.spec import Backup, RecordingSpec, Secrets
from models.vocabulary.states import Role, Wanted
from workers.joining import Joining

TRACK = "mix"


@dataclass(frozen=True, slots=True)
class Assignment:
    sid: str
    epoch: int
    owner: str
    role: Role
    spec: RecordingSpec
    spec_gen: int
    secrets: Secrets = field(repr=False)
    opened_ms: int
    t0_ms: int | None
    anchor: dict[str, Any] | None
    resume_at_90k: int
    last_user_90k: int | None
    on_hold: bool = False
    held_90k: int | None = None
    #: The database's clock minus this host's CLOCK_MONOTONIC, as of the claim: whatever wall clock is stepped later, the
    #: recorders of a tenure agree on what time it is. None: the wall clock will do.
    steady_offset_ms: float | None = None
    joining: Joining = field(default_factory=lambda: Joining(""))
    writer: bool = True
    backup: Backup | None = field(default=None, repr=False)

    @classmethod
    def claimed(
        cls, session: Session, sid: str, epoch: int, node: str, boot: str, *, ttl_ms: int
    ) -> tuple[Assignment, int] | None:
        """Claim a dispatched tenure; with it comes the database's time in ms. None: nothing to claim."""
        claim = tenures.claim(session, sid, epoch, node, boot, ttl_ms=ttl_ms)
        if claim is None:
            return None
        assignment = cls(
            sid=sid,
            epoch=epoch,
            owner=claim.owner,
            role=claim.role,
            spec=claim.spec,
            spec_gen=claim.spec_gen,
            secrets=claim.secrets,
            opened_ms=claim.opened_ms,
            t0_ms=claim.t0_ms,
            anchor=claim.anchor,
            resume_at_90k=claim.resume_at_90k,
            last_user_90k=claim.last_user_90k,
            on_hold=claim.wanted is Wanted.HOLD,
            held_90k=claim.held_90k,
        )
        return assignment, claim.db_now_ms

    @classmethod
    def left_behind(cls, session: Session, sid: str, epoch: int, owner: str) -> Assignment | None:
        """Of a tenure that is over but whose spool still has something. It captures nothing and writes no documents."""
        row = recordings.get(session, sid)
        known = any(t.epoch == epoch and t.owner == owner for t in tenures.of(session, sid))
        if row is None or not known:
            return None
        return cls(
            sid=sid,
            epoch=epoch,
            owner=owner,
            role=Role.FINALISER,
            spec=RecordingSpec.model_validate(row.spec),
            spec_gen=row.wanted_gen,
            secrets=Secrets.model_validate(row.secrets or {}),
            opened_ms=row.created_ms,
            t0_ms=row.t0_ms,
            anchor=row.anchor,
            resume_at_90k=timeline.reach(session, sid),
            last_user_90k=row.last_user_90k,
            writer=False,
        )

    def refreshed(self, session: Session) -> Assignment:
        """With what the row has learned since."""
        row = recordings.get(session, self.sid)
        if row is None:
            return self
        return replace(
            self,
            t0_ms=row.t0_ms,
            anchor=row.anchor,
            last_user_90k=row.last_user_90k,
            held_90k=row.held_90k,
            resume_at_90k=timeline.reach(session, self.sid),
        )

    def begin(self, role: Role, spool: Path) -> pipe.Begin:
        """What a recorder process is told first; `role` may have become another one since."""
        anchor = self.anchor
        return pipe.Begin(
            sid=self.sid,
            epoch=self.epoch,
            owner=self.owner,
            role=role,
            spec=self.spec,
            secrets=self.secrets,
            spec_gen=self.spec_gen,
            opened_ms=self.opened_ms,
            wall_offset_ms=self._wall_offset_ms(),
            t0_ms=self.t0_ms,
            anchor=None if anchor is None else pipe.Point(clock_id=anchor["clock_id"], zero_s=anchor["zero_s"]),
            resume_at_90k=self.resume_at_90k,
            last_user_90k=self.last_user_90k,
            on_hold=self.on_hold,
            held_90k=self.held_90k,
            channel_address=self.joining.address,
            credentials=dict(self.joining.credentials),
            spool=str(spool),
            backup=self.backup,
        )

    def _wall_offset_ms(self) -> int:
        """The database's clock minus this host's, now."""
        if self.steady_offset_ms is None:
            return 0
        return round(self.steady_offset_ms + (time.monotonic() - time.time()) * 1000)
