"""Retention: what is to be deleted from operators' own stores is deleted, and what has been kept long enough.

The leader's duty. A turn is bounded in objects and runs beside the loop, since a store may dawdle; whatever is cut off
in the middle is found again, for a row says "doomed" until its object is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Final

from models.database import Database
from models.repositories import apps, files, recordings
from models.settings import Settings
from models.tables import File
from models.vocabulary.errors import ReelyardError, StateUnavailable
from models.vocabulary.spec import RecordingSpec
from net.connections import within
from stores.base import Store
from stores.opening import open_store

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
SWEEP_EVERY_S: Final = 60.0
#: Objects a turn; and recordings that grow too old, a sweep.
OBJECTS: Final = 100
RECORDINGS: Final = 50
#: A store that failed is left alone for so long, and so is a database.
AGAIN_S: Final = 60.0
#: One that hangs is as bad.
TURN_S: Final = 300.0
DAY_MS: Final = 86_400_000
#: Documents first: no playlist ever names what is gone.
_ORDER: Final = {"playlist": 0, "mp4": 1, "snapshot": 2, "index": 3}


class Retention:
    def __init__(self, database: Database, settings: Settings, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._settings = settings
        self._now_s = now_s
        self._look_at_s = self._sweep_at_s = 0.0
        self._alone: dict[str, float] = {}  # until when, by app: stores are an app's own
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="retention")
        self._turn: Future[None] | None = None

    def tick(self) -> None:
        now_s = self._now_s()
        if now_s < self._look_at_s or (self._turn is not None and not self._turn.done()):
            return
        self._look_at_s = now_s + LOOK_EVERY_S
        self._turn = self._threads.submit(self._safely)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _safely(self) -> None:
        try:
            self.turn()
        except ReelyardError as error:
            log.warning("files wait for their deletion: %s", error.text)
            self._look_at_s = self._now_s() + AGAIN_S
        except Exception:
            log.exception("a turn failed")  # the next one starts from what the database says
            self._look_at_s = self._now_s() + AGAIN_S

    def turn(self) -> None:
        if self._now_s() >= self._sweep_at_s:
            self._sweep_at_s = self._now_s() + SWEEP_EVERY_S
            self._sweep()
        self._alone = {appid: until_s for appid, until_s in self._alone.items() if until_s > self._now_s()}
        with self._database.unit() as session:
            found = files.doomed(session, but=self._alone)
        if found is None:
            return
        sid, appid = found
        try:
            self._delete(sid)
        except StateUnavailable:
            raise
        except ReelyardError as error:  # of its store, or of its address
            log.warning("files of app %s wait for their deletion: %s", appid, error.text, extra={"sid": sid})
            self._alone[appid] = self._now_s() + AGAIN_S

    def _sweep(self) -> None:
        with self._database.unit() as session:
            days = [(app.appid, apps.behaviour(app).keep_files_days) for app in apps.list_apps(session) if app.store]
            for appid, kept_days in days:
                if kept_days:
                    files.doom_old(session, appid=appid, days=kept_days, limit=RECORDINGS)
            for_ms = self._settings.record_days * DAY_MS
            files.keep_records(session, soon_ms=DAY_MS, for_ms=for_ms, limit=10 * RECORDINGS)

    def _delete(self, sid: str) -> None:
        with self._database.unit() as session:
            row = recordings.get(session, sid)
            assert row is not None  # the file's foreign key
            app = apps.get(session, row.appid)
            spec = RecordingSpec.model_validate(row.spec)
            own, keys = apps.store_of(app), apps.store_keys_of(app)
            doomed = [file for file in files.of(session, sid) if file.store == files.DOOMED]
            segments = files.segments_left(session, sid, limit=OBJECTS) if _with_segments(doomed) else []
        if own != spec.store:  # the app has moved to another store since: nobody has the keys of this one any more
            with self._database.unit() as session:
                files.gone(session, sid, [file.key for file in doomed])
            return
        store = open_store(
            spec.store, keys, stores_root=self._settings.stores_root, allow_networks=self._settings.allow_networks
        )
        with closing(store), within(TURN_S):
            self._delete_from(store, sid, sorted(doomed, key=lambda f: _ORDER.get(f.kind, 9)), segments)

    def _delete_from(self, store: Store, sid: str, doomed: list[File], segments: list[str]) -> None:
        for file in doomed:
            store.delete(file.key)
        for key in segments:
            store.delete(key)
        # A playlist's row stays until its last segment is gone: it is what brings the next turn here.
        over = not _with_segments(doomed) or len(segments) < OBJECTS
        with self._database.unit() as session:
            keys = [file.key for file in doomed if over or file.kind != "playlist"]
            files.gone(session, sid, [*keys, *segments])


def _with_segments(doomed: list[File]) -> bool:
    return any(file.kind == "playlist" for file in doomed)
