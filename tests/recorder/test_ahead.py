"""What the next film will begin with is on a reel before it is ordered: little is left to do then, whatever went wrong before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from models.settings import settings
from models.vocabulary import journal, pipe
from models.vocabulary.errors import StorageError, StoreUnavailable
from models.vocabulary.film import Shot
from stores.memory import Memory
from tests.recorder.test_film import Shown, shots
from tests.recorder.test_studio import KEY, Bench, S
from tests.segment.scripted import spec
from workers.recorder.clock import VirtualClock, run_virtual
from workers.recorder.film import film
from workers.recorder.film.footage import Footage
from workers.recorder.shelf import STORE

Said = list[pipe.Rushes | pipe.Film]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "spool").mkdir()
    return Bench(tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of shots, as they are read."""
    seen: list[str] = []
    path = Footage.path

    def noted(self: Footage, shot: Shot, *, patient: bool) -> Path | None:
        seen.append(shot.key)
        return path(self, shot, patient=patient)

    monkeypatch.setattr(Footage, "path", noted)
    return seen


def work(bench: Bench, said: Said, between: Callable[[pipe.Rushes | pipe.Film], None] = lambda _: None) -> journal.Film:
    """Say all of it, each once the one before is done."""

    async def main(clock: VirtualClock) -> None:
        studio = bench.studio(clock)
        for s in bench.slices:
            bench.shelf.add(s.path.name, s.path.name)
        studio.remember()
        studio.open(bench.store, bench.put.append)
        working = asyncio.ensure_future(studio.run())
        for message in said:
            between(message)
            studio.order(message)
            await clock.sleep_until(clock.now() + 5)
        while not bench.films():
            assert clock.now() < 3_600
            await clock.sleep_until(clock.now() + 1)
        working.cancel()

    run_virtual(main)
    (made,) = bench.films()
    return made


def rushes(n: int, *told: Shot) -> pipe.Rushes:
    return pipe.Rushes(n=n, shots=told)


def ordered(bench: Bench, wanted: list[Shot]) -> pipe.Film:
    return pipe.Film(key=KEY, start_90k=0, end_90k=6 * S, shots=tuple(wanted))


def in_one_go(bench: Bench, wanted: list[Shot]) -> bytes:
    out = bench.spool.folder.parent / "whole.mp4"
    where = {s.path.name: s.path for s in bench.slices}
    assert film.make(wanted, out, spec(), lambda shot: where[shot.key], rest=lambda: None) is not None
    return out.read_bytes()


def test_once_it_is_ordered_only_what_is_new_is_read_and_the_film_is_the_same(bench: Bench, read: list[str]) -> None:
    first, second, third = wanted = shots(bench.slices)
    whole = in_one_go(bench, wanted)

    def look(message: pipe.Rushes | pipe.Film) -> None:
        if isinstance(message, pipe.Film):
            assert read == [first.key, second.key]
            read.clear()

    work(bench, [rushes(0, first), rushes(1, second), ordered(bench, wanted)], look)
    assert read == [third.key]
    (item,) = bench.put
    assert item.path.read_bytes() == whole
    assert not list(bench.spool.folder.glob("*.making"))


def test_a_hole_behind_what_was_told_is_cut_out_all_the_same(bench: Bench) -> None:
    first, _, third = shots(bench.slices)
    whole = in_one_go(bench, [first, third])
    work(bench, [rushes(0, first), rushes(1, third), ordered(bench, [first, third])])
    assert bench.put[0].path.read_bytes() == whole


def test_a_film_that_begins_otherwise_is_made_from_its_own_shots(bench: Bench) -> None:
    _, second, third = wanted = shots(bench.slices)
    whole = in_one_go(bench, wanted)
    work(bench, [rushes(0, second, third), ordered(bench, wanted)])
    assert bench.put[0].path.read_bytes() == whole
    assert not list(bench.spool.folder.glob("*.making"))


def test_what_was_told_may_begin_anew(bench: Bench, read: list[str]) -> None:
    first, second, third = wanted = shots(bench.slices)
    work(bench, [rushes(0, second), rushes(0, first, second), rushes(7, third), ordered(bench, wanted)])
    assert read == [second.key, first.key, second.key, third.key]
    assert len(Shown(bench.put[0].path).pictures) == 90


def test_a_store_that_is_away_is_asked_again_with_what_comes_next(bench: Bench) -> None:
    first, second, _ = wanted = shots(bench.slices)
    away = iter([True, False])
    whole = bench.store
    assert isinstance(whole, Memory)

    def faults(operation: str, _key: str) -> StorageError | None:
        return StoreUnavailable("away") if operation == "get_range" and next(away, False) else None

    bench.store = Memory(faults)
    bench.store._objects = whole._objects
    bench.slices[0].path.unlink()
    made = work(bench, [rushes(0, first), rushes(1, second), ordered(bench, wanted)])
    assert (made.duration_90k, made.error, bench.troubles) == (6 * S, "", [])


@pytest.mark.parametrize("comes_back", [False, True])
def test_what_nobody_has_is_left_out_unless_it_can_be_had_in_the_end(bench: Bench, comes_back: bool) -> None:
    first, second, third = wanted = shots(bench.slices)
    away = bench.slices[1].path.read_bytes()
    bench.slices[1].path.unlink()
    bench.store.delete(second.key)

    def look(message: pipe.Rushes | pipe.Film) -> None:
        if comes_back and isinstance(message, pipe.Film):
            bench.slices[1].path.write_bytes(away)

    made = work(bench, [rushes(0, first, second), rushes(2, third), ordered(bench, wanted)], look)
    shown = [n for n in range(90) if comes_back or not 30 <= n < 60]
    assert [n for _, n in Shown(bench.put[0].path).pictures] == shown
    assert made.error == ("" if comes_back else "2.0 s in 1 segments could not be read back and are left out")
    assert not list(bench.spool.folder.glob("*.making"))


def test_a_damaged_slice_costs_the_lead_and_is_told_when_the_film_is_due(bench: Bench) -> None:
    first, second, third = wanted = shots(bench.slices)
    sound = bench.slices[1].path.read_bytes()
    bench.slices[1].path.write_bytes(b"nothing of the kind")

    def look(message: pipe.Rushes | pipe.Film) -> None:
        if isinstance(message, pipe.Film):
            assert bench.troubles == []
            assert not list(bench.spool.folder.glob("*.making"))
            bench.slices[1].path.write_bytes(sound)

    made = work(bench, [rushes(0, first, second), rushes(2, third), ordered(bench, wanted)], look)
    assert made.duration_90k == 6 * S


def test_a_disk_with_little_room_is_left_to_the_slices(
    bench: Bench, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = wanted = shots(bench.slices)
    monkeypatch.setattr(settings(), "spool_low_bytes", 1 << 60)

    def look(message: pipe.Rushes | pipe.Film) -> None:
        assert read == []

    made = work(bench, [rushes(0, first), rushes(1, second), ordered(bench, wanted)], look)
    assert made.duration_90k == 6 * S


def test_slices_of_which_another_tenure_has_made_the_film_go(bench: Bench) -> None:
    first, second, third = (s.path for s in bench.slices)

    async def main(clock: VirtualClock) -> None:
        studio = bench.studio(clock)
        for s in bench.slices:
            bench.shelf.add(s.path.name, s.path.name)
            bench.shelf.passed(s.path.name, STORE)
        studio.done_with(0, 4 * S)

    run_virtual(main)
    assert (first.exists(), second.exists(), third.exists()) == (False, False, True)
