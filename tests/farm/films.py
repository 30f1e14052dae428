"""The MP4s of a recording beside its playlist: as many frames, each the same picture, and nothing where there is a hole."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from tests.farm.backend import FPS, HEIGHT, WIDTH
from workers.synthetic.marker import View, read
from workers.synthetic.planes import luma

VIEW = View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT)


def numbers(files: list[Path]) -> list[int | None]:
    """What each frame shows; None: nobody."""
    found = [read(luma(frame), VIEW) for _, frame in frames(files)]
    return [None if marker is None else marker.number for marker in found]


def shown(film: Path) -> tuple[list[int | None], float, int]:
    """(what each frame shows, how long it says it is, frames of sound); its pictures stand on the grid from 0 on."""
    with av.open(str(film)) as container:
        seconds, found, at = (container.duration or 0) / 1e6, [], []
        for frame in container.decode(video=0):
            at.append(frame.time)
            marker = read(luma(frame), VIEW)
            found.append(None if marker is None else marker.number)
    assert at == pytest.approx([n / FPS for n in range(len(at))], abs=1e-4)
    with av.open(str(film)) as container:
        return found, seconds, sum(1 for _ in container.decode(audio=0))


def assert_equal_to_the_playlist(films: list[Path], playlist: Path) -> None:
    """Frame by frame; and none is longer than its pictures."""
    placed = structure_of(playlist, live=False).placed
    listed = numbers([it.listed.path for it in placed])
    made = [shown(film) for film in films]
    assert [number for seen, _, _ in made for number in seen] == listed
    for seen, seconds, sounds in made:
        assert seconds == pytest.approx(len(seen) / FPS, abs=0.05)
        assert sounds == pytest.approx(len(seen) / FPS * 48_000 / 1_024, abs=3)
