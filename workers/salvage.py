"""What dead tenures of this node left in their spools is committed and uploaded: captured media is never thrown away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from models.database import Database
from models.repositories import recordings
from models.vocabulary import journal
from models.vocabulary.errors import ReelyardError
from models.vocabulary.spec import Backup
from workers import ending
from workers.assignment import Assignment
from workers.children import Nursery
from workers.spool import Spool, spools
from workers.supervision import Supervision

log = logging.getLogger(__name__)


class Salvage:
    """Walks the node's spools once, one after the other; a spool whose tenure is supervised here is not its business."""

    def __init__(
        self,
        database: Database,
        nursery: Nursery,
        root: Path,
        supervised: Callable[[str, str], bool],
        backup: Backup | None = None,
    ) -> None:
        self._database = database
        self._nursery = nursery
        self._root = root
        self._supervised = supervised
        self._backup = backup

    def start(self) -> None:
        left = spools(self._root)
        if left:
            threading.Thread(target=self._run, args=(left,), name="salvage", daemon=True).start()

    def _run(self, left: list[Spool]) -> None:
        for spool in left:
            try:
                self._salvage(spool)
            except ReelyardError as error:
                log.warning("spool %s is left as it is: %s", spool.folder.name, error.text)
            except Exception:
                log.exception("spool %s is left as it is", spool.folder.name)  # the others are not to suffer for it

    def _salvage(self, spool: Spool) -> None:
        begun = next((e for _, e in spool.entries() if isinstance(e, journal.Begun)), None)
        if begun is None or self._supervised(begun.sid, begun.owner):
            return
        with self._database.unit() as session:
            row = recordings.get(session, begun.sid)
            if row is None or ending.is_cancelled(row):
                spool.remove()  # its record is gone, and so is everybody's right to it; or nobody wants it any more
                return
            assignment = Assignment.left_behind(session, begun.sid, begun.epoch, begun.owner)
        if assignment is None:
            log.warning("spool is of no tenure we know", extra={"sid": begun.sid, "epoch": begun.epoch})
            return
        log.info("salvaging a spool", extra={"sid": begun.sid, "epoch": begun.epoch})
        assignment = replace(assignment, backup=self._backup)
        Supervision(self._database, self._nursery, self._root, assignment).run()
