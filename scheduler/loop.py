"""The scheduler's loop: lead, decide, wait. It outlives the database and the broker, and says so once each way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from models.database import Database
from models.settings import Settings
from models.vocabulary.errors import StateUnavailable
from scheduler.backlog import Backlog
from scheduler.broker import Broker
from scheduler.jobs.due import Due
from scheduler.leader import Leadership
from scheduler.notices import Delivery
from scheduler.reaper import Reaper
from scheduler.reconciler import Reconciler
from scheduler.retention import Retention

log = logging.getLogger(__name__)

TICK_S: Final = 0.3
LONGEST_WAIT_S: Final = 5.0


class Loop:
    def __init__(
        self,
        database: Database,
        broker: Broker,
        settings: Settings,
        owner: str,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leadership = Leadership(
            database, owner, ttl_ms=settings.leader_ttl_ms, quiet_ms=settings.tenure_ttl_ms, now_s=now_s
        )
        self._reaper = Reaper(database, broker, settings, now_s=now_s)
        self._due = Due(database, broker, now_s=now_s)
        self._notices = Delivery(database, settings)
        self._retention = Retention(database, settings, now_s=now_s)
        self._backlog = Backlog(database, settings, now_s=now_s)
        self._reconciler = Reconciler(database, now_s=now_s)
        self._leads = False
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then the lease is given back, so that the next leader need not wait for it."""
        while not stop.is_set():
            stop.wait(self.round())
        self._notices.close()
        self._retention.close()
        self._backlog.close()
        try:
            self._leadership.release()
        except StateUnavailable as error:
            log.warning("the lease was not given back, it runs out by itself: %s", error.text)

    def round(self) -> float:
        """One round; returns how long to wait for the next."""
        try:
            self.tick()
        except StateUnavailable as error:
            if not self._failures:
                log.warning("waiting for the database: %s", error.text)
        except Exception:
            log.exception("a round failed")  # the next one starts from what the database says
        else:
            if self._failures:
                log.warning("working again after %s failed rounds", self._failures)
            self._failures = 0
            return TICK_S
        self._failures += 1
        return min(LONGEST_WAIT_S, TICK_S * (1 << min(self._failures, 10)))

    def tick(self) -> None:
        leads = self._leadership.hold()
        if leads != self._leads:
            log.info("leading" if leads else "another scheduler leads")
            self._leads = leads
        if leads:
            self._reaper.tick(may_reap=self._leadership.may_reap, leads=self._leadership.holds)
            self._due.tick()
            self._notices.tick()
            self._retention.tick()
            self._backlog.tick()
            self._reconciler.tick()
        else:
            self._reaper.rest()
