"""Times of units: by arrival where they are live, by their own account where they are read ahead."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vocabulary.channel import Track, TrackKind, TrackSource, Unit
from workers.recorder.capture.backoff import jittered
from workers.recorder.capture.pull.alignment import BEHIND_S, LATE_S, Live, Played
from workers.recorder.capture.pull.lane import STEP_S, Lane

VIDEO, AUDIO = 0, 1
DELAYS = st.lists(st.floats(0, 0.2), min_size=20, max_size=60)


@settings(max_examples=50, deadline=None)
@given(delays=DELAYS, zero=st.floats(-1e5, 1e5), skew_ppm=st.floats(-200, 200))
def test_a_live_unit_lies_where_the_quickest_of_its_like_arrives(
    delays: list[float], zero: float, skew_ppm: float
) -> None:
    live = Live()
    for n, delay in enumerate(delays[:10]):
        live.see(zero + n * 0.04, 1000 + n * 0.04 + delay)
    for n, delay in enumerate(delays):
        sent = 1000 + n * 0.04
        placed = live.place(VIDEO, zero + n * 0.04 * (1 + skew_ppm * 1e-6), sent + delay)
        assert not placed.broken
        assert sent - 0.001 <= placed.t <= sent + min(delays[:10]) + 0.26


def test_what_a_live_source_kept_for_us_lies_in_the_past() -> None:
    live = Live()
    for n in range(51):  # two seconds in a burst
        live.see(n * 0.04, 1000.0)
    assert live.place(VIDEO, 0.0, 1000.0).t == pytest.approx(998.0)
    assert live.place(VIDEO, 2.0, 1000.0).t == pytest.approx(1000.0)


def test_a_sender_that_begins_anew_breaks_the_time_line_and_is_live_again() -> None:
    live = Live()
    for n in range(100):
        live.place(VIDEO, n * 0.04, 1000 + n * 0.04)
    placed = live.place(VIDEO, 500.0, 1004.0)
    assert placed.broken and placed.t == pytest.approx(1004.0)
    assert not live.place(VIDEO, 500.04, 1004.04).broken
    assert live.place(VIDEO, 500.04, 1004.1 + BEHIND_S).broken


def test_what_is_played_keeps_its_own_distances_whenever_it_arrives() -> None:
    played = Played()
    bursts = [played.place(VIDEO, 7 + n * 0.04, 1000.0 if n < 50 else 1001.5) for n in range(100)]
    assert [round(it.t, 6) for it in bursts] == [round(1000 + n * 0.04, 6) for n in range(100)]
    assert not any(it.broken for it in bursts)


def test_what_comes_too_late_to_be_played_is_played_later_sound_and_pictures_alike() -> None:
    played = Played()
    played.place(VIDEO, 0.0, 1000.0)
    played.place(AUDIO, 0.0, 1000.0)
    late = played.place(VIDEO, 0.04, 1005.0)
    assert (late.t, late.broken) == (1005.0, False)
    assert played.place(AUDIO, 0.02, 1005.0).t == pytest.approx(1004.98)
    assert played.place(VIDEO, 0.08, 1005.04 + LATE_S / 2).t == pytest.approx(1005.04)


def test_a_discontinuity_goes_on_where_the_old_time_line_ended_also_for_who_is_still_on_it() -> None:
    played = Played()
    for n in range(25):
        played.place(VIDEO, 100 + n * 0.04, 1000.0)
        played.place(AUDIO, 100 + n * 0.04, 1000.0)
    jumped = played.place(VIDEO, 3.0, 1000.0)
    assert jumped.broken and 1000.9 < jumped.t < 1001.1
    left_over = played.place(AUDIO, 101.0, 1000.0)
    assert not left_over.broken and left_over.t == pytest.approx(1001.0)
    followed = played.place(AUDIO, 3.01, 1000.0)
    assert not followed.broken and followed.t == pytest.approx(jumped.t + 0.01)


@settings(max_examples=50, deadline=None)
@given(stamps=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), pause=st.floats(0, 20))
def test_however_a_source_stamps_its_units_they_lie_near_now(stamps: list[float], pause: float) -> None:
    played, now = Played(), 1000.0
    for stream, stamp in enumerate(stamps):
        t = played.place(stream % 2, stamp, now).t
        assert t >= now - LATE_S - 1e-6
        now = max(now + pause, t)  # who plays waits for what is ahead
        assert now < 1000 + (pause + 3.1) * (stream + 2)


# -- lanes --------------------------------------------------------------------------------------------------------


def lane(kind: TrackKind = TrackKind.VIDEO) -> Lane:
    return Lane(Track("t", "u", kind, TrackSource.CAMERA, "h264"))


def unit(t: float, *, key: bool = False, gap: bool = False) -> Unit:
    return Unit("", "h264", b"x" * 10, t, key, gap=gap)


def test_who_subscribes_late_gets_the_pictures_since_the_last_key_unit_as_of_now() -> None:
    pictures, got = lane(), list[Unit]()
    for n in range(10):
        pictures.push(unit(100 + n, key=n in (0, 4)))
    pictures.listen(got.append, 109.9)
    pictures.push(unit(110.0))
    assert [u.key for u in got] == [True] + [False] * 6
    assert all(a.t < b.t for a, b in itertools.pairwise(got)) and got[0].t == pytest.approx(109.7)


def test_the_pictures_of_a_camera_that_is_off_are_not_shown_as_of_now() -> None:
    pictures, got = lane(), list[Unit]()
    for n in range(10):
        pictures.push(unit(100 + n * 0.04, key=n == 0))
    pictures.listen(got.append, 101.0)
    pictures.push(unit(102.0))
    pictures.push(unit(102.04, key=True))
    assert [u.t for u in got] == [102.04]


def test_a_source_read_anew_begins_with_a_key_unit_that_says_what_was_lost() -> None:
    pictures, got = lane(), list[Unit]()
    pictures.listen(got.append, 100.0)
    for n, key in enumerate([True, False]):
        pictures.push(unit(100 + n * 0.1, key=key))
    pictures.broke()
    for n, key in enumerate([False, True, False]):
        pictures.push(unit(100.05 + n * 0.01, key=key))
    assert [(u.key, u.gap) for u in got] == [(True, False), (False, False), (True, True), (False, False)]
    assert all(b.t - a.t >= STEP_S - 1e-9 for a, b in itertools.pairwise(got))


def test_sound_is_neither_kept_nor_moved() -> None:
    sound, got = lane(TrackKind.AUDIO), list[Unit]()
    sound.push(unit(100.0, key=True))
    sound.listen(got.append, 101.0)
    for t in (101.0, 100.9, 101.02):
        sound.push(unit(t, key=True))
    assert [(u.t, u.gap) for u in got] == [(101.0, False), (101.02, True)]


def test_pictures_without_end_are_not_kept_for_ever() -> None:
    pictures = lane()
    for n in range(2_000):
        pictures.push(unit(100 + n, key=n == 0))
    assert not pictures._kept and not pictures._kept_bytes


def test_waits_double_up_to_a_bound_and_chance_chooses_below_it() -> None:
    waits = jittered(lambda: 0.5, 0.5, 20.0)
    assert [next(waits) for _ in range(8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
