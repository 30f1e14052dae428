"""A disk that is full under a recording costs the slices that it is full under, and nothing else."""

from __future__ import annotations

import errno
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from models.vocabulary import journal
from models.vocabulary.errors import DiskFull
from tests.recorder.test_restarts import restarted
from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder import past
from workers.recorder.clock import VirtualClock
from workers.recorder.segment import slices
from workers.spool import Spool


class Disk:
    """The spool's file system, full between two times: under media, under the journal, or under both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock: VirtualClock | None = None
        self.times: tuple[float, float] = (0, 0)
        self.hits = 0
        self._media, self._append = slices.HashedFile._write, Spool.append
        monkeypatch.setattr(slices.HashedFile, "_write", self._guarded(self._media))

    def _guarded(self, write: Callable[..., None]) -> Callable[..., None]:
        def guarded(file: object, rest: memoryview) -> None:
            if self.is_full:
                self.hits += 1
                raise OSError(errno.ENOSPC, "no space")
            write(file, rest)

        return guarded

    @property
    def is_full(self) -> bool:
        return self.clock is not None and self.times[0] <= self.clock.now() < self.times[1]

    async def __call__(self, run: Run, clock: VirtualClock) -> None:
        self.clock = clock


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_one_slice_is_lost_where_the_disk_was_full_in_its_middle(tmp_path: Path, disk: Disk) -> None:
    disk.times = (14, 15)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=40))).record(disk)
    verdict = run.judge()
    assert disk.hits
    assert (run.code, verdict.violations) == (0, ())
    assert [pytest.approx(hole) for hole in verdict.holes] == [(12.0, 18.0)]
    assert [(g.start_90k, g.end_90k, g.cause) for g in run.keeper.gaps] == [
        (12 * 90_000, 18 * 90_000, "the disk was full")
    ]
    assert verdict.frames == (40 - 6) * 15
    assert [fault.fatal for fault in run.keeper.faults] == [False]
    assert not list(run.spool.glob("*.part"))


def test_it_records_on_whenever_there_is_room_again(tmp_path: Path, disk: Disk) -> None:
    disk.times = (9, 29)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=40))).record(disk)
    verdict = run.judge()
    assert (run.code, verdict.violations) == (0, ())
    assert [pytest.approx(hole) for hole in verdict.holes] == [(6.0, 30.0)]
    assert verdict.frames == (40 - 24) * 15


def test_a_slice_that_is_full_at_its_end_leaves_an_end(tmp_path: Path, disk: Disk) -> None:
    disk.times = (38.5, 99)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=40))).record(disk)
    assert (run.code, run.judge().violations) == (0, ())
    assert [(g.start_90k, g.end_90k) for g in run.keeper.gaps] == [(36 * 90_000, 40 * 90_000)]


def test_facts_wait_for_room_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal alone is full: no slice is lost for it."""
    clocks: list[VirtualClock] = []
    append = Spool.append

    def full(spool: Spool, entry: object) -> int:
        if clocks and 10 <= clocks[0].now() < 22:
            raise DiskFull
        return append(spool, entry)  # type: ignore[arg-type]  # what it was given

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)

    monkeypatch.setattr(Spool, "append", full)
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=40))).record(act)
    verdict = run.judge()
    assert (run.code, verdict.violations, verdict.holes) == (0, (), ())
    assert verdict.frames == 40 * 15


def test_an_entry_that_found_no_room_leaves_nothing_of_it(tmp_path: Path) -> None:
    """With a bound on the size of files, as a quota sets it, the write itself tears the line."""
    spool = Spool(tmp_path)
    spool.append(journal.Stored(key="a"))
    before = spool.journal.read_bytes()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(DiskFull):
            spool.append(journal.Stored(key="b" * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert spool.journal.read_bytes() == before
    assert spool.append(journal.Stored(key="c")) == 2
    assert [n for n, _ in Spool(tmp_path).entries()] == [1, 2]


def test_what_finds_no_room_to_be_recovered_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DiskFull

    monkeypatch.setattr(past, "recover", full)
    run = restarted(tmp_path, dies_s=9.0, back_s=10.0)
    verdict = run.judge()
    assert (run.code, verdict.violations) == (0, ())
    assert [pytest.approx(hole, abs=0.1) for hole in verdict.holes] == [(6.0, 10.0)]
    assert [fault.fatal for fault in run.keeper.faults] == [False]
