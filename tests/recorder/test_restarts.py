"""A recorder dies and another goes on in its spool: one clock, one playlist, and what is missing is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from farm.judge.structure import structure_of
from models.vocabulary import journal
from models.vocabulary.ticks import frame_tick
from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder.aftermath import start_of
from workers.recorder.clock import VIRTUAL_START_MS, VirtualClock, run_virtual
from workers.spool import Spool


def killed(run: Run, at_s: float, spool: Path) -> None:
    """Run a recorder, and keep its spool as it was at a time: all that a SIGKILL would have left."""

    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(at_s)
        shutil.copytree(run.spool, spool)
        run.keeper.hang_up()

    run.record(act)


def resumed(run: Run, at_s: float) -> Run:
    """Another process in the spool, `at_s` after the recording was opened."""

    async def main(clock: VirtualClock) -> None:
        head = max((s.end_90k for s in run.keeper.slices.values()), default=0)
        t0_ms, opened_ms = run.keeper.t0_ms, VIRTUAL_START_MS
        run.code = await run.recorder(clock, opened_ms=opened_ms, t0_ms=t0_ms, resume_at_90k=head).run()

    run_virtual(main, start_wall_ms=VIRTUAL_START_MS + round(at_s * 1000))
    return run


def restarted(folder: Path, *, dies_s: float, back_s: float, length_s: int = 24, **fields: object) -> Run:
    run = Run(folder, spec(scene(folder, user("a"), user("b"), duration_s=length_s), **fields))
    second = Run(folder, run.spec)
    second.spool = second.keeper.folder = folder / "copy"
    second.keeper._spool = Spool(second.spool)
    killed(run, dies_s, second.spool)
    entries = Spool(second.spool).read()
    stored = {Path(entry.key).name for _, entry in entries if isinstance(entry, journal.Stored)}
    for path in run.out.glob("*"):  # what the first one did afterwards never happened
        if path.name not in stored:
            path.unlink()
    second.keeper._commit(entries[-1][0])
    return resumed(second, back_s)


#: Longer than a worker takes to fork another recorder and this one to join.
AWAY_S = 1.0


@pytest.mark.parametrize("dies_s", [3.0, 6.5, 9.02, 11.3])
def test_killed_in_the_middle_of_a_slice_it_goes_on_with_a_hole_that_is_declared(tmp_path: Path, dies_s: float) -> None:
    run = restarted(tmp_path, dies_s=dies_s, back_s=dies_s + AWAY_S)
    verdict = run.judge()
    assert (run.code, verdict.violations) == (0, ())
    (hole,) = verdict.holes
    assert hole[1] - hole[0] <= 3.0
    assert hole[1] == pytest.approx(dies_s + AWAY_S, abs=0.1)
    (gap,) = run.keeper.gaps
    assert (gap.start_90k, gap.end_90k) == (round(hole[0] * 90_000), round(hole[1] * 90_000))
    assert verdict.frames == 24 * 15 - round((hole[1] - hole[0]) * 15)
    assert run.playlist.read_text().count("#EXT-X-DISCONTINUITY") == 1
    assert not [*run.spool.glob("*.part"), *run.spool.glob("*.recovered*"), *run.spool.glob("*.broken")]


def test_sound_alone_is_recovered_too(tmp_path: Path) -> None:
    run = restarted(tmp_path, dies_s=8.5, back_s=9.0, stream_types=0)
    assert (run.code, run.keeper.warnings) == (0, [])
    starts = sorted(s.start_90k for s in run.keeper.slices.values())
    assert starts[:2] == [0, 540_000]
    (gap,) = run.keeper.gaps
    assert gap.end_90k - gap.start_90k < 90_000 * 2
    audio = [t for it in structure_of(run.playlist).placed for t in it.audio_90k]
    assert audio == sorted(set(audio))
    assert len(audio) >= (24 - 2) * 46


@pytest.mark.parametrize("fps", [1, 7, 30])
def test_other_frame_rates_go_on_too(tmp_path: Path, fps: int) -> None:
    run = restarted(tmp_path, dies_s=10.4, back_s=11.4, fps=fps)
    verdict = run.judge()
    assert (run.code, verdict.violations, len(verdict.holes)) == (0, (), 1)


def test_a_torn_journal_line_is_no_entry(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=20)))
    second = Run(tmp_path, run.spec)
    second.spool = second.keeper.folder = tmp_path / "copy"
    second.keeper._spool = Spool(second.spool)
    killed(run, 8, second.spool)
    with (second.spool / "journal").open("ab") as file:
        file.write(b'{"type":"slice","track":"mix","start_9')
    second.keeper._commit(Spool(second.spool).read()[-1][0])
    resumed(second, 9)
    assert (second.code, second.judge().violations) == (0, ())
    assert len(second.judge().holes) == 1


@pytest.mark.parametrize("content", [b"", b"G" * 100, b"\x00" * 188 * 20])
def test_a_part_with_nothing_in_it_is_no_slice(tmp_path: Path, content: bytes) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=14)))
    second = Run(tmp_path, run.spec)
    second.spool = second.keeper.folder = tmp_path / "copy"
    second.keeper._spool = Spool(second.spool)
    killed(run, 8, second.spool)
    (part,) = second.spool.glob("*.part")
    part.write_bytes(content)
    second.keeper._commit(Spool(second.spool).read()[-1][0])
    resumed(second, 9)
    assert (second.code, second.judge().violations) == (0, ())
    (hole,) = second.judge().holes
    assert hole == pytest.approx((6.0, 9.0), abs=0.1)
    assert second.judge().frames == 6 * 15 + 5 * 15


def test_a_slice_that_was_renamed_but_not_journalled_is_not_lost(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=20)))
    second = Run(tmp_path, run.spec)
    second.spool = second.keeper.folder = tmp_path / "copy"
    second.keeper._spool = Spool(second.spool)
    killed(run, 13.9, second.spool)
    lines = (second.spool / "journal").read_bytes().splitlines(True)
    last = max(n for n, line in enumerate(lines) if b'"type":"slice"' in line)
    name = Path(json.loads(lines[last])["key"]).name
    shutil.copy(run.out / name, second.spool / name)  # its store had it already
    (second.spool / "journal").write_bytes(b"".join(lines[:last]))
    for part in second.spool.glob("*.part"):
        part.unlink()
    second.keeper._commit(Spool(second.spool).read()[-1][0])
    resumed(second, 15)
    verdict = second.judge()
    assert (second.code, verdict.violations) == (0, ())
    (hole,) = verdict.holes
    assert hole[0] >= 11.8  # but for the slice's last frame, which nothing proves


def test_a_part_whose_slice_is_in_the_journal_is_done_with(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=20)))
    second = Run(tmp_path, run.spec)
    second.spool = second.keeper.folder = tmp_path / "copy"
    second.keeper._spool = Spool(second.spool)
    killed(run, 8, second.spool)
    (stored,) = second.keeper._spool.read()[-1:]
    assert isinstance(stored[1], journal.Stored)
    name = Path(stored[1].key).name
    shutil.copy(run.out / name, second.spool / f"{name}.part")
    second.keeper._commit(Spool(second.spool).read()[-1][0])
    resumed(second, 9)
    assert (second.code, second.judge().violations) == (0, ())


def test_killed_before_the_first_unit_nothing_is_missing(tmp_path: Path) -> None:
    late = user("a", (5, "join"), (5, "publish"))
    run = Run(tmp_path, spec(scene(tmp_path, late, duration_s=12)))
    second = Run(tmp_path, run.spec)
    second.spool = second.keeper.folder = tmp_path / "copy"
    second.keeper._spool = Spool(second.spool)
    killed(run, 2, second.spool)
    resumed(second, 3)
    assert (second.code, second.judge().violations, second.judge().holes) == (0, (), ())
    assert (second.judge().frames, second.keeper.gaps) == (7 * 15, [])


def test_a_name_tells_where_its_slice_begins() -> None:
    from models.vocabulary import keys

    for fps in (1, 7, 15, 24, 30, 60):
        for n in (0, 1, 2, 6, 7, 89, 90, 91, 12_345, 999_999):
            for epoch in (1, 7, 1_003):
                tick = frame_tick(n, fps)
                name = keys.segment_key((), "s", "c", VIRTUAL_START_MS + 17, tick, epoch)
                assert start_of(f"{name}.part", t0_ms=VIRTUAL_START_MS + 17, epoch=epoch, fps=fps) == tick
    assert start_of("nonsense.ts.part", t0_ms=0, epoch=1, fps=15) is None


def test_a_journal_is_read_on_from_where_it_was_left(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path), Spool(tmp_path)
    for n in range(1, 6):
        assert writer.append(journal.Stored(key=f"k{n}")) == n
    assert [n for n, _ in reader.entries(after=0)] == [1, 2, 3, 4, 5]
    assert [n for n, _ in reader.entries(after=3)] == [4, 5]
    with writer.journal.open("ab") as file:
        file.write(b'{"type":"stor')
    assert [n for n, _ in reader.entries(after=3)] == [4, 5]
    again = Spool(tmp_path)
    again.read()
    assert again.append(journal.Stored(key="k7")) == 7  # the torn line is the sixth
    assert [(n, e.key) for n, e in reader.entries(after=5) if isinstance(e, journal.Stored)] == [(7, "k7")]
    assert [n for n, _ in reader.entries(after=7)] == []
    assert [n for n, _ in reader.entries(after=99)] == []
    assert [n for n, _ in reader.entries(after=4)] == [5, 7]
