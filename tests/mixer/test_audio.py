"""Sound where it belongs, whatever the network does to it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.vocabulary.channel import Unit
from models.vocabulary.ticks import audio_tick
from tests.segment.scripted import audio_units, tone, tones
from workers.recorder.mixer.audio import Accumulator, Sound, limited
from workers.recorder.mixer.placement import Placement

Timed = tuple[int, Unit]


def heard(units: list[Timed], seconds: float, channels: int = 1) -> tuple[NDArray[np.float32], Sound, list[str]]:
    warnings: list[str] = []
    sound = Sound(channels, -1, warnings.append)  # an Opus unit begins 6.5 ms before its time
    frames, waiting = [], sorted(units, key=lambda timed: timed[0])
    for j in range(-1, int(seconds * 48_000 / 1024)):
        while waiting and waiting[0][0] < audio_tick(j + 4):
            sound.push(waiting[0][1], waiting.pop(0)[0])
        frames.append(sound.frame(j))
    return np.concatenate(frames[1:], axis=1), sound, warnings


def rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def low(first: int, count: int) -> NDArray[np.float32]:
    return (0.2 * np.sin(2 * np.pi * 300 * np.arange(first, first + count) / 48_000)).astype(np.float32)


def test_sound_comes_out_when_it_went_in() -> None:
    samples, sound, _ = heard(list(tones(4)), 3)
    assert rms(samples[0, 4800:] - tone(4800, samples.shape[1] - 4800)) < 0.02  # 6.5 ms of pre-skip would be 0.3
    assert (sound.counts().dropped, sound.counts().late) == (0, 0)


@pytest.mark.parametrize("ahead", [6, 46])
def test_decoding_up_to_a_second_ahead_changes_no_sample(ahead: int) -> None:
    one_by_one, at_once = Sound(1, -1, print), Sound(1, -1, print)
    for at, unit in tones(4):
        one_by_one.push(unit, at)
        at_once.push(unit, at)
    for j in range(-1, 180):
        if (j + 1) % ahead == 0:
            at_once.decode(j + ahead)
        assert (one_by_one.frame(j) == at_once.frame(j)).all()
    assert at_once.counts().late == 0


def test_two_users_add_up() -> None:
    samples, _, _ = heard([*tones(3), *audio_units(low, 3, track="b")], 2)
    count = samples.shape[1] - 4800
    assert rms(samples[0, 4800:] - limited(tone(4800, count) + low(4800, count))) < 0.02


@pytest.mark.parametrize("source", [1, 2])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_number_of_channels_becomes_the_recordings(source: int, channels: int) -> None:
    samples, _, _ = heard(audio_units(low, 2, channels=source), 1.5, channels)
    assert samples.shape[0] == channels
    for row in samples:
        assert rms(row[9600:] - low(9600, len(row) - 9600)) < 0.02


def test_a_lost_unit_is_concealed_and_shifts_nothing() -> None:
    units = [(at, replace(u, gap=n == 51)) for n, (at, u) in enumerate(audio_units(low, 3)) if n != 50]
    samples, sound, _ = heard(units, 2.5)
    assert sound.counts().concealed == 1
    hole = slice(48_000 - 312, 48_000 + 648)
    assert rms(samples[0, hole] - low(hole.start, 960)) < 0.05, "silence would be 0.14"
    assert np.abs(np.diff(samples[0, 40_000:60_000])).max() < 0.02, "no click"
    assert rms(samples[0, 60_000:] - low(60_000, samples.shape[1] - 60_000)) < 0.02


def test_a_late_unit_is_left_out_and_shifts_nobody() -> None:
    ours = audio_units(low, 3)
    held_back = [(at, replace(unit, track="late")) for at, unit in ours if 90_000 <= at < 108_000]
    in_time = [timed for timed in ours if not 90_000 <= timed[0] < 108_000]
    sound = Sound(1, -1, lambda text: None)
    out = []
    for j in range(-1, 100):
        while in_time and in_time[0][0] < audio_tick(j + 4):
            sound.push(in_time[0][1], in_time.pop(0)[0])
        if j == 70:  # 1.49 s
            for at, unit in held_back:
                sound.push(unit, at)
        out.append(sound.frame(j))
    samples = np.concatenate(out[1:], axis=1)
    assert sound.counts().late == 10
    assert rms(samples[0, 48_000 - 312 + 2880 : 57_000]) < 0.001, "concealed for 60 ms"
    assert np.abs(np.diff(samples[0, 40_000:56_000])).max() < 0.02, "no click"
    assert rms(samples[0, 60_000:] - low(60_000, samples.shape[1] - 60_000)) < 0.02


def test_jitter_of_unit_times_does_not_click() -> None:
    chance = random.Random(3)
    units = [(at + (chance.randrange(-900, 900) if n else 0), u) for n, (at, u) in enumerate(audio_units(low, 4))]
    samples, _, _ = heard(units, 3.5)
    steps = np.abs(np.diff(samples[0, 9600:]))
    assert steps.max() < 0.02, "a click is a step; the tone itself climbs 0.008 a sample"


def test_a_sender_whose_clock_runs_fast_stays_in_step() -> None:
    fast = 1 + 2e-3  # ten times what a bad clock does, so that a minute shows it
    units = [(round(at / fast), unit) for at, unit in audio_units(tone, 40, bitrate=64_000)]
    samples, _, _ = heard(units, 39)
    end = samples.shape[1]
    at = 38 * 48_000
    beep = np.abs(samples[0, at:end])
    expected = [round(s * 48_000 / fast) for s in range(37, 41)]
    loud = np.flatnonzero(beep > 0.4) + at
    first = [int(loud[loud >= e - 4000][0]) for e in expected if e - 4000 > at and e + 1000 < end]
    assert first
    assert all(abs(f - e) < 48 * 40 for f, e in zip(first, [e for e in expected if e - 4000 > at], strict=False))


def test_silence_between_two_talk_spurts_keeps_the_second_in_place() -> None:
    units = [(at, u) for at, u in audio_units(low, 5) if not 90_000 <= at < 270_000]
    samples, _, _ = heard(units, 4.5)
    assert rms(samples[0, 60_000:140_000]) < 0.001
    assert rms(samples[0, 150_000:] - low(150_000, samples.shape[1] - 150_000)) < 0.02


def test_many_loud_users_are_bent_not_clipped() -> None:
    loud = np.linspace(-3, 3, 2001, dtype=np.float32)[np.newaxis]
    bent = limited(loud.copy())[0]
    assert (np.abs(bent) <= 1).all()
    assert (np.diff(bent) >= 0).all()
    quiet = np.abs(loud[0]) <= 0.8
    assert (bent[quiet] == loud[0][quiet]).all()


def test_garbage_never_raises_and_is_told_once() -> None:
    chance = random.Random(5)
    bad = [(n * 1800, Unit("a", "aac", chance.randbytes(100), 0.0, True)) for n in range(100)]
    samples, sound, warnings = heard([*bad, *audio_units(low, 2, track="b")], 1.5)
    assert len(warnings) == 1
    assert rms(samples[0, 9600:] - low(9600, samples.shape[1] - 9600)) < 0.02
    assert sound.counts().dropped > 50


def test_narrow_band_sound_is_brought_to_48_khz() -> None:
    ulaw = bytes([0x8F] * 160)  # a constant level
    samples, _, warnings = heard([(n * 1800, Unit("a", "pcmu", ulaw, 0.0, True)) for n in range(60)], 1)
    assert warnings == []
    assert np.allclose(samples[0, 9600:40_000], samples[0, 20_000], atol=0.01)
    assert abs(samples[0, 20_000]) > 0.1


@given(st.lists(st.tuples(st.integers(-3000, 3000), st.integers(1, 1000)), max_size=60))
def test_the_accumulator_is_a_sum_over_a_moving_window(adds: list[tuple[int, int]]) -> None:
    ring, truth = Accumulator(1), np.zeros(200_000, np.float32)
    ring.start(-5000)
    read = []
    for k, (shift, count) in enumerate(adds):
        at = ring.base + shift
        complete = ring.add(at, np.full((1, count), 0.5, np.float32))
        assert complete == (shift >= 0)
        lo = max(at, ring.base) + 10_000
        truth[lo : at + count + 10_000] += 0.5
        if k % 2:
            read.append(ring.read(1024)[0])
    out = np.concatenate([np.zeros(5000, np.float32), *read])
    assert (out == truth[: len(out)]).all()


def test_the_ring_goes_round_for_ever() -> None:
    ring = Accumulator(2)
    ring.start(0)
    for j in range(500):
        ring.add(j * 1024 + 1000, np.full((2, 1024), j, np.float32))
        found = ring.read(1024)
        assert (found[:, 1000:] == j).all()
        assert (found[:, :1000] == max(0, j - 1)).all()


@given(ppm=st.integers(-500, 500), jitter_ms=st.integers(0, 8), seed=st.integers(0, 99))
def test_placement_follows_any_sender_within_ten_milliseconds(ppm: int, jitter_ms: int, seed: int) -> None:
    chance, placement, before = random.Random(seed), Placement(), None
    for k in range(3000):
        true = round(k * 960 * (1 + ppm * 1e-6))
        placed = placement.place(true + chance.randint(-48, 48) * jitter_ms, 960, lost_before=False)
        assert before in (None, placed.at), "no seam"
        before = placed.at + placed.length
        if k > 1500:
            assert abs(placed.at - true) < 480 + 48 * jitter_ms


@pytest.mark.parametrize("ppm", [-200, 200])
def test_two_hours_of_a_sender_who_is_200_ppm_off_end_within_forty_milliseconds(ppm: int) -> None:
    """Every unit of two hours is placed, by sample counts alone; what is decoded makes no difference to placement."""
    chance, placement = random.Random(7), Placement()
    worst, before = 0, None
    for k in range(2 * 3600 * 50):
        true = round(k * 960 / (1 + ppm * 1e-6))
        placed = placement.place(true + chance.randint(-240, 240), 960, lost_before=False)
        assert before in (None, placed.at), "no seam"
        before = placed.at + placed.length
        worst = max(worst, abs(placed.at - true))
    assert worst < 40 * 48
