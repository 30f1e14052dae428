"""Which prefix of a torn file is whole: the choice, without files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.ticks import audio_frame_from, frame_tick
from workers.recorder.segment.recovery import Kept, contiguous, kept


def test_frames_in_coding_order_count_once_their_gap_is_closed() -> None:
    assert contiguous([0, 3, 1, 2, 6, 4]) == [1, 4]
    assert contiguous([5]) == [1]
    assert contiguous([]) == []


def test_the_picture_goes_no_further_than_the_sound() -> None:
    sounds = list(range(47))  # 1.002 s
    assert kept(list(range(30)), sounds, 15, audio=True) == Kept(0, 90_000, 15, 47)


def test_sound_with_a_gap_ends_at_the_gap() -> None:
    assert kept(list(range(30)), [*range(24), *range(30, 90)], 15, audio=True) == Kept(0, frame_tick(7, 15), 7, 22)


def test_without_its_sound_nothing_is_whole() -> None:
    assert kept([0, 1], [], 15, audio=True) is None
    assert kept([0, 1], [7, 8, 9], 15, audio=True) is None
    assert kept([0, 1], [], 15, audio=False) == Kept(0, 12_000, 2, 0)
    assert kept([], [], None, audio=True) is None


@given(
    first=st.integers(0, 1000),
    frames=st.integers(1, 60),
    heard=st.integers(0, 200),
    order=st.randoms(use_true_random=False),
)
def test_what_is_kept_is_whole(first: int, frames: int, heard: int, order: object) -> None:
    fps = 15
    pictures = [first]
    rest = list(range(first + 1, first + frames))
    while rest:  # any order with little reordering, as encoders make it
        pictures.append(rest.pop(order.randrange(min(4, len(rest)))))  # type: ignore[attr-defined]  # a Random
    start = audio_frame_from(frame_tick(first, fps))
    found = kept(pictures, list(range(start, start + heard)), fps, audio=True)
    if found is None:
        assert start + heard < audio_frame_from(frame_tick(first + 1, fps))
        return
    assert sorted(pictures[: found.pictures]) == list(range(first, first + found.pictures))
    assert found.sounds == audio_frame_from(found.end_90k) - start
    assert found.sounds <= heard
