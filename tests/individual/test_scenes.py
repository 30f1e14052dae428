"""Scripted scenes recorded user by user on the virtual clock, judged by the files they leave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest

from farm.judge.sounds import beeps
from models.vocabulary import pipe
from models.vocabulary.states import HoleState
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import AAC_TICKS, TICKS_PER_S, audio_frame_from, seconds
from tests.individual.streams import decoded, pieces, playlist, sound_files, spec, units
from tests.recorder.virtual import Run, finish_at, scene, user
from workers.recorder.clock import VirtualClock, run_virtual
from workers.synthetic.marker import FLASH_FROM, View, brightness

S = TICKS_PER_S
FRAME = S // 15
UNIT = S // 50


def test_every_unit_that_was_sent_is_in_the_files_at_its_own_time(tmp_path: Path) -> None:
    channel = scene(tmp_path, user("a"), user("b", (2, "join"), (2, "publish"), (7, "leave")), duration_s=10)
    run = Run(tmp_path, spec(channel)).record()
    assert (run.code, run.reason, run.keeper.faults, run.keeper.warnings) == (0, "closed", [], [])
    assert units(run, "a", "video") == [n * FRAME for n in range(150)]
    assert units(run, "b", "video") == [n * FRAME for n in range(30, 105)]
    assert (decoded(run, "a", "video"), decoded(run, "b", "video")) == (150, 75)
    assert units(run, "a", "audio") == [AAC_TICKS * j for j in range(audio_frame_from(10 * S))]
    assert units(run, "b", "audio") == [AAC_TICKS * j for j in range(audio_frame_from(2 * S), audio_frame_from(7 * S))]
    assert [p.end_90k - p.start_90k for p in pieces(run, "a", "video")] == 5 * [2 * S]
    assert {(g.track, g.start_90k, g.end_90k, g.state) for g in run.keeper.gaps} == {
        (f"b/{medium}", 0, 2 * S, HoleState.PAUSED) for medium in ("audio", "video")
    }


def test_pictures_and_sound_of_a_user_belong_together(tmp_path: Path) -> None:
    big = user("a", width=320, height=180, fps=30)
    run = Run(tmp_path, spec(scene(tmp_path, big, duration_s=8))).record()
    heard = {round(b.at_s): b.at_s for b in beeps(sound_files(run, "a"), [1])[1]}
    seen: dict[int, float] = {}
    for piece in pieces(run, "a", "video"):
        with av.open(str(run.out / piece.name)) as source:
            for frame in source.decode(video=0):
                assert frame.time is not None
                at_s = frame.time - 1  # the lead
                luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
                if brightness(luma, View(0, 0, 320, 180)) >= FLASH_FROM:
                    seen.setdefault(round(at_s), at_s)
    both = set(heard) & set(seen)
    assert len(both) >= 6
    assert all(abs(heard[n] - seen[n]) <= 0.040 for n in both)


def test_a_user_who_comes_back_has_one_playlist_with_a_start_for_each_coming(tmp_path: Path) -> None:
    guest = user("b", (0, "join"), (0, "publish"), (3, "leave"), (6, "rejoin"))
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), guest, duration_s=9))).record()
    assert units(run, "b", "video") == [n * FRAME for n in [*range(45), *range(90, 135)]]
    text = playlist(run, Stream("b", "video")).read_text()
    assert (text.count("TRACK-EVENT:EVENT=START"), text.count("#EXT-X-DISCONTINUITY")) == (2, 1)
    assert {(g.start_90k, g.end_90k, g.state) for g in run.keeper.gaps if g.track == "b/video"} == {
        (3 * S, 6 * S, HoleState.PAUSED)
    }


def test_a_new_size_begins_a_slice_and_the_playlist_says_which(tmp_path: Path) -> None:
    turned = user("a", (0, "join"), (0, "publish"), {"at_s": 3, "do": "resize", "width": 320, "height": 180},
                  {"at_s": 5, "do": "rotate", "degrees": 90})  # fmt: skip
    run = Run(tmp_path, spec(scene(tmp_path, turned, duration_s=8), slice_s=10)).record()
    found = pieces(run, "a", "video")
    assert [(p.start_90k // S, p.shape) for p in found] == [(0, "160x90@0"), (3, "320x180@0"), (5, "320x180@90")]
    assert len(units(run, "a", "video")) == 120
    text = playlist(run, Stream("a", "video")).read_text()
    assert "#EXT-X-AGORA-ROTATE:WIDTH=320,HEIGHT=180,ROTATE=270,TIME=" in text
    assert (text.count("ROTATE:"), text.count("#EXT-X-DISCONTINUITY"), text.count("TRACK-EVENT")) == (3, 2, 1)


def test_what_mpegts_cannot_hold_goes_into_webm_and_can_be_read(tmp_path: Path) -> None:
    changes = user("a", (0, "join"), (0, "publish"), {"at_s": 4, "do": "codec", "codec": "h264"}, codec="vp8")
    run = Run(tmp_path, spec(scene(tmp_path, changes, duration_s=8))).record()
    found = pieces(run, "a", "video")
    assert [(p.name.rpartition(".")[2], p.codec) for p in found] == 2 * [("webm", "vp8")] + 2 * [("ts", "h264")]
    assert decoded(run, "a", "video") == 120
    assert all(abs(at - n * FRAME) <= 45 for n, at in enumerate(units(run, "a", "video")))  # WebM counts milliseconds


def test_original_sound_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    fields = {"stream_types": 0, "stream_mode": "original"}
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=6), **fields)).record()
    found = pieces(run, "a", "audio")
    assert [(p.start_90k, p.codec, p.name.rpartition(".")[2]) for p in found] == [
        (k * 2 * S, "opus", "webm") for k in range(3)
    ]
    assert units(run, "a", "audio") == [n * UNIT for n in range(300)]


@pytest.mark.parametrize("stop", ["mute", "unpublish"])
def test_a_pause_is_nobodys_to_record(tmp_path: Path, stop: str) -> None:
    again = "unmute" if stop == "mute" else "publish"
    what = ["audio", "video"]
    acts = [{"at_s": 2.5, "do": stop, "what": what}, {"at_s": 6, "do": again, "what": what}]
    run = Run(tmp_path, spec(scene(tmp_path, user("a", (0, "join"), (0, "publish"), *acts), duration_s=8))).record()
    assert len(units(run, "a", "video")) == pytest.approx(4.5 * 15, abs=1)
    for medium in ("audio", "video"):
        (gap,) = [g for g in run.keeper.gaps if g.track == f"a/{medium}"]
        assert gap.state is HoleState.PAUSED
        assert (seconds(gap.start_90k), seconds(gap.end_90k)) == pytest.approx((2.5, 6), abs=0.1)


def test_units_that_are_lost_on_the_way_cost_no_others(tmp_path: Path) -> None:
    lossy = user("a", (0, "join"), (0, "publish"), {"at_s": 2, "do": "loss", "percent": 20, "for_s": 3})
    run = Run(tmp_path, spec(scene(tmp_path, lossy, duration_s=8))).record()
    found = units(run, "a", "video")
    assert 0 < 120 - len(found) < 20
    assert sorted(set(found)) == found
    assert set(found) >= {n * FRAME for n in [*range(30), *range(75, 120)]}


def test_what_cannot_be_read_is_never_begun_with(tmp_path: Path) -> None:
    broken = user("a", (0, "join"), (0, "publish"), {"at_s": 0, "do": "corrupt", "what": ["video"], "for_s": 3})
    run = Run(tmp_path, spec(scene(tmp_path, broken, duration_s=6))).record()
    assert units(run, "a", "video")[0] == 3 * S
    assert decoded(run, "a", "video") == 45


def test_a_stop_ends_every_stream_where_it_was_called(tmp_path: Path) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), user("b"), duration_s=20))).record(finish_at(7.3))
    assert run.reason == "finish"
    for uid in "ab":
        assert units(run, uid, "video") == [n * FRAME for n in range(len(units(run, uid, "video")))]
        assert len(units(run, uid, "video")) == pytest.approx(7.3 * 15, abs=3)
        assert len(units(run, uid, "audio")) * AAC_TICKS == pytest.approx(7.3 * S, abs=0.2 * S)


def test_subscriptions_change_in_the_middle(tmp_path: Path) -> None:
    only_a = {"rule": "only", "uids": ["a"]}
    run = Run(
        tmp_path, spec(scene(tmp_path, user("a"), user("b"), duration_s=10), audio_from=only_a, video_from=only_a)
    )

    async def act(run: Run, clock: VirtualClock) -> None:
        for at_s, uid in ((4.0, "b"), (7.0, "a")):
            await clock.sleep_until(at_s)
            only = {"audio_from": {"rule": "only", "uids": [uid]}, "video_from": {"rule": "only", "uids": [uid]}}
            run.keeper.say(pipe.Spec(gen=2, spec=type(run.spec).model_validate(run.spec.model_dump() | only)))

    run.record(act)
    a, b = units(run, "a", "video"), units(run, "b", "video")
    assert a == [n * FRAME for n in [*range(61), *range(105, 150)]]  # the unit of the very moment had come
    assert b == [n * FRAME for n in range(60, len(b) + 60)]
    assert 44 <= len(b) <= 46


def test_two_tenures_cut_alike_so_that_one_goes_on_where_the_other_ends(tmp_path: Path) -> None:
    channel = scene(tmp_path, user("a"), user("b", gop_s=2), duration_s=16)
    old, new = Run(tmp_path / "old", spec(channel)), Run(tmp_path / "new", spec(channel))

    async def main(clock: VirtualClock) -> None:
        opened_ms = clock.wall_ms()
        first = asyncio.ensure_future(old.recorder(clock, opened_ms=opened_ms).run())
        await clock.sleep_until(4.7)
        anchor = {"t0_ms": old.keeper.t0_ms, "anchor": old.keeper.anchor}
        new.keeper.t0_ms = old.keeper.t0_ms
        second = asyncio.ensure_future(new.recorder(clock, opened_ms=opened_ms, epoch=2, **anchor).run())
        await clock.sleep_until(9.2)
        old.keeper.say(pipe.Cut(at_90k=10 * S))
        assert (await first, await second) == (0, 0)

    run_virtual(main)
    assert old.reason == "cut"
    for uid in "ab":
        for medium, length in (("video", FRAME), ("audio", AAC_TICKS)):
            before, after = pieces(old, uid, medium), pieces(new, uid, medium)
            assert before[-1].end_90k == 10 * S
            later = [p for p in after if p.start_90k >= before[-1].end_90k]
            assert later[0].start_90k == before[-1].end_90k
            whole = [at for p in [*before, *later] for at in p.units_90k]
            assert whole == [n * length for n in range(len(whole))]
            assert len(whole) == (240 if medium == "video" else audio_frame_from(16 * S))


@pytest.mark.parametrize("mode", ["mix", "individual"])
@pytest.mark.parametrize("why", ["kicked", "token"])
def test_who_is_thrown_out_keeps_what_he_has_and_says_why(tmp_path: Path, why: str, mode: str) -> None:
    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=3, end=why), mode=mode)).record()
    assert (run.code, run.reason) == (0, why)
    assert sum(s.end_90k - s.start_90k for s in run.keeper.slices.values() if s.track in ("mix", "a/video")) == 3 * S


def test_when_nobody_is_there_it_ends_by_itself(tmp_path: Path) -> None:
    gone = user("a", (0, "join"), (0, "publish"), (3, "leave"))
    run = Run(tmp_path, spec(scene(tmp_path, gone), max_idle_s=5)).record()
    assert (run.code, run.reason) == (0, "idle")
    assert len(units(run, "a", "video")) == 45
