"""What the recording shows of what was sent: each flash, in its sender's cell, at its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

from farm.demo.cast import FPS, HEIGHT, WIDTH
from farm.demo.room import Presence
from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from farm.judge.users import Cell, Eye, Watched, flash_times
from workers.recorder.mixer.geometry import best_fit_cells, pixels
from workers.synthetic.marker import View
from workers.synthetic.planes import luma

#: A flash counts when it stands within so many recorded frames of the time at which it was sent.
WITHIN_FRAMES: Final = 2
#: Around a change of the room a picture may show the arrangement before or the one after: joining takes its time.
CHANGE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Span:
    """An arrangement of the room: who was in it from when to when, in order of joining."""

    from_s: float
    to_s: float
    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Review:
    sent: int
    found: int
    late_ms: float | None  # median of (recorded − sent)
    missing: tuple[str, ...] = ()  # "Ada at 3.2 s"

    @property
    def pct(self) -> float:
        return 100.0 * self.found / self.sent if self.sent else 0.0


def review(playlist: Path, presences: Sequence[Presence], zero: float, end: float) -> Review:
    """`zero` and `end` of the recording in monotonic seconds, as the presences have them."""
    spans = arrangements(presences, zero, end)
    sent = found = 0
    late: list[float] = []
    missing: list[str] = []
    for presence in presences:
        flashes = [at - zero for at in presence.flashes() if zero <= at < end - WITHIN_FRAMES / FPS]
        seen = flashes_seen(playlist, presence, spans)
        matched = in_order(flashes, seen, WITHIN_FRAMES / FPS)
        sent += len(flashes)
        found += len(matched)
        late += [1000 * (b - a) for a, b in matched]
        name = presence.player.plan.name
        missing += [f"{name} at {at:.2f} s" for at in flashes if at not in dict(matched)]
    return Review(sent, found, median(late) if late else None, tuple(missing))


def arrangements(presences: Sequence[Presence], zero: float, end: float) -> list[Span]:
    """Who stood in the picture when, on the recording clock."""
    moments = sorted({zero, end, *(m for p in presences for m in (p.entered, p.left or end) if zero < m < end)})
    return [
        Span(a - zero, b - zero, tuple(p.player.uid for p in presences if p.entered <= a < (p.left or end)))
        for a, b in pairwise(moments)
    ]


def flashes_seen(playlist: Path, presence: Presence, spans: Sequence[Span]) -> list[float]:
    """Flashes of one player in the cells he has: near a change in either, since joining and leaving take their time."""
    eyes = [Eye(_watched(presence, span)) for span in spans if presence.player.uid in span.uids]
    paths = [placed.listed.path for placed in structure_of(playlist, live=False).placed]
    for at_s, frame in frames(paths):
        picture = luma(frame)
        for eye in eyes:
            eye.look(at_s, picture)
    return sorted({round(t, 4) for eye in eyes for t in flash_times(eye.seen, presence.player.plan.fps)})


def in_order(sent: Sequence[float], seen: Sequence[float], within_s: float) -> list[tuple[float, float]]:
    """Pairs of a flash and its picture, each used once, none before another that was sent earlier."""
    pairs: list[tuple[float, float]] = []
    n = 0
    for at_s in sent:
        while n < len(seen) and seen[n] < at_s - within_s - 1e-6:
            n += 1
        if n < len(seen) and seen[n] <= at_s + within_s + 1e-6:
            pairs.append((at_s, seen[n]))
            n += 1
    return pairs


def _watched(presence: Presence, span: Span) -> Watched:
    plan = presence.player.plan
    place = best_fit_cells(len(span.uids))[span.uids.index(presence.player.uid)]
    box = pixels(place, WIDTH, HEIGHT)
    view = View(box.x, box.y, box.w, box.h, plan.width, plan.height)
    cell = Cell(view, span.from_s - CHANGE_S, span.to_s + CHANGE_S)
    return Watched(plan.user_no, plan.name, (cell,), ((span.from_s, span.to_s),), plan.fps, plan.loop_s)


def watched(presences: Sequence[Presence], zero: float, end: float) -> list[Watched]:
    """For the general judge: each player in his steady cells, the moments of change left out."""
    spans = arrangements(presences, zero, end)
    found = []
    for presence in presences:
        mine = [s for s in spans if presence.player.uid in s.uids and s.to_s - s.from_s > 2 * CHANGE_S]
        cells = tuple(Cell(_watched(presence, s).cells[0].view, s.from_s + CHANGE_S, s.to_s - CHANGE_S) for s in mine)
        plan = presence.player.plan
        due = tuple((cell.from_s, cell.to_s) for cell in cells)
        found.append(Watched(plan.user_no, plan.name, cells, due, plan.fps, plan.loop_s))
    return found
