"""The backlog: recordings with files in the backup store. A turn moves some of one recording's to the customer's store.

A turn is bounded in files and in time, and leased in SQL: whoever dies in it is followed by another after the lease, and
two that move the same file put the same bytes. The customer's keys are kept for it, and wiped when it is done.
"""

from __future__ import annotations

import logging
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from models import logs
from models.database import Database, now_ms
from models.repositories import backups, listing, notices, recordings
from models.repositories.backups import Copy
from models.settings import Settings
from models.vocabulary import keys
from models.vocabulary.errors import ReelyardError, StateUnavailable
from models.vocabulary.events import Event
from models.vocabulary.spec import Backup, RecordingSpec, Secrets
from models.vocabulary.states import ended
from stores.base import Store
from stores.names import content_type
from stores.opening import open_backup, open_store

log = logging.getLogger(__name__)

PARALLEL: Final = 4
FILES: Final = 20
TURN_S: Final = 60.0
LEASE_MS: Final = 180_000
LOOK_EVERY_S: Final = 1.0
#: While its recorder is there to bring its own.
LOOK_AGAIN_MS: Final = 30_000
PIECE_BYTES: Final = 8 << 20
PUT_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 25_000
FIRST_WAIT_MS: Final = 10_000
LONGEST_WAIT_MS: Final = 1_800_000
DAY_MS: Final = 86_400_000


def wait_ms(tries: int, chance: float) -> int:
    """Before the next turn, after so many in a row that failed."""
    longest = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(tries, 10))
    return round(longest * (0.5 + chance / 2))


@dataclass(frozen=True, slots=True)
class _Turn:
    sid: str
    appid: str
    spec: RecordingSpec
    secrets: Secrets = field(repr=False)
    is_over: bool
    told: bool  # the recording's end is said: only our own copies are left
    late: bool  # its time is over
    files: list[Copy]
    waiting: int


class Backlog:
    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        now_s: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        open_customer: Callable[[RecordingSpec, Secrets], Store] | None = None,
        open_own: Callable[[Backup], Store] = open_backup,
    ) -> None:
        self._database = database
        self._settings = settings
        self._now_s = now_s
        self._chance = chance
        self._open_customer = open_customer or self._customer
        self._open_own = open_own
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="backlog")
        self._lock = Lock()
        self._busy = 0
        self._next_s = 0.0

    def tick(self) -> int:
        """Begin the turns that are due; how many. Raises `StateUnavailable`. Does not wait for any store."""
        if self._settings.backup is None or self._now_s() < self._next_s:
            return 0
        self._next_s = self._now_s() + LOOK_EVERY_S
        with self._lock:
            free = PARALLEL - self._busy
        if free <= 0:
            return 0
        with self._database.unit() as session:
            sids = backups.due(session, limit=free, lease_ms=LEASE_MS)
        for sid in sids:
            with self._lock:
                self._busy += 1
            self._threads.submit(self._turn, sid)
        return len(sids)

    def close(self) -> None:
        """Turns that are on their way end with the process; another leader takes them up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _turn(self, sid: str) -> None:
        with logs.bound(sid=sid):
            try:
                self.turn(sid)
            except StateUnavailable as error:
                log.warning("a turn of the backlog is left as it is: %s", error.text)
            except Exception:
                log.exception("a turn of the backlog failed")
            finally:
                with self._lock:
                    self._busy -= 1

    def turn(self, sid: str) -> None:
        """Move some files of one recording, or bring it to its end."""
        turn = self._look(sid)
        if turn is None:
            return
        try:
            in_ms = self._work(turn)
        except ReelyardError as error:
            with self._database.unit() as session:
                tries = backups.again(session, sid, in_ms=LEASE_MS, error=error.text)
                backups.again_in(session, sid, wait_ms(tries, self._chance()))
            log.warning("not moved from the backup store, try %s: %s", tries, error.text)
            return
        if in_ms is not None:
            with self._database.unit() as session:
                backups.again(session, sid, in_ms=in_ms)

    def _look(self, sid: str) -> _Turn | None:
        with self._database.unit() as session:
            row = recordings.get(session, sid)
            if row is None:
                return None
            is_over = ended(row.status)
            until_ms = (row.ended_ms or 0) + self._settings.backup_days * DAY_MS
            return _Turn(
                sid=sid,
                appid=row.appid,
                spec=RecordingSpec.model_validate(row.spec),
                secrets=Secrets.model_validate(row.secrets or {}),
                is_over=is_over,
                told=is_over and row.uploading != "backuped",
                late=is_over and now_ms(session) > until_ms,
                files=backups.movable(session, sid, all_=is_over, limit=FILES),
                waiting=backups.waiting(session, sid),
            )

    def _work(self, turn: _Turn) -> int | None:
        """When the next turn is due, in ms; None: there is none."""
        if turn.late and (turn.waiting or not turn.told):
            self._give_up(turn)
            return None
        if not turn.files and not turn.is_over:
            return LOOK_AGAIN_MS
        backup = self._settings.backup
        assert backup is not None
        with closing(self._open_own(backup)) as own:
            if turn.files or not turn.told:
                with closing(self._open_customer(turn.spec, turn.secrets)) as customers:
                    if turn.files:
                        return 0 if self._move_files(turn, own, customers) else LOOK_AGAIN_MS
                    self._move_last_words(turn, own, customers)
                self._all_is_there(turn)
            self._tidy(turn, own)
        return None

    def _move_files(self, turn: _Turn, own: Store, customers: Store) -> bool:
        """Whether there is more to do at once."""
        until_s = self._now_s() + TURN_S
        for copy in turn.files:
            if self._now_s() > until_s:
                break
            self._carry(own, keys.backup_key(turn.appid, copy.key), copy, customers, copy.key)
            with self._database.unit() as session:
                backups.told(session, turn.sid, copy.key, backups.PRIMARY)
        return turn.is_over or len(turn.files) == FILES

    def _move_last_words(self, turn: _Turn, own: Store, customers: Store) -> None:
        """The index, then the playlist that names what is all there by now."""
        with self._database.unit() as session:
            held = backups.copies(session, turn.sid, "held")
        for copy in held:
            there = copy.key.removesuffix(keys.HELD)
            self._carry(own, keys.backup_key(turn.appid, copy.key), copy, customers, there)
            with self._database.unit() as session:
                backups.placed(session, turn.sid, there)

    def _carry(self, own: Store, from_key: str, copy: Copy, customers: Store, key: str) -> None:
        with tempfile.TemporaryDirectory(prefix="reelyard-backlog-") as folder:
            path = Path(folder, "file")
            with path.open("wb") as file:
                for start in range(0, copy.bytes, PIECE_BYTES):
                    file.write(own.get_range(from_key, start, min(copy.bytes, start + PIECE_BYTES)))
            timeout_s = PUT_S + copy.bytes / SLOWEST_BYTES_PER_S
            customers.put(key, path, md5_hex=copy.md5, content_type=content_type(key), timeout_s=timeout_s)

    def _all_is_there(self, turn: _Turn) -> None:
        """31, as it would have been said at the end; nobody needs the customer's keys any more."""
        with self._database.unit() as session:
            row = recordings.lock(session, turn.sid)
            if row is None or row.uploading != "backuped":
                return
            recordings.set_uploading(session, turn.sid, "uploaded")
            notices.say(session, turn.sid, Event.UPLOADING_PROGRESS, progress=10_000)
            notices.say(session, turn.sid, Event.UPLOADED, status=0, fileList=listing.file_items(session, row))
            recordings.wipe_secrets(session, turn.sid)
        log.info("all that the backup store had is in the customer's store")

    def _tidy(self, turn: _Turn, own: Store) -> None:
        """Delete our copies: the playlist first, so that it never names what is gone."""
        with self._database.unit() as session:
            copies = [copy for kind in ("playlist", "held", "file") for copy in backups.copies(session, turn.sid, kind)]
        for copy in copies:
            own.delete(keys.backup_key(turn.appid, copy.key))
            with self._database.unit() as session:
                backups.deleted(session, turn.sid, copy.key)
        with self._database.unit() as session:
            backups.close(session, turn.sid)

    def _give_up(self, turn: _Turn) -> None:
        """The customer's store has not taken them in all these days: they stay in the backup store, the keys do not."""
        days = self._settings.backup_days
        text = f"{turn.waiting} files are left in the backup store: the store of the recording took none in {days} days"
        log.error("%s", text)
        with self._database.unit() as session:
            recordings.warn(session, turn.sid, text)
            recordings.wipe_secrets(session, turn.sid)
            backups.close(session, turn.sid)

    def _customer(self, spec: RecordingSpec, secrets: Secrets) -> Store:
        config = self._settings
        return open_store(
            spec.store, secrets.store, stores_root=config.stores_root, allow_networks=config.allow_networks
        )
