"""Whether the segments of a playlist stand on one grid of frames: nothing missing, doubled, or jumping unsaid. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from farm.judge.playlist import Listed
from farm.judge.transport import Times, unwrap
from models.vocabulary.ticks import AAC_TICKS, LEAD_90K, TICKS_PER_S, seconds

#: How far PROGRAM-DATE-TIME may lie from the frames: both ends are cut to whole ms.
_DATE_MS: Final = 2
_EXTINF_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Placed:
    """A segment on the recording clock: its times unwrapped, the lead taken off."""

    listed: Listed
    video_90k: tuple[int, ...]
    audio_90k: tuple[int, ...]

    @property
    def start_90k(self) -> int:
        return (self.video_90k or self.audio_90k)[0]


def place(listed: Sequence[Listed], times: Sequence[Times]) -> list[Placed]:
    """Segments without any unit are left out."""
    placed: list[Placed] = []
    near = 0
    for it, its_times in zip(listed, times, strict=True):
        video = tuple(unwrap(t, near) - LEAD_90K for t in its_times.video_90k)
        audio = tuple(unwrap(t, near) - LEAD_90K for t in its_times.audio_90k)
        if video or audio:
            placed.append(Placed(it, video, audio))
            near = (video or audio)[-1] + LEAD_90K
    return placed


def period_90k(placed: Sequence[Placed]) -> float:
    """Length of a frame, from whole frames a second; of an audio frame where there is no video."""
    steps = [b - a for it in placed for a, b in pairwise(it.video_90k) if b > a]
    return TICKS_PER_S / max(1, round(TICKS_PER_S / median(steps))) if steps else AAC_TICKS


def holes(placed: Sequence[Placed]) -> list[tuple[float, float]]:
    """Where frames are missing, as seconds on the recording clock."""
    period = period_90k(placed)
    at = sorted({t for it in placed for t in (it.video_90k or it.audio_90k)})
    found = [(0.0, seconds(at[0]))] if at and at[0] > period * 1.5 else []
    return found + [(seconds(round(a + period)), seconds(b)) for a, b in pairwise(at) if b - a > period * 1.5]


def check_grid(placed: Sequence[Placed]) -> list[str]:
    period = period_90k(placed)
    wrong: list[str] = []
    seen: set[int] = set()
    for it in placed:
        wrong += [f"{it.listed.name}: {text}" for text in _inside(it, period, seen)]
        seen.update(it.video_90k)
    for before, after in pairwise(placed):
        wrong += [f"{after.listed.name}: {text}" for text in _between(before, after, period)]
    if any(it.audio_90k for it in placed):
        wrong += [f"{it.listed.name}: has no sound" for it in placed if not it.audio_90k]
    return wrong


def _inside(it: Placed, period: float, seen: set[int]) -> list[str]:
    wrong: list[str] = []
    doubled = len(it.video_90k) - len(set(it.video_90k)) + len(seen.intersection(it.video_90k))
    if doubled:
        wrong.append(f"{doubled} frames are there twice")
    missing = sum(round((b - a) / period) - 1 for a, b in pairwise(it.video_90k) if b - a > period * 1.5)
    if missing:
        wrong.append(f"{missing} frames are missing inside")
    if any(b - a != AAC_TICKS for a, b in pairwise(it.audio_90k)):
        wrong.append("its sound has gaps or overlaps")
    if it.video_90k and it.audio_90k:
        apart = it.audio_90k[0] - it.video_90k[0]
        if abs(apart) > AAC_TICKS + period:
            wrong.append(f"sound and picture start {apart / 90:.0f} ms apart")
        apart_at_end = it.audio_90k[-1] + AAC_TICKS - it.video_90k[-1] - period
        if abs(apart_at_end) > AAC_TICKS + period:
            wrong.append(f"sound and picture end {apart_at_end / 90:.0f} ms apart")
    length_s = (_end(it, period) - it.start_90k) / TICKS_PER_S
    if abs(length_s - it.listed.duration_s) > _EXTINF_S:
        wrong.append(f"EXTINF says {it.listed.duration_s:g} s, its frames last {length_s:.4f} s")
    return wrong


def _between(before: Placed, after: Placed, period: float) -> list[str]:
    wrong: list[str] = []
    jump_90k = after.start_90k - _end(before, period)
    seamless = abs(jump_90k) < period / 2
    if jump_90k <= -period / 2:
        wrong.append(f"begins {-seconds(round(jump_90k)):.3f} s before the end of the one before")
    elif not seamless and not after.listed.discontinuity:
        wrong.append(f"a hole of {seconds(round(jump_90k)):.3f} s before it has no DISCONTINUITY")
    if seamless and after.listed.discontinuity:
        wrong.append("has a DISCONTINUITY where nothing jumps")
    if seamless and before.audio_90k and after.audio_90k and after.audio_90k[0] - before.audio_90k[-1] != AAC_TICKS:
        wrong.append("its sound does not go on where the one before ends")
    return wrong + _dates(before, after)


def _dates(before: Placed, after: Placed) -> list[str]:
    if before.listed.at_ms is None or after.listed.at_ms is None:
        return []
    off_ms = after.listed.at_ms - before.listed.at_ms - (after.start_90k - before.start_90k) / 90
    return [f"its PROGRAM-DATE-TIME is {off_ms:+.0f} ms off its frames"] if abs(off_ms) > _DATE_MS else []


def _end(it: Placed, period: float) -> float:
    return it.video_90k[-1] + period if it.video_90k else it.audio_90k[-1] + AAC_TICKS
