"""Of any number of schedulers one decides. Whoever leads reaps nothing until it has led, unbroken, for one tenure TTL:
an outage of the database breaks every leader's lease, so the owners of tenures get that long to renew first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import leader

NAME: Final = "scheduler"


class Leadership:
    def __init__(
        self, database: Database, owner: str, *, ttl_ms: int, quiet_ms: int, now_s: Callable[[], float]
    ) -> None:
        self._database = database
        self._owner = owner
        self._ttl_ms = ttl_ms
        self._quiet_ms = quiet_ms
        self._now_s = now_s
        self._since_s: float | None = None  # by our own clock: the database's may jump
        self._renewed_s = 0.0
        self._held_ms = 0

    def hold(self) -> bool:
        """Take or keep the lease; whether we lead now. Raises `StateUnavailable`."""
        with self._database.unit() as session:
            lead = leader.lead(session, NAME, self._owner, self._ttl_ms)
        now_s = self._now_s()
        if lead is None:
            self._since_s = None
            return False
        unbroken = self._since_s is not None and (now_s - self._renewed_s) * 1000 < self._ttl_ms
        if not unbroken:
            self._since_s = now_s
        self._renewed_s = now_s
        self._held_ms = lead.held_ms
        return True

    @property
    def may_reap(self) -> bool:
        """Both clocks must say that we have led for long enough."""
        if self._since_s is None:
            return False
        return min(self._held_ms, (self._renewed_s - self._since_s) * 1000) >= self._quiet_ms

    def holds(self, session: Session) -> bool:
        """Whether the lease still runs: between taking it and acting on it a clock may be set, or this process frozen."""
        return leader.holds(session, NAME, self._owner)

    def release(self) -> None:
        self._since_s = None
        with self._database.unit() as session:
            leader.release(session, NAME, self._owner)
