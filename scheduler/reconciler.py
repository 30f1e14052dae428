"""The leader's rounds over what has ended: rows that contradict each other are mended, or marked for `reelyard repair`.

It compares rows alone: a store's keys are wiped when a recording ends, so what lies in the store is `reelyard verify`'s
to see. Each round looks at a bounded number of recordings and begins anew behind the last one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from models.database import Database
from models.repositories import disagreements
from models.repositories.disagreements import Place

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
#: With their segments that is what a round may cost: some tens of milliseconds.
BATCH: Final = 20
BEGINNING: Final[Place] = (0, "")


class Reconciler:
    def __init__(self, database: Database, *, now_s: Callable[[], float]) -> None:
        self._database = database
        self._now_s = now_s
        self._next_s = 0.0
        self._place = BEGINNING

    def tick(self) -> None:
        """One round, if it is time. Raises `StateUnavailable`."""
        if self._now_s() < self._next_s:
            return
        self._next_s = self._now_s() + EVERY_S
        self.round()

    def round(self) -> None:
        with self._database.unit() as session:
            if ended := disagreements.end_leftovers(session, limit=BATCH):
                log.warning("%s tenures of ended recordings were ended", ended)
        with self._database.unit() as session:
            found = disagreements.ended_after(session, self._place, limit=BATCH)
            for row in found:
                behind = disagreements.compare_playlist(session, row)
                if behind is not None:
                    say = log.warning if behind else log.info
                    say("the playlist is %s the rows", "behind" if behind else "again what say", extra={"sid": row.sid})
        last = found[-1] if len(found) == BATCH else None
        self._place = BEGINNING if last is None else (last.ended_ms or 0, last.sid)
