"""The recording clock's grid: integer ticks of 1/90 000 s from a recording's zero, half-open ranges.

A frame's or an audio frame's tick is always computed from its index, never summed up, so that any worker
that makes a piece of a recording lands on the same grid (docs/design/recording-clock.md).
"""

from __future__ import annotations

from typing import Final

TICKS_PER_S: Final = 90_000
#: PTS of the recording's zero in the files: room for the two frames by which DTS precedes PTS.
LEAD_90K: Final = 90_000
SAMPLE_RATE: Final = 48_000
#: Samples of one AAC frame, and its length on the grid: 1024 · 90 000 / 48 000 is whole.
AAC_SAMPLES: Final = 1024
AAC_TICKS: Final = 1_920
#: What the contract makes of a requested fps; any other value falls to 15.
EFFECTIVE_FPS: Final = (1, 7, 10, 15, 24, 30, 60)
DEFAULT_FPS: Final = 15


def effective_fps(requested: int) -> int:
    """Snap a requested frame rate to one the contract records with."""
    return requested if requested in EFFECTIVE_FPS else DEFAULT_FPS


def frame_tick(n: int, fps: int) -> int:
    """Tick of video frame `n`: round(n · 90 000 / fps), halves up."""
    return (2 * n * TICKS_PER_S + fps) // (2 * fps)


def frame_at_or_after(tick_90k: int, fps: int) -> int:
    """The first video frame whose tick is not before `tick_90k`."""
    n = max(0, tick_90k * fps // TICKS_PER_S - 1)
    while frame_tick(n, fps) < tick_90k:
        n += 1
    return n


def audio_frame_from(tick_90k: int) -> int:
    """The first AAC frame that starts at or after a tick: a frame belongs to the piece in which it starts."""
    return -(-tick_90k // AAC_TICKS)


def audio_tick(j: int) -> int:
    """Tick of AAC frame `j` (samples 1024·j … 1024·j + 1023 at 48 kHz)."""
    return j * AAC_TICKS


def sample_at(tick_90k: int) -> int:
    """Index of the 48 kHz sample at a tick, rounded down."""
    return tick_90k * SAMPLE_RATE // TICKS_PER_S


def slot_ticks(slice_s: int) -> int:
    """Length of a slot; slot k is [k · slot, (k + 1) · slot)."""
    return slice_s * TICKS_PER_S


def slot_end_after(tick_90k: int, slice_s: int) -> int:
    """The first slot edge strictly after a tick."""
    slot = slot_ticks(slice_s)
    return (tick_90k // slot + 1) * slot


def seconds(ticks_90k: int) -> float:
    return ticks_90k / TICKS_PER_S


def ticks(seconds_s: float) -> int:
    """Nearest tick to a length in seconds."""
    return round(seconds_s * TICKS_PER_S)
