"""When a take is on hold, on the virtual clock and to the frame: from a slot's edge to a slot's edge, in the channel all along."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import pipe, playlist
from models.vocabulary.ticks import TICKS_PER_S, slot_ticks
from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder.clock import VIRTUAL_START_MS, VirtualClock, run_virtual
from workers.recorder.pause import Pause
from workers.recorder.programme import Programme
from workers.spool import Spool

S = TICKS_PER_S
Step = tuple[float, pipe.Down]


def steps(*told: Step) -> Callable[[Run, VirtualClock], Awaitable[None]]:
    async def act(run: Run, clock: VirtualClock) -> None:
        for at_s, message in told:
            await clock.sleep_until(at_s)
            run.keeper.say(message)

    return act


def hold(at_s: float) -> Step:
    return at_s, pipe.Hold(on=True)


def resume(at_s: float) -> Step:
    return at_s, pipe.Hold(on=False)


def pauses(run: Run) -> list[tuple[float, float]]:
    return [(p.start_90k / S, p.end_90k / S) for p in run.keeper.pauses]


def a_call(folder: Path, length_s: int = 24, **fields: object) -> Run:
    return Run(folder, spec(scene(folder, user("a"), user("b"), duration_s=length_s), slice_s=2, **fields))


def test_a_hold_begins_and_ends_at_slot_edges_and_the_hole_is_declared(tmp_path: Path) -> None:
    run = a_call(tmp_path).record(steps(hold(5.1), resume(12.3)))
    verdict = run.judge()
    assert (run.code, run.reason, verdict.violations, run.keeper.faults) == (0, "closed", (), [])
    assert pauses(run) == [(6.0, 14.0)]
    assert verdict.holes == ((6.0, 14.0),)
    assert verdict.frames == (24 - 8) * 15
    assert run.keeper.gaps == []


def test_the_playlist_has_a_discontinuity_and_the_right_time_of_day_behind_the_hole(tmp_path: Path) -> None:
    run = a_call(tmp_path).record(steps(hold(5.1), resume(12.3)))
    assert run.keeper.t0_ms is not None
    lines = run.playlist.read_text().splitlines()
    at = lines.index("#EXT-X-DISCONTINUITY")
    assert lines.count("#EXT-X-DISCONTINUITY") == 1
    assert lines[at + 1] == f"#EXT-X-PROGRAM-DATE-TIME:{playlist.program_date_time(run.keeper.t0_ms + 14_000)}"
    assert sum(line.startswith("#EXTINF:") for line in lines[:at]) == 3
    assert lines[-1] == "#EXT-X-ENDLIST"


@pytest.mark.parametrize("fields", [{"stream_types": 0}, {"stream_types": 1}, {"fps": 7}])
def test_sound_alone_pictures_alone_and_odd_rates_are_held_too(tmp_path: Path, fields: dict[str, int]) -> None:
    run = a_call(tmp_path, 16, **fields).record(steps(hold(3), resume(8.9)))
    assert (run.code, pauses(run)) == (0, [(4.0, 10.0)])
    kept = [(s.start_90k, s.end_90k) for s in run.keeper.slices.values()]
    assert all(end <= 4 * S or start >= 10 * S for start, end in kept)
    assert sum(end - start for start, end in kept) == pytest.approx(10 * S, abs=2_000)


def test_a_hold_that_is_taken_back_before_its_edge_leaves_no_hole(tmp_path: Path) -> None:
    run = a_call(tmp_path, 12).record(steps(hold(4.2), resume(5.7)))
    assert (pauses(run), run.judge().holes, run.judge().frames) == ([], (), 12 * 15)


def test_a_resume_that_is_taken_back_before_its_edge_leaves_one_hole(tmp_path: Path) -> None:
    run = a_call(tmp_path, 20).record(steps(hold(3), resume(8.6), hold(9.1), resume(13.1)))
    assert (pauses(run), run.judge().holes) == ([(4.0, 14.0)], ((4.0, 14.0),))
    assert run.judge().violations == ()


def test_it_may_be_held_again_and_again(tmp_path: Path) -> None:
    told = [step for at in (3, 9, 15) for step in (hold(at), resume(at + 2.2))]
    run = a_call(tmp_path, 24).record(steps(*told))
    assert pauses(run) == [(4.0, 6.0), (10.0, 12.0), (16.0, 18.0)]
    assert run.judge().holes == ((4.0, 6.0), (10.0, 12.0), (16.0, 18.0))
    assert (run.judge().violations, run.judge().frames) == ((), 18 * 15)


def test_told_twice_is_told_once(tmp_path: Path) -> None:
    run = a_call(tmp_path, 16).record(steps(resume(1), hold(3), hold(5), resume(7), resume(7.2)))
    assert pauses(run) == [(4.0, 8.0)]


@pytest.mark.parametrize("at_s", [3.1, 3.95, 4.5, 9.0])
def test_a_stop_on_hold_ends_in_order_where_the_hold_began(tmp_path: Path, at_s: float) -> None:
    run = a_call(tmp_path).record(steps(hold(3), (at_s, pipe.Finish())))
    assert (run.code, run.reason, pauses(run)) == (0, "finish", [])
    assert run.head_90k <= 4 * S
    assert run.head_90k == 4 * S or at_s < 4
    assert (run.judge().violations, run.judge().holes) == ((), ())


def test_a_stop_between_a_resume_and_its_edge_ends_where_the_hold_began(tmp_path: Path) -> None:
    run = a_call(tmp_path).record(steps(hold(3), resume(8.2), (9.0, pipe.Finish())))
    assert (run.code, run.head_90k, pauses(run)) == (0, 4 * S, [])
    assert not list(run.spool.glob("*.part"))


def test_a_stop_just_behind_a_resumes_edge_keeps_what_came_since(tmp_path: Path) -> None:
    run = a_call(tmp_path).record(steps(hold(3), resume(8.2), (10.4, pipe.Finish())))
    assert (run.code, pauses(run), run.judge().violations) == (0, [(4.0, 10.0)], ())
    assert run.head_90k == pytest.approx(10.4 * S, abs=6_000)


def test_who_leaves_the_recording_on_hold_leaves_at_once(tmp_path: Path) -> None:
    run = a_call(tmp_path).record(steps(hold(3), (9.0, pipe.Cut(at_90k=10 * S))))
    assert (run.code, run.reason, run.head_90k) == (0, "cut", 4 * S)


def test_on_hold_before_anybody_came_the_clock_waits_for_the_first_unit_after(tmp_path: Path) -> None:
    late = user("a", (2, "join"), (2, "publish"))
    run = Run(tmp_path, spec(scene(tmp_path, late, duration_s=20), slice_s=2)).record(steps(hold(1), resume(9)))
    assert (run.code, pauses(run), run.judge().holes) == (0, [], ())
    assert run.keeper.t0_ms == pytest.approx(VIRTUAL_START_MS + 9_000, abs=100)


def test_no_idle_time_runs_on_hold(tmp_path: Path) -> None:
    """He is gone after 6 s; of 5 s of patience, 3 s are used before the hold at 9 s and the rest after it."""
    gone = user("a", (0, "join"), (0, "publish"), (6, "leave"))
    run = Run(tmp_path, spec(scene(tmp_path, gone), slice_s=2, max_idle_s=5)).record(steps(hold(9), resume(60)))
    assert (run.reason, pauses(run)) == ("idle", [(10.0, 62.0)])
    assert 62 * S <= run.head_90k <= 63 * S


def test_an_empty_room_on_hold_is_not_idle_before_its_first_unit(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path), slice_s=2, max_idle_s=5)).record(steps(hold(1), resume(60)))
    assert (run.code, run.reason) == (0, "idle")


def test_nothing_is_drawn_or_encoded_on_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    advance = Programme.advance

    def counted(self: Programme, to_90k: int) -> None:
        drawn.append(to_90k)
        advance(self, to_90k)

    monkeypatch.setattr(Programme, "advance", counted)
    a_call(tmp_path, 30).record(steps(hold(3), resume(22)))
    assert not [tick for tick in drawn if 4 * S < tick <= 24 * S]
    assert len(drawn) >= 10 * 15


def test_a_subscription_that_changes_on_hold_counts_after_it(tmp_path: Path) -> None:
    run = a_call(tmp_path, 16)
    nobody = run.spec.model_copy(update={"video_from": run.spec.video_from.model_copy(update={"rule": "none"})})
    run.record(steps(hold(3), (6, pipe.Spec(gen=2, spec=nobody)), resume(8.2)))
    assert (run.code, pauses(run), run.judge().violations) == (0, [(4.0, 10.0)], ())


# -- tenures and restarts ---------------------------------------------------------------------------------------


def again(run: Run, dies_s: float, *told: Step) -> Run:
    """Its spool as it was at a time, in which another process goes on."""
    second = Run(run.folder, run.spec)
    second.spool = second.keeper.folder = run.folder / "copy"
    second.keeper._spool = Spool(second.spool)

    async def act(first: Run, clock: VirtualClock) -> None:
        telling = asyncio.ensure_future(steps(*told)(first, clock))
        await clock.sleep_until(dies_s)
        telling.cancel()
        shutil.copytree(first.spool, second.spool)
        shutil.copytree(first.out, run.folder / "before")
        first.keeper.hang_up()

    run.record(act)
    shutil.rmtree(run.out)
    (run.folder / "before").rename(run.out)
    second.keeper._commit(Spool(second.spool).read()[-1][0])
    return second


def goes_on(second: Run, back_s: float, *told: Step, **begin: object) -> Run:
    async def main(clock: VirtualClock) -> None:
        head = max((s.end_90k for s in second.keeper.slices.values()), default=0)
        recorder = second.recorder(
            clock, opened_ms=VIRTUAL_START_MS, t0_ms=second.keeper.t0_ms, resume_at_90k=head, **begin
        )
        acting = asyncio.ensure_future(steps(*((at_s - back_s, m) for at_s, m in told))(second, clock))
        second.code = await recorder.run()
        acting.cancel()

    run_virtual(main, start_wall_ms=VIRTUAL_START_MS + round(back_s * 1000))
    return second


def test_a_recorder_that_dies_on_hold_is_on_hold_again_and_the_hole_is_one(tmp_path: Path) -> None:
    second = goes_on(again(a_call(tmp_path), 7.0, hold(3)), 8.0, resume(12.3), on_hold=True)
    assert (second.code, second.keeper.gaps, pauses(second)) == (0, [], [(4.0, 14.0)])
    assert (second.judge().violations, second.judge().holes) == ((), ((4.0, 14.0),))


def test_a_hold_that_is_lifted_while_the_recorder_is_dead_ends_at_the_next_edge(tmp_path: Path) -> None:
    second = goes_on(again(a_call(tmp_path), 7.0, hold(3)), 8.2, on_hold=False)
    assert (second.code, second.keeper.gaps, pauses(second)) == (0, [], [(4.0, 10.0)])
    assert second.judge().violations == ()


def test_a_recorder_that_dies_before_the_holds_edge_leaves_a_lost_hole_and_then_a_pause(tmp_path: Path) -> None:
    second = goes_on(again(a_call(tmp_path), 3.5, hold(2.9)), 5.1, resume(12.3), on_hold=True)
    (gap,) = second.keeper.gaps
    assert (second.code, gap.end_90k, gap.cause) == (0, 6 * S, "the recorder died")
    assert pauses(second) == [(6.0, 14.0)]
    (hole,) = second.judge().holes
    assert hole == (gap.start_90k / S, 14.0)
    assert second.judge().violations == ()


def test_another_tenure_begins_on_hold_where_the_state_says_that_it_began(tmp_path: Path) -> None:
    run = a_call(tmp_path)
    run.keeper.t0_ms = VIRTUAL_START_MS
    goes_on(run, 8.0, resume(12.3), on_hold=True, held_90k=4 * S, epoch=2)
    assert (run.code, run.keeper.gaps, pauses(run)) == (0, [], [(4.0, 14.0)])
    assert min(s.start_90k for s in run.keeper.slices.values()) == 14 * S


def test_idle_time_before_a_hold_counts_after_a_change_of_tenure(tmp_path: Path) -> None:
    """Nobody for 3 s when the hold began at 4 s; the state heard of no user since."""
    run = Run(tmp_path, spec(scene(tmp_path), slice_s=2, max_idle_s=8))
    run.keeper.t0_ms = VIRTUAL_START_MS
    goes_on(run, 100.0, resume(110.1), on_hold=True, held_90k=4 * S, last_user_90k=1 * S, epoch=2)
    assert (run.reason, pauses(run)) == ("idle", [(4.0, 112.0)])
    assert run.head_90k == pytest.approx(115.1 * S, abs=2 * 6_000)


# -- the pause alone --------------------------------------------------------------------------------------------


@given(st.integers(1, 15), st.lists(st.integers(0, 20 * S), min_size=1, max_size=12))
def test_whatever_is_wished_pauses_lie_between_edges_in_order_and_behind_their_wishes(
    slice_s: int, waits: list[int]
) -> None:
    pause, slot = Pause(slice_s, wanted=False), slot_ticks(slice_s)
    now = last = 0
    for wait in waits:
        now += wait
        if pause.limit_90k is not None and now >= pause.limit_90k:
            pause.reached()
        if pause.until_90k is not None and now >= pause.until_90k:
            assert pause.from_90k is not None and pause.until_90k > pause.from_90k >= last
            last = pause.until_90k
            pause.over()
        pause.want(not pause.wanted, now)
        for edge in (pause.from_90k, pause.until_90k):
            assert edge is None or edge % slot == 0
        if pause.limit_90k is not None:
            assert now < pause.limit_90k <= now + slot
        if pause.until_90k is not None:
            assert now < pause.until_90k
        assert pause.wanted or pause.from_90k is None or pause.until_90k is not None
