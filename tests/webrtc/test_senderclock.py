"""Capture times from arrival times and sender reports."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vocabulary.offset import MAX_SLEW, Floor, Slewed
from workers.webrtc.senderclock import SenderClock, TrackClock, Unwrapper

AUDIO_S, VIDEO_S = 0.02, 1 / 30


def ntp(wall_s: float) -> int:
    return int((wall_s + 2_208_988_800) * 2**32)


class Sender:
    """A sender whose tracks are captured together at real times, sent late by a constant each, and jittered by the network."""

    def __init__(self, seed: int = 0, wall_error_s: float = 0.0, drift: float = 0.0, jitter_s: float = 0.02) -> None:
        self.clock = SenderClock()
        self.chance = random.Random(seed)
        self.wall_error_s, self.drift, self.jitter_s = wall_error_s, drift, jitter_s
        self.tracks: dict[str, TrackClock] = {}

    def run(
        self, name: str, step_s: float, encode_s: float, from_s: float, to_s: float
    ) -> list[tuple[float, float, float]]:
        """(arrival, true capture time, media time) of each unit."""
        self.tracks.setdefault(name, self.clock.track())
        arrivals, captured = [], from_s
        while captured < to_s:
            arrival = captured + encode_s + 0.03 + self.chance.random() * self.jitter_s
            arrivals.append((arrival, captured, captured * (1 + self.drift) + 500.0))
            captured += step_s
        return arrivals

    def report(self, name: str, at_s: float, late_s: float = 0.0) -> None:
        wall_s = 1.7e9 + at_s * (1 + self.drift) + self.wall_error_s + late_s
        self.tracks[name].reported(ntp(wall_s), at_s * (1 + self.drift) + 500.0, at_s + 0.05)


def errors(sender: Sender, to_s: float, reports: bool = True) -> dict[str, list[tuple[float, float]]]:
    """Per track (capture time, told time minus capture time), both tracks running at once."""
    units = [(*u, "audio") for u in sender.run("audio", AUDIO_S, 0.025, 0, to_s)]
    units += [(*u, "video") for u in sender.run("video", VIDEO_S, 0.005, 0, to_s)]
    found: dict[str, list[tuple[float, float]]] = {"audio": [], "video": []}
    reported = 0.0
    for arrival, captured, media_s, name in sorted(units):
        if reports and arrival - reported > 1.0:
            reported = arrival
            for track in ("audio", "video"):
                sender.report(track, captured)
        clock = sender.tracks[name]
        clock.arrived(media_s, arrival)
        found[name].append((captured, clock.time_of(media_s, arrival) - captured))
    return found


@pytest.mark.parametrize("wall_error_s", [0.0, 40.0, -86_400.0])
def test_reports_relate_a_senders_tracks_however_wrong_its_clock_is(wall_error_s: float) -> None:
    found = errors(Sender(wall_error_s=wall_error_s), 30.0)
    late = {name: [error for at, error in track if at > 5] for name, track in found.items()}
    assert abs(sum(late["audio"]) / len(late["audio"]) - sum(late["video"]) / len(late["video"])) < 0.003
    assert all(0.02 < error < 0.06 for error in late["audio"] + late["video"]), (
        "capture time is within the least transit"
    )


def test_without_reports_each_track_stands_by_its_own_arrival() -> None:
    found = errors(Sender(), 10.0, reports=False)
    audio, video = found["audio"][-1][1], found["video"][-1][1]
    assert audio - video == pytest.approx(0.02, abs=0.005), "the audio's longer encoding is not known to us"


@given(st.integers(0, 1000), st.floats(-300e-6, 300e-6))
@settings(max_examples=20, deadline=None)
def test_a_drifting_sender_is_followed_slowly_and_never_left(seed: int, drift: float) -> None:
    found = errors(Sender(seed, drift=drift), 60.0)
    for track in found.values():
        settled = [(at, error) for at, error in track if at > 4]
        assert all(abs(error - 0.035) < 0.03 for _, error in settled)
        for (t0, e0), (t1, e1) in itertools.pairwise(settled):
            told_s, passed_s = (t1 + e1) - (t0 + e0), t1 - t0
            assert abs(told_s - passed_s) <= (MAX_SLEW + abs(drift)) * (passed_s + 0.05) + 1e-9


def test_late_packets_do_not_move_the_time() -> None:
    sender = Sender(jitter_s=0.0)
    clock = sender.clock.track()
    for n in range(500):
        late_s = 0.3 if n % 7 else 0.0
        clock.arrived(n * 0.02, n * 0.02 + late_s)
        assert clock.time_of(n * 0.02, n * 0.02 + late_s) == pytest.approx(n * 0.02, abs=1e-9)


def test_timestamps_that_start_anew_are_a_step_that_says_so() -> None:
    clock = SenderClock().track()
    for n in range(50):
        clock.arrived(n * 0.02, 100 + n * 0.02)
        clock.time_of(n * 0.02, 100 + n * 0.02)
    assert not clock.take_step()
    clock.arrived(9000.0, 101.0)
    assert clock.time_of(9000.0, 101.0) == pytest.approx(101.0)
    assert clock.take_step() and not clock.take_step()


@pytest.mark.parametrize("set_by_s", [3.0, -3.0])
def test_a_senders_clock_that_is_set_does_not_tear_its_tracks_apart(set_by_s: float) -> None:
    sender = Sender(jitter_s=0.0)
    before = errors(sender, 10.0)["audio"][-1][1]
    sender.wall_error_s = set_by_s
    for n in range(500):
        at = 10.0 + n * AUDIO_S
        if n % 50 == 0:
            sender.report("audio", at)
        if n % 50 == 25:
            sender.report("video", at)
        for name, encode_s in (("audio", 0.055), ("video", 0.035)):
            clock = sender.tracks[name]
            clock.arrived(at + 500.0, at + encode_s)
            assert clock.time_of(at + 500.0, at + encode_s) - at == pytest.approx(before, abs=0.025)


@pytest.mark.parametrize("late_s", [0.3, 2.0])
@pytest.mark.parametrize("reports", [1, 2, 6])
def test_a_sender_that_reports_late_under_load_does_not_move_its_other_track(late_s: float, reports: int) -> None:
    sender = Sender(jitter_s=0.0)
    before = errors(sender, 10.0)["audio"][-1][1]
    for n in range(500):
        at = 10.0 + n * AUDIO_S
        if n % 50 == 0:
            sender.report("video", at, late_s if n < 50 * reports else 0.0)
        clock = sender.tracks["audio"]
        clock.arrived(at + 500.0, at + 0.055)
        assert clock.time_of(at + 500.0, at + 0.055) - at == pytest.approx(before, abs=0.025)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-(2**30), 2**30), max_size=40))
def test_unwrapped_timestamps_differ_as_the_true_ones_do(first: int, steps: list[int]) -> None:
    unwrapper, true = Unwrapper(), first
    before = unwrapper.see(first)
    for step in steps:
        true += step
        after = unwrapper.see(true % 2**32)
        assert after - before == step
        before = after


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=1, max_size=200))
def test_the_floor_is_the_least_of_the_last_eight_to_ten_seconds(seen: list[tuple[float, float]]) -> None:
    floor, now, history = Floor(), 0.0, []
    for step_s, value in seen:
        now += step_s
        history.append((now, value))
        got = floor.see(value, now)
        assert min(v for t, v in history if t >= now - 12) <= got <= min(v for t, v in history if t >= now - 8)


def test_a_slewed_value_moves_at_most_500_ppm_and_arrives() -> None:
    value = Slewed()
    value.follow(0.0, 0.0)
    assert value.follow(1.0, 1.0) == pytest.approx(500e-6)
    assert value.follow(1.0, 1.0) == pytest.approx(500e-6), "no time has passed"
    assert value.follow(0.0006, 2.0) == pytest.approx(600e-6)
