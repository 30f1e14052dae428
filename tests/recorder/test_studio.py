"""The studio: films are made from this disk or read back from the store, whatever that does, and made once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from models.vocabulary import journal, pipe
from models.vocabulary.errors import ReelyardError, StorageError, StoreUnavailable
from models.vocabulary.film import Shot
from stores.base import Store, StoreCaps
from stores.memory import Memory
from tests.recorder.test_film import Shown, recorded, shots
from tests.segment.scripted import spec
from workers.recorder.clock import VirtualClock, run_virtual
from workers.recorder.film.studio import Studio
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.shelf import STORE, Shelf
from workers.recorder.upload.uploader import Item
from workers.spool import Spool

S = 90_000
KEY = "calls/film_0.mp4"


class Bench:
    """A spool with closed slices, a shelf, a store that has them all."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "spool")
        self.shelf = Shelf(self.spool.folder)
        self.slices: list[ClosedSlice] = recorded(self.spool.folder, spec(), 6)
        self.store: Store = Memory()
        self.put: list[Item] = []
        self.troubles: list[ReelyardError] = []
        self.waited_s = 0.0
        for s in self.slices:
            self.spool.append(
                journal.Slice(
                    track="mix", start_90k=s.start_90k, end_90k=s.end_90k, key=s.path.name, file=s.path.name,
                    bytes=s.bytes, md5=s.md5,
                )
            )  # fmt: skip
            self.store.put(s.path.name, s.path, md5_hex=s.md5, content_type="video/mp2t")

    def studio(self, clock: VirtualClock) -> Studio:
        return Studio(
            self.spool, self.shelf, spec(), clock, random.Random(1).random,
            fact=self.note, on_trouble=self.troubles.append, records=lambda: False, sleep=lambda _s: None,
        )  # fmt: skip

    def work(self, wanted: list[Shot] | None = None) -> journal.Film:
        """Order the film, wait until the journal has it."""
        order = pipe.Film(key=KEY, start_90k=0, end_90k=6 * S, shots=tuple(wanted or shots(self.slices)))

        async def main(clock: VirtualClock) -> None:
            studio = self.studio(clock)
            for s in self.slices:
                if s.path.exists():
                    self.shelf.add(s.path.name, s.path.name)
            studio.remember()
            working = asyncio.ensure_future(studio.run())
            studio.order(order)
            studio.open(self.store, self.put.append)
            began_s = clock.now()
            while not (found := self.films()):
                assert clock.now() - began_s < 3_600
                await clock.sleep_until(clock.now() + 0.5)
            await clock.sleep_until(clock.now() + 1)
            self.waited_s = clock.now() - began_s
            assert len(found) == 1
            working.cancel()

        run_virtual(main)
        (film,) = self.films()
        return film

    def note(self, entry: journal.Entry) -> None:
        self.spool.append(entry)

    def films(self) -> list[journal.Film]:
        return [entry for _, entry in Spool(self.spool.folder).entries() if isinstance(entry, journal.Film)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "spool").mkdir()
    return Bench(tmp_path)


def test_a_film_is_made_put_and_its_slices_go_when_the_store_has_them(bench: Bench) -> None:
    film = bench.work()
    (item,) = bench.put
    assert (item.key, item.bytes, item.md5) == (KEY, film.bytes, film.md5)
    assert (film.duration_90k, film.error) == (6 * S, "")
    assert len(Shown(item.path).pictures) == 90
    for s in bench.slices:
        assert s.path.exists()
        bench.shelf.passed(s.path.name, STORE)
        assert not s.path.exists()
    bench.shelf.passed(KEY, STORE)
    assert not item.path.exists()


def test_what_another_disk_had_is_read_back_from_the_store(bench: Bench) -> None:
    bench.slices[0].path.unlink()
    bench.slices[2].path.unlink()
    film = bench.work()
    assert (film.duration_90k, film.error) == (6 * S, "")
    assert [n for _, n in Shown(bench.put[0].path).pictures] == list(range(90))
    assert not list(bench.spool.folder.glob("loan*"))


def test_no_more_is_read_back_than_was_uploaded(bench: Bench) -> None:
    read: list[int] = []

    class Swollen(Memory):
        def get_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            body = super().get_range(key)
            read.append(len((body + bytes(1 << 20))[start:end]))
            return body

    whole, bench.store = bench.store, Swollen()
    assert isinstance(whole, Memory) and isinstance(bench.store, Memory)
    bench.store._objects = whole._objects
    bench.slices[1].path.unlink()
    bench.work()
    assert read == [bench.slices[1].bytes + 1]


def faulty(bench: Bench, faults: Callable[[str, str], StorageError | None], *, reads: bool = True) -> None:
    whole = bench.store
    bench.store = Memory(faults, StoreCaps(reads=reads, deletes=True, presigns=False))
    assert isinstance(whole, Memory)
    bench.store._objects = whole._objects


def test_a_store_that_is_down_is_waited_for(bench: Bench) -> None:
    asked = iter(range(1_000))
    faulty(bench, lambda op, _key: StoreUnavailable("down") if op == "get_range" and next(asked) < 6 else None)
    bench.slices[1].path.unlink()
    film = bench.work()
    assert (film.duration_90k, film.error) == (6 * S, "")
    assert len(bench.troubles) == 6


def test_a_store_that_stays_down_or_gives_nothing_back_costs_those_seconds_and_it_is_said(bench: Bench) -> None:
    faulty(bench, lambda op, _key: StoreUnavailable("down") if op == "get_range" else None)
    bench.slices[1].path.unlink()
    film = bench.work()
    assert film.duration_90k == 4 * S
    assert film.error == "2.0 s in 1 segments could not be read back and are left out"
    assert 60 < bench.waited_s < 1_800


def test_a_key_that_may_only_put_is_not_asked(bench: Bench) -> None:
    faulty(bench, lambda op, key: pytest.fail(f"{op} {key}") if op == "get_range" else None, reads=False)
    for s in bench.slices:
        s.path.unlink()
    film = bench.work()
    assert (film.file, film.bytes, film.error) == ("", 0, "not one of its segments could be read back")
    assert bench.put == []


def test_other_bytes_than_were_recorded_are_never_in_a_film(bench: Bench) -> None:
    bench.slices[1].path.unlink()
    wanted = [
        shot.model_copy(update={"md5": "0" * 32}) if n == 1 else shot for n, shot in enumerate(shots(bench.slices))
    ]
    assert bench.work(wanted).duration_90k == 4 * S


def test_a_later_process_puts_what_an_earlier_one_has_made_and_makes_it_not_again(bench: Bench) -> None:
    first = bench.work()
    made_ns = bench.put[0].path.stat().st_mtime_ns
    (bench.spool.folder / "half.mp4.making").write_bytes(b"a killed one's")
    bench.shelf = Shelf(bench.spool.folder)
    again = bench.work()
    assert again == first
    assert [item.key for item in bench.put] == [KEY, KEY]
    assert bench.put[1].path.stat().st_mtime_ns == made_ns
    assert not list(bench.spool.folder.glob("*.making"))
    bench.spool.append(journal.Stored(key=KEY))
    bench.shelf = Shelf(bench.spool.folder)
    bench.work()
    assert len(bench.put) == 2, "the store has it"
