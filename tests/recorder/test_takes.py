"""Scripted scenes on the virtual clock, judged by the files they leave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from farm.judge.sounds import stretches
from farm.judge.structure import structure_of
from models.vocabulary import pipe
from models.vocabulary.ticks import TICKS_PER_S, audio_frame_from, frame_tick
from tests.recorder.virtual import Run, finish_at, scene, spec, user
from workers.recorder.clock import VirtualClock


def clean(run: Run, frames: int) -> None:
    """All is there, in order, and by the rules."""
    verdict = run.judge()
    assert (verdict.violations, verdict.holes, verdict.frames) == ((), (), frames)
    assert run.code == 0
    assert run.keeper.faults == []


def audio_frames(run: Run) -> list[int]:
    return [t for it in structure_of(run.playlist).placed for t in it.audio_90k]


def test_a_scene_is_recorded_to_the_frame_and_to_the_sample(tmp_path: Path) -> None:
    channel = scene(tmp_path, user("a"), user("b", (2, "join"), (2, "publish"), (7, "leave")), duration_s=10)
    run = Run(tmp_path, spec(channel)).record()
    clean(run, 150)
    assert run.reason == "closed"
    assert audio_frames(run) == [1_920 * j for j in range(audio_frame_from(10 * TICKS_PER_S))]
    assert [int(s) for s in run.keeper.statuses] == [2, 3, 4]


@pytest.mark.parametrize("fps", [1, 7, 30])
def test_every_frame_rate_fills_its_grid(tmp_path: Path, fps: int) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=7), fps=fps)).record()
    clean(run, 7 * fps)


def test_slices_are_as_long_as_was_asked_for(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=9), slice_s=2)).record()
    clean(run, 135)
    assert sorted(s.end_90k - s.start_90k for s in run.keeper.slices.values()) == [90_000] + 4 * [180_000]


def test_the_clock_begins_with_the_first_unit(tmp_path: Path) -> None:
    late = user("a", (3, "join"), (5, "publish"))
    run = Run(tmp_path, spec(scene(tmp_path, late, duration_s=12))).record()
    clean(run, 7 * 15)
    assert run.keeper.t0_ms is not None and run.keeper.t0_ms % 60_000 == 5_000


def test_nobody_comes_and_nothing_is_cut(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path), max_idle_s=5)).record()
    assert (run.code, run.reason, run.head_90k, run.keeper.slices) == (0, "idle", 0, {})
    assert not run.playlist.exists()


def test_everybody_leaves_and_the_background_is_recorded_until_it_is_idle(tmp_path: Path) -> None:
    gone = user("a", (0, "join"), (0, "publish"), (4, "leave"))
    run = Run(tmp_path, spec(scene(tmp_path, gone), max_idle_s=5)).record()
    assert run.reason == "idle"
    frames = run.head_90k * 15 // TICKS_PER_S
    assert 9 * 15 <= frames <= 9 * 15 + 2
    clean(run, frames)


def test_stopped_before_anybody_published_nothing_is_recorded(tmp_path: Path) -> None:
    late = user("a", (0, "join"), (30, "publish"))
    run = Run(tmp_path, spec(scene(tmp_path, late))).record(finish_at(3))
    assert (run.code, run.reason, run.head_90k, run.keeper.slices) == (0, "finish", 0, {})


@pytest.mark.parametrize("at_s", [0.0, 0.04, 0.9, 5.0, 5.99, 6.0])
def test_a_stop_ends_where_it_was_called(tmp_path: Path, at_s: float) -> None:
    """Also at the very moment at which the first unit comes: a take that has been told to end must not begin."""
    run = Run(tmp_path, spec(scene(tmp_path, user("a")))).record(finish_at(at_s))
    assert (run.code, run.reason) == (0, "finish")
    frames = run.head_90k * 15 // TICKS_PER_S
    assert frames <= at_s * 15 + 2
    if frames > 2:  # of less the judge cannot tell the frame rate
        clean(run, frames)


def test_a_stop_that_comes_with_the_beginning_is_not_lost(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"))))
    run.keeper.say(pipe.Finish())
    run.record()
    assert (run.code, run.reason, run.keeper.slices) == (0, "finish", {})


def test_a_resumed_take_that_is_told_to_end_at_once_ends(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"))))
    run.keeper.say(pipe.Finish())
    run.record(t0_ms=1_767_225_600_000, resume_at_90k=9_000)
    assert (run.code, run.reason, run.keeper.slices) == (0, "finish", {})


def test_a_cut_ends_at_its_edge_and_a_later_stop_does_not_lengthen_it(tmp_path: Path) -> None:
    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(2)
        run.keeper.say(pipe.Cut(at_90k=6 * TICKS_PER_S))
        await clock.sleep_until(6.5)  # the edge has passed, its last frames wait for their delay
        run.keeper.say(pipe.Finish())

    run = Run(tmp_path, spec(scene(tmp_path, user("a")))).record(act)
    clean(run, 90)


def test_what_cannot_be_decoded_is_left_out_and_said(tmp_path: Path) -> None:
    bad = user("b", (0, "join"), (0, "publish"), {"at_s": 0, "do": "corrupt", "what": ["video"]})
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), bad, duration_s=40))).record()
    clean(run, 600)
    assert len(run.keeper.warnings) == 1
    assert "cannot be decoded" in run.keeper.warnings[0]


def test_sound_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=9), stream_types=0)).record()
    assert (run.judge().holes, run.code) == ((), 0)
    count = audio_frame_from(9 * TICKS_PER_S)
    assert audio_frames(run) == [1_920 * j for j in range(count)]
    (whole,) = [sound for _, sound in stretches([it.listed.path for it in structure_of(run.playlist).placed])]
    assert len(whole) == count * 1024


def test_pictures_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=7), stream_types=1)).record()
    clean(run, 105)
    assert audio_frames(run) == []


def test_who_is_not_subscribed_does_not_start_the_clock(tmp_path: Path) -> None:
    channel = scene(tmp_path, user("a"), user("b", (3, "join"), (3, "publish")), duration_s=10)
    only = {"rule": "only", "uids": ("b",)}
    clean(Run(tmp_path, spec(channel, audio_from=only, video_from=only)).record(), 7 * 15)


def test_a_subscription_may_change_in_the_middle(tmp_path: Path) -> None:
    channel = scene(tmp_path, user("a"), user("b"), duration_s=8)

    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(3)
        none = run.spec.model_copy(update={"video_from": run.spec.video_from.model_copy(update={"rule": "none"})})
        run.keeper.say(pipe.Spec(gen=2, spec=none))

    clean(Run(tmp_path, spec(channel)).record(act), 120)


def test_two_recordings_of_one_scene_have_the_same_clock(tmp_path: Path) -> None:
    channel = scene(tmp_path, user("a", (1, "join"), (1, "publish")), duration_s=7)
    first, second = (Run(tmp_path / name, spec(channel)).record(opened_ms=1_767_225_600_000) for name in "ab")
    assert first.keeper.t0_ms == second.keeper.t0_ms
    assert {(s.start_90k, s.end_90k) for s in first.keeper.slices.values()} == {
        (s.start_90k, s.end_90k) for s in second.keeper.slices.values()
    }


def test_a_channel_that_breaks_ends_the_recorder_loudly(tmp_path: Path) -> None:
    """Deaf, it would record a frozen picture for ever."""
    from workers.recorder.capture.scripted import ScriptedChannel

    run = Run(tmp_path, spec(scene(tmp_path, user("a"))))

    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(3)
        told[0]._news.fail(RuntimeError("boom"))

    told: list[ScriptedChannel] = []

    async def main(clock: VirtualClock) -> int:
        recorder = run.recorder(clock)

        def opened(address: str, clock_: object) -> ScriptedChannel:
            told.append(ScriptedChannel(clock, Path(address.removeprefix("scripted:"))))
            return told[0]

        recorder._open_channel = opened
        acting = asyncio.ensure_future(act(run, clock))
        code = await recorder.run()
        await acting
        return code

    from workers.recorder.clock import run_virtual

    assert run_virtual(main) == 4
    (fault,) = run.keeper.faults
    assert fault.fatal and "RuntimeError" in fault.text
    assert list(run.spool.glob("*.part"))  # the next process recovers it


def test_a_broken_message_loop_ends_the_recorder_loudly(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"))))

    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(2)
        run.keeper.say(pipe.Committed.model_construct(n="x"))  # type: ignore[arg-type]  # as a bug would

    run.record(act)
    assert run.code == 4
    assert [f.fatal for f in run.keeper.faults] == [True]


def test_when_the_worker_hangs_up_the_slice_is_closed(tmp_path: Path) -> None:
    async def act(run: Run, clock: VirtualClock) -> None:
        await clock.sleep_until(8)
        run.keeper.hang_up()

    run = Run(tmp_path, spec(scene(tmp_path, user("a")))).record(act)
    assert (run.code, run.reason) == (5, "stdin")
    assert max(s.end_90k for s in run.keeper.slices.values()) == run.head_90k
    assert run.head_90k == pytest.approx(frame_tick(8 * 15, 15), abs=2 * 6_000)
    assert not list(run.spool.glob("*.part"))
