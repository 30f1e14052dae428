"""The studio of one recorder: makes the films that its worker orders, one after the other, and hands them to the uploader.

What is made is a fact in the journal, so that a later process of the same spool only uploads it. The film that is next
grows with the recording (`ahead.py`); a slice that is not on this disk is read back from a store (`footage.py`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from posixpath import basename
from typing import Final

from models.settings import settings
from models.vocabulary import journal, pipe
from models.vocabulary.errors import DiskFull, ReelyardError, StorageError
from models.vocabulary.film import CONTENT_TYPE
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import seconds
from models.vocabulary.timing import Clock
from stores.base import Store
from workers.recorder.film.ahead import Ahead
from workers.recorder.film.film import PART, Fetch, FilmFile, make
from workers.recorder.film.footage import Footage
from workers.recorder.shelf import Shelf
from workers.recorder.upload.backoff import wait_s
from workers.recorder.upload.uploader import Item
from workers.spool import Spool

#: The studio's name on the shelf.
FILM: Final = "film"
SUFFIX: Final = ".mp4"
#: What is on a reel already of the film that is ordered next.
_NEXT: Final = "next"
#: While it records, other work of this process comes first: so long a rest after each shot.
REST_S: Final = 0.02
#: A store that cannot be reached is asked for some ten minutes; what it has not given back by then is left out.
ATTEMPTS: Final = 24


class Studio:
    def __init__(
        self,
        spool: Spool,
        shelf: Shelf,
        spec: RecordingSpec,
        clock: Clock,
        chance: Callable[[], float],
        *,
        fact: Callable[[journal.Entry], None],
        on_trouble: Callable[[ReelyardError], None],
        records: Callable[[], bool],
        sleep: Callable[[float], None],
    ) -> None:
        self._spool = Spool(spool.folder)  # its own place in the journal
        self._footage = Footage(spool, spec.appid)
        self._ahead = Ahead(spool.folder / f"{_NEXT}{SUFFIX}{PART}", spec, self._has_room)
        self._shelf = shelf
        self._spec = spec
        self._clock = clock
        self._chance = chance
        self._fact = fact
        self._on_trouble = on_trouble
        self._records = records
        self._sleep = sleep
        self._orders: asyncio.Queue[pipe.Film | pipe.Rushes] = asyncio.Queue()
        self._made: dict[str, journal.Film] = {}
        self._unsent: list[journal.Film] = []
        self._put: Callable[[Item], None] | None = None
        self._is_open = asyncio.Event()
        shelf.register(FILM)

    def remember(self) -> None:
        """What an earlier process of this spool has made; call it once all that it left stands on the shelf."""
        stored: set[str] = set()
        for _, entry in self._spool.entries():
            match entry:
                case journal.Film():
                    self._made[entry.key] = entry
                case journal.Stored() if entry.store == "primary":
                    stored.add(entry.key)
                case _:
                    pass
        for film in self._made.values():
            self.done_with(film.start_90k, film.end_90k)
            if film.file and film.key not in stored:
                self._unsent.append(film)
        named = {film.file for film in self._made.values()}
        for path in [*self._spool.folder.glob(f"*{SUFFIX}"), *self._spool.folder.glob(f"*{SUFFIX}{PART}")]:
            if path.name not in named:
                path.unlink()

    def open(self, store: Store, put: Callable[[Item], None], backup: Store | None = None) -> None:
        """The store is there; or is another one now, with newer keys."""
        self._footage.open(store, backup)
        self._put = put
        for film in self._unsent:
            self._hand_over(film)
        self._unsent.clear()
        self._is_open.set()

    def order(self, film: pipe.Film | pipe.Rushes) -> None:
        self._orders.put_nowait(film)

    async def run(self) -> None:
        while True:
            order = await self._orders.get()
            await self._is_open.wait()
            if isinstance(order, pipe.Rushes):
                await self._clock.in_thread(partial(self._work_ahead, order))
            elif order.key not in self._made:
                await self._make(order)

    async def _make(self, order: pipe.Film) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                made = await self._clock.in_thread(partial(self._cut, order, patient=attempt < ATTEMPTS))
            except (DiskFull, StorageError) as error:
                self._on_trouble(error)
                if attempt >= ATTEMPTS:
                    self._close(order, None, error.text)
                    return
                await self._clock.sleep_until(self._clock.now() + wait_s(attempt, self._chance()))
            else:
                self._close(order, made, _said(order, made))
                return

    def _cut(self, order: pipe.Film, *, patient: bool) -> FilmFile | None:
        out = self._spool.folder / basename(order.key)
        begun = self._ahead.take(order.shots)
        try:
            return make(order.shots, out, self._spec, self._fetch(patient=patient), rest=self._rest, begun=begun)
        finally:
            self._footage.give_back()

    def _work_ahead(self, rushes: pipe.Rushes) -> None:
        self._ahead.told(rushes)
        try:
            self._ahead.work(self._fetch(patient=True), self._rest)
        finally:
            self._footage.give_back()

    def _fetch(self, *, patient: bool) -> Fetch:
        return partial(self._footage.path, patient=patient)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._spool.folder).free > settings().spool_low_bytes

    def _rest(self) -> None:
        if self._records():
            self._sleep(REST_S)

    def _close(self, order: pipe.Film, made: FilmFile | None, error: str) -> None:
        where = {"key": order.key, "start_90k": order.start_90k, "end_90k": order.end_90k, "error": error}
        film = journal.Film.model_validate(where)
        if made is not None:
            found = {"file": made.path.name, "bytes": made.bytes, "md5": made.md5, "duration_90k": made.duration_90k}
            film = film.model_copy(update=found)
        self._made[order.key] = film
        self._fact(film)
        self.done_with(film.start_90k, film.end_90k)
        if made is not None:
            self._hand_over(film)

    def done_with(self, start_90k: int, end_90k: int) -> None:
        """Of that range there is a film: its slices may go."""
        for slice_ in self._footage.slices():
            if start_90k <= slice_.start_90k < end_90k:
                self._shelf.passed(slice_.key, FILM)

    def _hand_over(self, film: journal.Film) -> None:
        assert self._put is not None
        self._shelf.add(film.key, film.file)
        self._shelf.passed(film.key, FILM)
        self._put(Item(film.key, self._spool.folder / film.file, film.bytes, film.md5, CONTENT_TYPE))


def _said(order: pipe.Film, made: FilmFile | None) -> str:
    if made is None:
        return "not one of its segments could be read back"
    if not made.missing:
        return ""
    lost_s = seconds(sum(shot.end_90k - shot.start_90k for shot in made.missing))
    return f"{lost_s:.1f} s in {len(made.missing)} segments could not be read back and are left out"
