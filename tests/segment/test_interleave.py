"""The order in the file, and where it is cut."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.ticks import audio_frame_from, audio_tick, frame_at_or_after, frame_tick
from workers.recorder.segment.interleave import Interleave, Piece


@dataclass(frozen=True)
class Frame:
    video: bool
    at_90k: int
    dts_90k: int


@given(
    fps=st.sampled_from([1, 7, 15, 60]),
    first=st.integers(0, 300),
    frames=st.integers(1, 200),
    late=st.integers(0, 40),
    slice_s=st.integers(1, 4),
    ahead=st.sampled_from([0, 3_000, 27_000]),
)
def test_each_frame_goes_once_into_the_piece_it_starts_in(
    fps: int, first: int, frames: int, late: int, slice_s: int, ahead: int
) -> None:
    start, end = frame_tick(first, fps), frame_tick(first + frames, fps)
    pictures = [Frame(True, frame_tick(n, fps), frame_tick(n - 2, fps)) for n in range(first, first + frames)]
    sounds = [
        Frame(False, audio_tick(j), audio_tick(j)) for j in range(audio_frame_from(start), audio_frame_from(end) + 2)
    ]
    merge: Interleave[Frame] = Interleave(start, slice_s, fps, audio=True, ahead_90k=ahead)
    out: list[tuple[Piece, Frame, bool]] = []
    arriving = sorted([*pictures, *sounds], key=lambda f: f.at_90k + (late * 9_000 if f.video else 0))
    early = arriving[: len(arriving) * 2 // 3]
    if ahead:  # what lies behind an end goes in only once that is known
        early = [frame for frame in early if frame.at_90k < end]
    for frame in early:
        merge.add(frame)
        out += merge.ready()
    merge.finish(end)
    given_early = set(early)
    for frame in arriving:
        if frame in given_early:
            continue
        merge.add(frame)
        out += merge.ready()
    assert sorted((f.video, f.at_90k) for _, f, _ in out) == sorted(
        (f.video, f.at_90k) for f in [*pictures, *sounds[:-2]]
    )
    slot = slice_s * 90_000
    for piece, frame, _ in out:
        assert piece.start_90k <= frame.at_90k < piece.end_90k
        assert piece.end_90k == end or piece.end_90k % slot == 0
    closed = [piece for piece, _, last in out if last]
    if merge.owed == 0 and not out[-1][2]:
        closed.append(merge.piece)  # all its frames had come before its end was known
    assert [p.start_90k for p in closed] == [start, *(p.end_90k for p in closed[:-1])]
    assert closed[-1].end_90k == end
    for piece in closed:
        mine = [f for p, f, _ in out if p.start_90k == piece.start_90k]
        turns = [f.dts_90k if f.video else max(f.dts_90k - ahead, piece.start_90k) for f in mine]
        assert turns == sorted(turns)
        assert sum(f.video for f in mine) == frame_at_or_after(piece.end_90k, fps) - frame_at_or_after(
            piece.start_90k, fps
        )


@given(start=st.integers(0, 400_000), length=st.integers(0, 500_000), known_late=st.booleans())
def test_sound_alone_is_cut_at_the_edges_too(start: int, length: int, known_late: bool) -> None:
    end = start + length
    own = range(audio_frame_from(start), audio_frame_from(end))
    merge: Interleave[Frame] = Interleave(start, 1, None, audio=True)
    out: list[tuple[Piece, Frame, bool]] = []
    if not known_late:
        merge.finish(end)
    for j in [*own, own.stop, own.stop + 1]:
        merge.add(Frame(False, audio_tick(j), audio_tick(j)))
        if j < own.stop:
            out += merge.ready()
    if known_late:
        merge.finish(end)
    out += merge.ready()
    assert [f.at_90k for _, f, _ in out] == [audio_tick(j) for j in own]
    closed = [piece for piece, _, last in out if last]
    if merge.owed == 0 and out and not out[-1][2]:
        closed.append(merge.piece)  # all its frames had come before its end was known
    assert [p.start_90k for p in closed] == ([start, *(p.end_90k for p in closed[:-1])] if closed else [])
    assert all(p.sounds > 0 and (p.end_90k == end or p.end_90k % 90_000 == 0) for p in closed)


def test_a_medium_that_is_behind_is_waited_for() -> None:
    merge: Interleave[Frame] = Interleave(0, 6, 15, audio=True)
    merge.add(Frame(False, 0, 0))
    assert list(merge.ready()) == []
    merge.add(Frame(True, 0, -12_000))
    assert [f.video for _, f, _ in merge.ready()] == [True]
