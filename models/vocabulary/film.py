"""Films: a recording's MP4 files, as a function of the timeline's rows. A part holds at most so much; holes are cut out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from models.vocabulary.ticks import TICKS_PER_S

CONTENT_TYPE: Final = "video/mp4"
#: The contract's bounds of one file: about two hours, about two gigabytes (§3).
PART_S: Final = 7_200
PART_BYTES: Final = 2_000_000_000


class Shot(BaseModel):
    """A stored segment, as a film needs it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start_90k: int
    end_90k: int
    key: str
    bytes: int
    md5: str  # hex


def parts(shots: Iterable[Shot], *, most_s: int = PART_S, most_bytes: int = PART_BYTES) -> list[list[Shot]]:
    """Shots in time order as parts, each filled before the next begins. Only the last one may still grow."""
    found: list[list[Shot]] = []
    length_90k = size_bytes = 0
    for shot in shots:
        shot_90k = shot.end_90k - shot.start_90k
        over = length_90k + shot_90k > most_s * TICKS_PER_S or size_bytes + shot.bytes > most_bytes
        if not found or over:
            found.append([])
            length_90k = size_bytes = 0
        found[-1].append(shot)
        length_90k += shot_90k
        size_bytes += shot.bytes
    return found


def unclaimed(shots: Iterable[Shot], claims: Sequence[tuple[int, int]]) -> list[list[Shot]]:
    """What no part has claimed yet, in runs: a part never reaches over another one. Claims are half-open ranges."""
    runs: list[list[Shot]] = []
    before = -1
    for shot in shots:
        behind = sum(start <= shot.start_90k for start, _ in claims)  # so many claims begin before it
        if any(start <= shot.start_90k < end for start, end in claims):
            continue
        if not runs or behind != before:
            runs.append([])
        runs[-1].append(shot)
        before = behind
    return runs
