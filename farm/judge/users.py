"""What is seen and heard of one user: flashes in his cell, beeps of his pitch, numbers of his pictures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from statistics import median
from typing import Final

import numpy as np

from workers.synthetic.marker import FLASH_FROM, View, brightness, read
from workers.synthetic.planes import Plane
from workers.synthetic.tones import Beep

#: A flash counts when it stands within so many output frames of its time.
FLASH_FRAMES: Final = 2
#: Flash and beep of one second belong together when they are nearer than this.
_PAIR_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a user's picture stands during [from_s, to_s) of the recording clock."""

    view: View
    from_s: float = 0.0
    to_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Watched:
    """A user to look for. `due`: when he was in the room and seen, on the recording clock."""

    user_no: int
    name: str
    cells: tuple[Cell, ...]
    due: tuple[tuple[float, float], ...]
    fps: int = 30  # of his camera
    loop_s: int = 10


@dataclass(frozen=True, slots=True)
class Sighting:
    """One output picture of his cell."""

    at_s: float
    number: int | None  # of his picture, modulo his loop; None: no marker of his could be read
    flashing: bool


@dataclass(frozen=True, slots=True)
class UserVerdict:
    name: str
    user_no: int
    first_seen_s: float | None  # the first picture with his marker
    flashes_due: int
    flashes_found: int
    frames_seen: int
    frames_unread: int  # pictures in his time in which no marker of his could be read
    frames_lost: int  # output frames' worth of his pictures that never appeared
    frames_doubled: int  # a picture shown again where a newer one was due
    frames_backward: int
    still_s: float  # the longest time for which one and the same picture stood, or none could be read
    beeps_due: int
    beeps_found: int
    seconds_lost: int  # by the codes heard
    seconds_doubled: int
    av_offset_ms: float | None  # median of flash − beep; positive: the picture is late
    offset_s: float | None  # his zero on the recording clock, modulo his loop, as the pictures show it
    heard_offset_s: float | None  # the same as the beeps tell it, modulo a second

    @property
    def flashes_found_pct(self) -> float:
        return 100.0 * self.flashes_found / self.flashes_due if self.flashes_due else 100.0


@dataclass(slots=True)
class Eye:
    """Looks at one user's cell in picture after picture."""

    watched: Watched
    seen: list[Sighting] = field(default_factory=list)

    def look(self, at_s: float, luma: Plane) -> None:
        cell = next((cell for cell in self.watched.cells if cell.from_s <= at_s < cell.to_s), None)
        if cell is None:
            return
        marker = read(luma, cell.view)
        number = marker.number if marker and marker.user_no == self.watched.user_no else None
        self.seen.append(Sighting(at_s, number, brightness(luma, cell.view) > FLASH_FROM))


def judge_user(watched: Watched, seen: Sequence[Sighting], beeps: Sequence[Beep], out_fps: float) -> UserVerdict:
    read_ones = [(it.at_s, it.number) for it in seen if it.number is not None]
    offset_s = _offset_s(watched, read_ones)
    due = _seconds_due(watched, offset_s)
    flashes = flash_times(seen, watched.fps)
    lost, doubled, backward = _steps(watched, read_ones, out_fps)
    heard = [beep for beep in beeps if any(a <= beep.at_s < b for a, b in watched.due)]
    again = [
        (b.second - a.second) % min(watched.loop_s, 256)
        for a, b in pairwise(heard)
        if a.second is not None and b.second is not None
    ]
    pairs = [(flash - beep.at_s) * 1000 for flash in flashes for beep in beeps if abs(flash - beep.at_s) < _PAIR_S]
    return UserVerdict(
        name=watched.name,
        user_no=watched.user_no,
        first_seen_s=read_ones[0][0] if read_ones else None,
        flashes_due=len(due),
        flashes_found=_matched(due, flashes, FLASH_FRAMES / out_fps),
        frames_seen=len(read_ones),
        frames_unread=sum(it.number is None and any(a <= it.at_s < b for a, b in watched.due) for it in seen),
        frames_lost=lost,
        frames_doubled=doubled,
        frames_backward=backward,
        still_s=_still_s(watched, read_ones, out_fps),
        beeps_due=len(due),
        beeps_found=_matched(due, [beep.at_s for beep in beeps], FLASH_FRAMES / out_fps),
        seconds_lost=sum(step - 1 for step in again if step > 1),
        seconds_doubled=sum(step == 0 for step in again),
        av_offset_ms=median(pairs) if pairs else None,
        offset_s=offset_s,
        heard_offset_s=_middle([beep.at_s for beep in heard], 1.0),
    )


def flash_times(seen: Sequence[Sighting], fps: int) -> list[float]:
    """Onsets. Where the first white picture is not the flash's first, its number says how much earlier that was."""
    times: list[float] = []
    before = False
    for it in seen:
        if it.flashing and not before:
            late = it.number % fps if it.number is not None else 0
            times.append(it.at_s - (late / fps if late < fps / 2 else 0))
        before = it.flashing
    return times


def _offset_s(watched: Watched, read_ones: Sequence[tuple[float, int]]) -> float | None:
    """Where his zero lies, modulo the loop: the circular median of place − number / fps."""
    return _middle([at_s - number / watched.fps for at_s, number in read_ones], watched.loop_s)


def _middle(times_s: Sequence[float], turn_s: float) -> float | None:
    """Circular median."""
    if not times_s:
        return None
    times = np.array(times_s)
    turn = 2 * np.pi / turn_s
    middle = float(np.angle(np.exp(1j * turn * times).mean())) / turn
    apart = (times - middle + turn_s / 2) % turn_s - turn_s / 2
    return (middle + float(np.median(apart))) % turn_s


def _seconds_due(watched: Watched, offset_s: float | None) -> list[float]:
    """When his seconds begin while he is due. Unknown phase: they count as due from the span's begin on."""
    due: list[float] = []
    for from_s, to_s in watched.due:
        phase = (offset_s if offset_s is not None else from_s) % 1.0
        first = ceil(from_s - phase - 1e-3)
        due += [second + phase for second in range(first, ceil(to_s - phase - 1e-3))]
    return due


def _matched(due: Sequence[float], found: Sequence[float], within_s: float) -> int:
    """How many due times have a found one of their own, in order."""
    count, n = 0, 0
    for at_s in due:
        while n < len(found) and found[n] < at_s - within_s - 1e-6:
            n += 1
        if n < len(found) and found[n] <= at_s + within_s + 1e-6:
            count, n = count + 1, n + 1
    return count


def _still_s(watched: Watched, read_ones: Sequence[tuple[float, int]], out_fps: float) -> float:
    """Within each span in which he is due, its ends included."""
    longest_s = 0.0
    for from_s, to_s in watched.due:
        inside = [it for it in read_ones if from_s <= it[0] < to_s]
        fresh = [from_s, *(b[0] for a, b in pairwise(inside) if a[1] != b[1]), to_s]
        longest_s = max(longest_s, *(b - a - 1 / out_fps for a, b in pairwise(fresh)))
    return longest_s


def _steps(watched: Watched, read_ones: Sequence[tuple[float, int]], out_fps: float) -> tuple[int, int, int]:
    """Lost, doubled, backward: by how far the numbers step from each output picture to the next one."""
    step = max(1.0, watched.fps / out_fps)
    lost = doubled = backward = 0
    for (a_s, a), (b_s, b) in pairwise(read_ones):
        if b_s - a_s > 1.5 / out_fps:
            continue  # a hole or unread pictures between: counted there
        moved = (b - a + watched.loop_s * watched.fps // 2) % (
            watched.loop_s * watched.fps
        ) - watched.loop_s * watched.fps // 2
        lost += max(0, int(moved / step + 1e-6) - 1)
        doubled += moved == 0 and watched.fps >= out_fps
        backward += moved < 0
    return lost, doubled, backward
