"""What lies in the files: every frame once, in its place, with its sound."""

from __future__ import annotations

import hashlib
import shutil
from itertools import pairwise
from pathlib import Path

import av
import pytest

from models.vocabulary.ticks import AAC_TICKS, LEAD_90K, audio_frame_from, audio_tick, frame_tick
from tests.segment.scripted import Tenure, full, in_order, numbered, play, spec, tone, tones
from workers.recorder.segment import encoding
from workers.recorder.segment.recovery import recover
from workers.recorder.segment.slices import FULL

S = 90_000


def recorded(folder: Path, fps: int, seconds: int) -> Tenure:
    tenure = Tenure(spec(fps=fps), folder)
    tenure.programme.show(full(fps=fps))
    tenure.play(in_order(numbered(seconds * fps + 1, fps), tones(seconds + 1)), seconds * S)
    tenure.programme.finish(seconds * S)
    return tenure


@pytest.mark.parametrize("fps", [1, 7, 15, 30, 60])
def test_every_frame_is_there_once_in_order_at_its_exact_tick(tmp_path: Path, fps: int) -> None:
    tenure = recorded(tmp_path, fps, 5)
    assert [(s.start_90k, s.end_90k) for s in tenure.slices] == [(0, 2 * S), (2 * S, 4 * S), (4 * S, 5 * S)]
    played = play(tenure.slices, tmp_path)
    assert played.numbers == list(range(5 * fps))
    assert [at for at, _ in played.pictures] == [frame_tick(n, fps) for n in range(5 * fps)]
    assert [at for at, _ in played.sounds] == [j * AAC_TICKS for j in range(audio_frame_from(5 * S))]
    assert played.complaints == []
    assert tenure.warnings == []


def test_sound_lies_where_it_was_made(tmp_path: Path) -> None:
    played = play(recorded(tmp_path, 15, 5).slices, tmp_path)
    error = played.error(tone)
    assert max(rms for j, rms in error.items() if j > 2) < 0.02  # the very first frames: the opus encoder starts


def test_two_tenures_in_turn_decode_like_one(tmp_path: Path) -> None:
    fps, units = 15, in_order(numbered(12 * 15 + 1, 15), tones(13))
    alone = recorded(tmp_path / "alone", fps, 12)
    first, second = (
        Tenure(spec(), tmp_path / "a"),
        Tenure(spec(), tmp_path / "b", first_90k=6 * S, epoch=2, warm_frames=15),
    )
    for tenure, since, end in ((first, 0, 6 * S), (second, 4 * S, 12 * S)):
        tenure.programme.show(full())
        tenure.play(units, end, since_90k=since)
        tenure.programme.finish(end)
    slices = [*first.slices, *second.slices]
    assert [s.start_90k for s in slices] == [2 * S * k for k in range(6)]
    assert second.slices[0].start_90k == first.slices[-1].end_90k
    played, reference = play(slices, tmp_path), play(alone.slices, tmp_path)
    assert played.numbers == list(range(12 * fps))
    assert [at for at, _ in played.pictures] == [frame_tick(n, fps) for n in range(12 * fps)]
    assert played.complaints == []
    seam, error, floor = audio_frame_from(6 * S), played.error(tone), reference.error(tone)
    assert len(error) == len(floor)
    for j in range(seam - 3, seam + 4):
        assert error[j] < 1.5 * floor[j] + 0.001


def test_a_killed_recorders_file_is_continued_mid_slot(tmp_path: Path) -> None:
    fps, units = 15, in_order(numbered(8 * 15 + 1, 15), tones(9))
    killed = Tenure(spec(), tmp_path / "a")
    killed.programme.show(full())
    killed.play(units, 4 * S - 9_000)  # 0.1 s before the edge: nothing of slot 1 is closed
    part = tmp_path / "a" / f"e1_{killed.programme.slice_start_90k:012d}.ts.part"
    content = part.read_bytes()[:-1000]
    killed.programme.abort()
    assert part.exists(), "abort keeps what is written"
    part.write_bytes(content)
    saved = recover(part, part.with_suffix(""), fps=fps, audio=True)
    assert saved is not None
    assert part.read_bytes() == content, "should this be killed, it can be done again"
    assert saved.start_90k == 2 * S
    assert 4 * S - saved.end_90k < 2 * S
    second = Tenure(spec(), tmp_path / "b", first_90k=saved.end_90k, epoch=2)
    second.programme.show(full())
    second.play(units, 8 * S, since_90k=saved.end_90k - S)
    second.programme.finish(8 * S)
    slices = [*killed.slices, saved, *second.slices]
    assert all(a.end_90k == b.start_90k for a, b in pairwise(slices))
    played = play(slices, tmp_path)
    assert played.numbers == list(range(8 * fps))
    assert [at for at, _ in played.pictures] == [frame_tick(n, fps) for n in range(8 * fps)]
    error = played.error(tone)
    seam = audio_frame_from(saved.end_90k)
    assert max(error[j] for j in range(seam - 3, seam + 4)) < 0.02
    assert hashlib.md5(saved.path.read_bytes()).hexdigest() == saved.md5


def test_each_slice_stands_alone(tmp_path: Path) -> None:
    for k, s in enumerate(recorded(tmp_path, 15, 4).slices):
        assert play([s], tmp_path).numbers == list(range(30 * k, 30 * k + 30))
        with av.open(str(s.path)) as file:
            assert next(file.demux(video=0)).is_keyframe
            first_heard = next(file.demux(audio=0))
        assert first_heard.pts == LEAD_90K + audio_tick(audio_frame_from(s.start_90k))


def test_more_threads_change_nothing_on_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "encoder_threads", lambda *size: 2)
    played = play(recorded(tmp_path, 30, 4).slices, tmp_path)
    assert played.numbers == list(range(120))
    assert [at for at, _ in played.pictures] == [frame_tick(n, 30) for n in range(120)]


def test_a_second_thread_comes_with_1080p60() -> None:
    assert [encoding.encoder_threads(*size) for size in ((360, 640, 15), (1920, 1080, 30), (1920, 1080, 60))] == [
        1,
        1,
        2,
    ]


def test_a_slices_checksum_and_length_are_those_of_its_file(tmp_path: Path) -> None:
    for s in recorded(tmp_path, 15, 3).slices:
        content = s.path.read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (s.bytes, s.md5)
    assert not list(tmp_path.glob("*.part"))


def test_sound_alone_needs_no_picture(tmp_path: Path) -> None:
    tenure = Tenure(spec(streams=0), tmp_path)
    tenure.play(tones(6), 5 * S)
    end = tenure.programme.finish(5 * S)
    assert end == 5 * S
    assert [(s.start_90k, s.end_90k) for s in tenure.slices] == [(0, 2 * S), (2 * S, 4 * S), (4 * S, 5 * S)]
    played = play(tenure.slices, tmp_path)
    assert played.pictures == []
    assert [at for at, _ in played.sounds] == [j * AAC_TICKS for j in range(audio_frame_from(5 * S))]


def test_sound_alone_begins_in_the_last_moment_of_a_slot(tmp_path: Path) -> None:
    tenure = Tenure(spec(streams=0), tmp_path, first_90k=2 * S - 100)
    tenure.play(tones(5), 4 * S, since_90k=S)
    tenure.programme.finish(4 * S)
    assert [(s.start_90k, s.end_90k) for s in tenure.slices] == [(2 * S - 100, 4 * S)]


@pytest.mark.parametrize(
    ("first", "end", "true_end"), [(0, 2 * S + 10, 2 * S), (5, 100, 5), (0, 2 * S + 481, 2 * S + 481)]
)
def test_sound_alone_ends_where_its_last_slice_does(tmp_path: Path, first: int, end: int, true_end: int) -> None:
    tenure = Tenure(spec(streams=0), tmp_path, first_90k=first)
    tenure.play(tones(5), end)
    assert tenure.programme.finish(end) == true_end
    assert [s.end_90k for s in tenure.slices[-1:]] == ([true_end] if true_end > first else [])


def test_a_killed_recording_of_sound_alone_is_continued(tmp_path: Path) -> None:
    killed = Tenure(spec(streams=0), tmp_path / "a")
    killed.play(tones(6), 3 * S)
    part = next((tmp_path / "a").glob("*.part"))
    saved = recover(part, tmp_path / "saved.ts", fps=None, audio=True, near_90k=2 * S)
    assert saved is not None
    assert saved.start_90k == 2 * S
    killed.programme.abort()
    second = Tenure(spec(streams=0), tmp_path / "b", first_90k=saved.end_90k, epoch=2)
    second.play(tones(6), 5 * S, since_90k=saved.end_90k - S)
    second.programme.finish(5 * S)
    played = play([*killed.slices, saved, *second.slices], tmp_path)
    assert [at for at, _ in played.sounds] == [j * AAC_TICKS for j in range(audio_frame_from(5 * S))]


def test_pictures_alone_need_no_sound(tmp_path: Path) -> None:
    tenure = Tenure(spec(streams=1), tmp_path)
    tenure.programme.show(full())
    tenure.play(in_order(numbered(76, 15), tones(6)), 5 * S)
    tenure.programme.finish(5 * S)
    played = play(tenure.slices, tmp_path)
    assert played.numbers == list(range(75))
    assert played.sounds == []


@pytest.mark.parametrize("fps", [1, 15])
def test_finishing_at_what_is_already_made_closes_there(tmp_path: Path, fps: int) -> None:
    tenure = Tenure(spec(fps=fps), tmp_path)
    tenure.programme.show(full(fps=fps))
    tenure.play(in_order(numbered(3 * fps + 1, fps), tones(5)), 3 * S)
    assert tenure.programme.finish(S) == 3 * S
    assert tenure.slices[-1].end_90k == 3 * S
    assert play(tenure.slices, tmp_path).numbers == list(range(3 * fps))


def test_finishing_at_once_makes_no_slice(tmp_path: Path) -> None:
    tenure = Tenure(spec(), tmp_path)
    assert tenure.programme.finish(0) == 0
    assert tenure.slices == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_the_slice_that_it_is_full_under(tmp_path: Path) -> None:
    (tmp_path / f"e1_{2 * S:012d}.ts.part").symlink_to("/dev/full")
    tenure = Tenure(spec(), tmp_path)
    tenure.programme.show(full())
    tenure.play(in_order(numbered(121, 15), tones(8)), 8 * S)
    assert [(s.start_90k // S, s.lost) for s in tenure.slices[:3]] == [(0, ""), (2, FULL), (4, "")]
    assert not tenure.slices[1].path.exists()
    tenure.programme.abort()


@pytest.mark.parametrize("size", [0, 100, 188, 1880])
def test_a_file_that_holds_nothing_whole_recovers_nothing(tmp_path: Path, size: int) -> None:
    tenure = recorded(tmp_path, 15, 2)
    torn = tmp_path / "torn.part"
    torn.write_bytes(tenure.slices[0].path.read_bytes()[:size])
    assert recover(torn, tmp_path / "saved.ts", fps=15, audio=True) is None
    assert not (tmp_path / "saved.ts").exists()


def test_time_goes_on_behind_the_wrap_of_33_bits(tmp_path: Path) -> None:
    fps, start = 15, ((1 << 33) // (2 * S)) * 2 * S  # the slot in which PTS wrap
    tenure = Tenure(spec(), tmp_path, first_90k=start)
    units = [(at + start, unit) for at, unit in in_order(numbered(61, fps), tones(5))]
    tenure.programme.show(full())
    tenure.play(units, start + 4 * S - 9_000, since_90k=start)
    part = next(tmp_path.glob("*.part"))
    copy = tmp_path / "copy.part"
    shutil.copy(part, copy)
    saved = recover(copy, tmp_path / "saved.ts", fps=fps, audio=True, near_90k=start)
    assert saved is not None
    assert (saved.start_90k, saved.end_90k > start + 2 * S) == (start + 2 * S, True)
    tenure.programme.finish(start + 4 * S)
    assert play(tenure.slices, tmp_path).numbers == list(range(4 * fps))


def test_changing_the_preset_at_edges_loses_and_doubles_nothing(tmp_path: Path) -> None:
    tenure = Tenure(spec(), tmp_path)
    tenure.programme.show(full())
    units = in_order(numbered(120, 15), tones(8))
    tenure.play(units, 3 * 90_000)
    tenure.programme.hurry(True)  # from 4 s on
    tenure.play(units, 5 * 90_000, since_90k=3 * 90_000 + 9_000)
    tenure.programme.hurry(False)  # from 6 s on
    tenure.play(units, 8 * 90_000, since_90k=5 * 90_000 + 9_000)
    assert tenure.programme.finish(8 * 90_000) == 8 * 90_000
    assert tenure.programme.stats.thrifty == 30
    played = play(tenure.slices, tmp_path)
    assert played.numbers == list(range(120))
    assert [at for at, _ in played.pictures] == [n * 6_000 for n in range(120)]
    assert played.complaints == []
    assert [s.start_90k for s in tenure.slices] == [0, 180_000, 360_000, 540_000]
