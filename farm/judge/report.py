"""The verdict on one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from farm.judge.grid import holes, period_90k
from farm.judge.pictures import frames
from farm.judge.sounds import beeps
from farm.judge.structure import structure_of
from farm.judge.users import Eye, UserVerdict, Watched, judge_user
from models.vocabulary.ticks import TICKS_PER_S
from workers.synthetic.planes import luma


@dataclass(frozen=True, slots=True)
class Verdict:
    violations: tuple[str, ...]
    segments: int
    frames: int  # decoded
    duration_s: float  # of the decoded frames
    width: int
    height: int
    fps: float
    holes: tuple[tuple[float, float], ...]  # on the recording clock
    users: tuple[UserVerdict, ...]

    @property
    def flashes_found_pct(self) -> float:
        """Of all flashes that were due; 100 when none was."""
        due = sum(it.flashes_due for it in self.users)
        return 100.0 * sum(it.flashes_found for it in self.users) / due if due else 100.0

    @property
    def av_offset_ms(self) -> float | None:
        offsets = [it.av_offset_ms for it in self.users if it.av_offset_ms is not None]
        return median(offsets) if offsets else None

    @property
    def first_seen_s(self) -> float | None:
        """When the first user was first seen, on the recording clock."""
        return min((it.first_seen_s for it in self.users if it.first_seen_s is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "flashes_found_pct": round(self.flashes_found_pct, 2),
            "av_offset_ms": self.av_offset_ms,
            "first_seen_s": self.first_seen_s,
        }


def judge_recording(playlist: Path, watched: Sequence[Watched] = (), *, live: bool = False) -> Verdict:
    """Decode a whole recording and judge it. What is wrong with a file is a violation, never an exception."""
    structure = structure_of(playlist, live=live)
    paths = [it.listed.path for it in structure.placed]
    violations = list(structure.violations)
    eyes = [Eye(it) for it in watched]
    count, width, height = 0, 0, 0
    try:
        for at_s, frame in frames(paths):
            count, width, height = count + 1, frame.width, frame.height
            for eye in eyes:
                eye.look(at_s, luma(frame))
    except ValueError as error:
        violations.append(str(error))
    expected = sum(len(it.video_90k) for it in structure.placed)
    if count != expected:
        violations.append(f"{expected} pictures lie in the files, {count} could be decoded")
    fps = TICKS_PER_S / period_90k(structure.placed)
    heard = beeps(paths, [it.user_no for it in watched]) if watched else {}
    users = tuple(judge_user(eye.watched, eye.seen, heard[eye.watched.user_no], fps) for eye in eyes)
    return Verdict(
        violations=tuple(violations),
        segments=len(structure.placed),
        frames=count,
        duration_s=round(count / fps, 4),
        width=width,
        height=height,
        fps=fps,
        holes=tuple(holes(structure.placed)),
        users=users,
    )
