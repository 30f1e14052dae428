"""The MP4 beside the playlist: frame by frame what the slices hold, with holes cut out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.errors import StorageError
from models.vocabulary.film import Shot, parts, unclaimed
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import AAC_TICKS, audio_frame_from, frame_at_or_after, frame_tick
from tests.segment.scripted import Tenure, full, in_order, numbered, play, read_number, spec, tones
from workers.recorder.film import film
from workers.recorder.film.cutting import Grid
from workers.recorder.mixer.planes import planes_of, samples_of
from workers.recorder.segment.slices import ClosedSlice

S = 90_000


def awake() -> None:
    """Nobody shares the machine with a test."""


def recorded(folder: Path, wanted: RecordingSpec, seconds: int) -> list[ClosedSlice]:
    tenure = Tenure(wanted, folder)
    tenure.programme.show(full(fps=wanted.video.fps))
    fps = wanted.video.fps
    units = in_order(*([numbered(seconds * fps, fps)] if wanted.has_video else []), tones(seconds))
    tenure.play(units, seconds * S)
    tenure.programme.finish(seconds * S)
    return tenure.slices


def shots(slices: list[ClosedSlice]) -> list[Shot]:
    return [Shot(start_90k=s.start_90k, end_90k=s.end_90k, key=s.path.name, bytes=s.bytes, md5=s.md5) for s in slices]


def filmed(folder: Path, slices: list[ClosedSlice], wanted: RecordingSpec) -> film.FilmFile:
    where = {s.path.name: s.path for s in slices}
    made = film.make(shots(slices), folder / "film.mp4", wanted, lambda shot: where.get(shot.key), rest=awake)
    assert made is not None
    return made


class Shown:
    """What a player makes of the file."""

    def __init__(self, path: Path) -> None:
        self.pictures: list[tuple[int, int]] = []  # (tick, number)
        self.sounds: list[tuple[int, np.ndarray]] = []  # (sample, first channel)
        with av.open(str(path)) as container:
            self.duration_s = (container.duration or 0) / 1e6
            for frame in container.decode():
                assert frame.pts is not None and frame.time_base is not None
                if isinstance(frame, av.VideoFrame):
                    at = Fraction(frame.pts) * frame.time_base * 90_000
                    self.pictures.append((round(at), read_number(planes_of(frame)[0])))
                elif isinstance(frame, av.AudioFrame):
                    at = Fraction(frame.pts) * frame.time_base * 48_000
                    self.sounds.append((round(at), samples_of(frame.planes[0], frame.samples).copy()))


@pytest.mark.parametrize("fps", [15, 7])
def test_a_film_shows_what_the_playlist_shows(tmp_path: Path, fps: int) -> None:
    wanted = spec(fps=fps)
    slices = recorded(tmp_path / "slices", wanted, 6)
    made = filmed(tmp_path, slices, wanted)
    shown, played = Shown(made.path), play(slices, tmp_path)
    assert [n for _, n in shown.pictures] == played.numbers == list(range(6 * fps))
    assert [at for at, _ in shown.pictures] == [frame_tick(n, fps) for n in range(6 * fps)]
    assert [at for at, _ in shown.sounds] == [1024 * j for j in range(len(played.sounds))]
    assert all(np.array_equal(a, b[0]) for (_, a), (_, b) in zip(shown.sounds, played.sounds, strict=True))
    assert made.duration_90k == 6 * S
    assert abs(shown.duration_s - 6) < 0.04
    assert (made.bytes, made.missing) == (made.path.stat().st_size, ())


def test_the_index_stands_in_front(tmp_path: Path) -> None:
    slices = recorded(tmp_path / "slices", spec(), 4)
    head = filmed(tmp_path, slices, spec()).path.read_bytes()
    assert 0 < head.index(b"moov") < head.index(b"mdat")


def test_a_hole_is_cut_out_and_sound_stays_with_the_picture(tmp_path: Path) -> None:
    slices = recorded(tmp_path / "slices", spec(), 12)
    left = [s for s in slices if s.start_90k not in (2 * S, 6 * S, 8 * S)]
    made = filmed(tmp_path, left, spec())
    shown = Shown(made.path)
    there = [n for n in range(12 * 15) if n // 30 not in (1, 3, 4)]
    assert [n for _, n in shown.pictures] == there
    assert [at for at, _ in shown.pictures] == [frame_tick(n, 15) for n in range(len(there))]
    assert [at for at, _ in shown.sounds] == [1024 * j for j in range(len(shown.sounds))]
    assert abs(len(shown.sounds) * AAC_TICKS - made.duration_90k) <= 2 * AAC_TICKS
    assert made.duration_90k == 6 * S
    # Beeps (the first 20 ms of a second) stand where the pictures of their second do.
    for n, (at, _) in zip(there, shown.pictures, strict=True):
        if n % 15 == 0 and n % 30 != 0:
            heard = np.concatenate([x for _, x in shown.sounds])
            at_sample = at * 48 // 90
            window = heard[at_sample - 1024 : at_sample + 2048]
            loud = np.abs(np.fft.rfft(window.reshape(-1, 256) * np.hanning(256), axis=1))[:, 5:7].sum(axis=1)
            found = at_sample - 1024 + int(np.argmax(loud)) * 256 + 128
            assert abs(found - (at_sample + 480)) <= 1024


def test_no_glitch_is_heard_at_a_cut(tmp_path: Path) -> None:
    """All is the tone or silence: half an AAC frame without its other half would be neither, and louder."""
    slices = recorded(tmp_path / "slices", spec(streams=0), 12)
    left = [s for s in slices if s.start_90k not in (2 * S, 6 * S)]
    shown = Shown(filmed(tmp_path, left, spec(streams=0)).path)
    levels = {at // 1024: float(np.sqrt(np.mean(x**2))) for at, x in shown.sounds}
    assert levels[94] < 0.01  # behind the first cut there is room for a mute frame, at the second the first frame goes
    for j in (91, 92, 95, 96, 185, 186, 188, 189, 190):
        assert levels[j] == pytest.approx(0.25 / 2**0.5, abs=0.03)


def test_sound_alone_makes_a_film_of_sound(tmp_path: Path) -> None:
    slices = recorded(tmp_path / "slices", spec(streams=0), 6)
    made = filmed(tmp_path, slices, spec(streams=0))
    with av.open(str(made.path)) as container:
        assert [s.type for s in container.streams] == ["audio"]
    assert made.duration_90k == 6 * S


def test_pictures_alone_make_a_film_of_pictures(tmp_path: Path) -> None:
    slices = recorded(tmp_path / "slices", spec(streams=1), 4)
    shown = Shown(filmed(tmp_path, slices, spec(streams=1)).path)
    assert [n for _, n in shown.pictures] == list(range(60))


def test_a_film_begins_anywhere(tmp_path: Path) -> None:
    """A later part: its first picture is at 0, its sound at most one AAC frame later."""
    slices = recorded(tmp_path / "slices", spec(), 8)
    shown = Shown(filmed(tmp_path, slices[1:], spec()).path)
    assert shown.pictures[0] == (0, 30)
    first = audio_frame_from(2 * S)
    assert shown.sounds[0][0] == (first * AAC_TICKS - 2 * S) * 48 // 90


def test_what_nobody_has_is_left_out_and_said(tmp_path: Path) -> None:
    slices = recorded(tmp_path / "slices", spec(), 6)
    where = {s.path.name: s.path for s in slices if s.start_90k != 2 * S}
    made = film.make(shots(slices), tmp_path / "f.mp4", spec(), lambda shot: where.get(shot.key), rest=awake)
    assert made is not None
    assert [shot.start_90k for shot in made.missing] == [2 * S]
    assert len(Shown(made.path).pictures) == 60
    assert film.make(shots(slices), tmp_path / "g.mp4", spec(), lambda _: None, rest=awake) is None
    assert not list(tmp_path.glob("g.mp4*"))


def test_a_damaged_slice_leaves_no_half_film(tmp_path: Path) -> None:
    slices = recorded(tmp_path / "slices", spec(), 4)
    slices[1].path.write_bytes(b"nothing of the kind")
    with pytest.raises(StorageError):
        filmed(tmp_path, slices, spec())
    assert not list(tmp_path.glob("film.mp4*"))


def rows(lengths: list[int], sizes: list[int]) -> list[Shot]:
    found, at = [], 0
    for i, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
        found.append(Shot(start_90k=at, end_90k=at + length, key=str(i), bytes=size, md5=""))
        at += length
    return found


@given(st.lists(st.tuples(st.integers(1, 20 * S), st.integers(1, 1_000)), max_size=60))
def test_parts_hold_everything_once_and_not_too_much(sizes: list[tuple[int, int]]) -> None:
    given_ = rows([a for a, _ in sizes], [b for _, b in sizes])
    made = parts(given_, most_s=60, most_bytes=3_000)
    assert [shot for part in made for shot in part] == given_
    for part in made:
        assert len(part) == 1 or sum(s.end_90k - s.start_90k for s in part) <= 60 * S
        assert len(part) == 1 or sum(s.bytes for s in part) <= 3_000
    # All but the last stay as they are, whatever comes.
    more = parts(
        [*given_, Shot(start_90k=10**9, end_90k=10**9 + 1, key="n", bytes=1, md5="")], most_s=60, most_bytes=3_000
    )
    assert more[: len(made) - 1] == made[:-1]


def test_what_is_claimed_is_in_no_other_part() -> None:
    given_ = rows([S] * 10, [1] * 10)
    runs = unclaimed(given_, [(2 * S, 4 * S), (7 * S, 8 * S)])
    assert [[shot.start_90k // S for shot in run] for run in runs] == [[0, 1], [4, 5, 6], [8, 9]]


@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 200)), min_size=1, max_size=40),
    st.sampled_from([1, 7, 15, 30, None]),
)
def test_however_many_cuts_sound_keeps_to_the_picture(runs: list[tuple[int, int]], fps: int | None) -> None:
    """(frames, frames of hole behind them): pictures are numbered on, sound is never off by more than half a frame."""
    grid, n, film_picture, next_sound = Grid(fps), 3, 0, 0
    rate = fps or 15
    for length, hole in runs:
        start, end = frame_tick(n, rate), frame_tick(n + length, rate)
        place = grid.place(start, end)
        if fps is not None:
            assert frame_at_or_after(start, fps) - place.pictures_back == film_picture
        film_picture += length
        first = audio_frame_from(start) + (0 if place.mutes is None else 1)
        assert first - place.sounds_back == next_sound + (place.mutes or 0)
        if place.mutes in (1, None):  # 0 and 2 may be all that there is to choose from
            off = (
                (first - place.sounds_back) * AAC_TICKS
                + grid.lead_90k
                - (frame_tick(film_picture - length, rate) + first * AAC_TICKS - start)
            )
            assert abs(off) <= AAC_TICKS
        next_sound = max(next_sound, audio_frame_from(end) - place.sounds_back)
        n += length + hole
