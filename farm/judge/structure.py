"""Everything that is wrong with a recording's files, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from farm.judge.grid import Placed, check_grid, place
from farm.judge.playlist import Listed, Playlist, check_text, parse
from farm.judge.transport import Times, check_packets, times_of


@dataclass(frozen=True, slots=True)
class Structure:
    playlist: Playlist
    placed: tuple[Placed, ...]
    violations: tuple[str, ...]


def check(path: Path, *, live: bool = False) -> list[str]:
    """Violations of a playlist and its segments; `live`: it need not have ended."""
    return list(structure_of(path, live=live).violations)


def structure_of(path: Path, *, live: bool = False) -> Structure:
    playlist, wrong = parse(path)
    wrong += check_text(playlist, live=live)
    counters: dict[int, int] = {}
    listed: list[Listed] = []
    times: list[Times] = []
    for it in playlist.segments:
        if not it.path.is_file():
            continue  # said by check_text
        its_times, its_wrong = _segment(it.path, counters)
        wrong += [f"{it.name}: {text}" for text in its_wrong]
        listed.append(it)
        times.append(its_times)
    placed = place(listed, times)
    return Structure(playlist, tuple(placed), tuple(wrong + check_grid(placed)))


def _segment(path: Path, counters: dict[int, int]) -> tuple[Times, list[str]]:
    wrong = check_packets(path, counters)
    try:
        times = times_of(path)
    except ValueError as error:
        return Times(), [*wrong, str(error)]
    if not times.video_90k and not times.audio_90k:
        wrong.append("has neither picture nor sound")
    if times.video_90k and not times.begins_with_idr:
        wrong.append("does not start with an IDR and its parameter sets")
    return times, wrong
