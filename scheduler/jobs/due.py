"""The leader's part: messages for what is due, hundreds of jobs each. What is lost on the way is due again soon."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from models.database import Database
from models.repositories import jobs
from models.vocabulary import messages
from scheduler.broker import Broker

log = logging.getLogger(__name__)

#: Jobs a message: large enough that 10 000 are few messages, small enough that several workers share them.
BATCH: Final = 250
MOST_BATCHES: Final = 40  # a tick
#: After so long a message counts as lost.
QUEUED_MS: Final = 30_000
CLEAN_EVERY_S: Final = 60.0


class Due:
    def __init__(self, database: Database, broker: Broker, *, now_s: Callable[[], float]) -> None:
        self._database = database
        self._broker = broker
        self._now_s = now_s
        self._clean_s = 0.0

    def tick(self) -> int:
        """Send what is due; how many jobs. Raises `StateUnavailable`."""
        sent = 0
        for _ in range(MOST_BATCHES):
            with self._database.unit() as session:
                due = jobs.enqueue(session, limit=BATCH, for_ms=QUEUED_MS)
            if due and not self._broker.task(messages.CHECK_BATCH, due):
                break
            sent += len(due)
            if len(due) < BATCH:
                break
        self._clean()
        return sent

    def _clean(self) -> None:
        if self._now_s() < self._clean_s:
            return
        self._clean_s = self._now_s() + CLEAN_EVERY_S
        with self._database.unit() as session:
            jobs.delete_old(session)
