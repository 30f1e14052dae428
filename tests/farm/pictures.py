"""What a recording of the one synthetic camera shows, frame by frame: decoded from the files in the store."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from tests.farm.backend import FPS, HEIGHT, WIDTH
from workers.synthetic.marker import View, read
from workers.synthetic.planes import luma

#: Pictures of the synthetic camera are numbered modulo its loop.
LOOP = 10 * FPS

Picture = tuple[float, int]  # (seconds on the recording clock, number)


def pictures(playlist: Path) -> list[Picture]:
    """Every frame in which the camera can be seen. The files must follow the rules of the playlist, and be complete."""
    structure = structure_of(playlist, live=False)
    assert structure.violations == ()
    view = View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT)
    found = []
    for at_s, frame in frames([it.listed.path for it in structure.placed]):
        marker = read(luma(frame), view)
        if marker is not None:
            found.append((at_s, marker.number))
    return found


def longest_hole_s(seen: list[Picture]) -> float:
    """The longest time in which the camera was not recorded."""
    return max((b - a - 1 / FPS for (a, _), (b, _) in pairwise(seen)), default=0.0)


def out_of_step(seen: list[Picture]) -> list[tuple[Picture, Picture]]:
    """Neighbours whose numbers are not as far apart as their times: between them a picture was lost, doubled or moved."""
    return [
        (before, after)
        for before, after in pairwise(seen)
        if (after[1] - before[1] - round((after[0] - before[0]) * FPS)) % LOOP
    ]
