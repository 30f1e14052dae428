"""A playlist as it lies there, and what is wrong with its text (RFC 8216)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 64_000_000
_EXTINF = re.compile(r"#EXTINF:(\d+(?:\.\d+)?),")


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    path: Path
    duration_s: float
    discontinuity: bool
    at_ms: int | None  # PROGRAM-DATE-TIME, unix ms


@dataclass(frozen=True, slots=True)
class Playlist:
    path: Path
    target_s: int | None
    version: int
    ended: bool
    segments: tuple[Listed, ...]


def parse(path: Path) -> tuple[Playlist, list[str]]:
    """The playlist as far as it can be read, and every line that cannot."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} is longer than {MAX_BYTES} bytes")
    reading = _Reading(path)
    for line in path.read_text(encoding="utf-8").splitlines():
        reading.take(line.strip())
    return reading.result(), reading.wrong


def check_text(playlist: Playlist, *, live: bool = False) -> list[str]:
    """What the text alone says is wrong."""
    wrong: list[str] = []
    if playlist.target_s is None:
        wrong.append("there is no EXT-X-TARGETDURATION")
    if not live and not playlist.ended:
        wrong.append("there is no EXT-X-ENDLIST")
    if playlist.version < 3:
        wrong.append("fractions of seconds in EXTINF need EXT-X-VERSION 3")
    for it in playlist.segments:
        if playlist.target_s is not None and int(it.duration_s + 0.5) > playlist.target_s:
            wrong.append(f"{it.name}: EXTINF {it.duration_s:g} is longer than TARGETDURATION {playlist.target_s}")
        if not it.path.is_file():
            wrong.append(f"{it.name}: there is no such file")
        if it.at_ms is None:
            wrong.append(f"{it.name}: has no PROGRAM-DATE-TIME")
    return wrong + _twice([it.name for it in playlist.segments]) + _backwards(playlist.segments)


def _twice(names: Sequence[str]) -> list[str]:
    return [f"{name}: is listed twice" for name in sorted(name for name, count in Counter(names).items() if count > 1)]


def _backwards(segments: Sequence[Listed]) -> list[str]:
    timed = [(it.name, it.at_ms) for it in segments if it.at_ms is not None]
    return [
        f"{name}: its PROGRAM-DATE-TIME is not after the one before"
        for (_, before), (name, at_ms) in pairwise(timed)
        if at_ms <= before
    ]


class _Reading:
    """Takes one line after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.wrong: list[str] = []
        self._lines = 0
        self._once: set[str] = set()
        self._target_s: int | None = None
        self._version = 1
        self._ended = False
        self._segments: list[Listed] = []
        self._duration_s: float | None = None
        self._discontinuity = False
        self._at_ms: int | None = None

    def result(self) -> Playlist:
        if self._duration_s is not None:
            self.wrong.append("an EXTINF has no segment after it")
        return Playlist(self._path, self._target_s, self._version, self._ended, tuple(self._segments))

    def take(self, line: str) -> None:
        self._lines += 1
        if self._lines == 1:
            if line != "#EXTM3U":
                self.wrong.append("the first line is not #EXTM3U")
            return
        if self._ended and line:
            self.wrong.append(f"{line[:60]!r} stands after EXT-X-ENDLIST")
        tag, _, value = line.partition(":")
        match tag:
            case "#EXT-X-TARGETDURATION" | "#EXT-X-VERSION" | "#EXT-X-MEDIA-SEQUENCE":
                self._number(tag, value)
            case "#EXT-X-PROGRAM-DATE-TIME":
                self._time(value)
            case "#EXTINF":
                self._extinf(line)
            case "#EXT-X-DISCONTINUITY":
                self._discontinuity = True
            case "#EXT-X-ENDLIST":
                self._ended = True
            case _ if line and not line.startswith("#"):
                self._segment(line)
            case _:  # RFC 8216 §4: other tags and comments are to be ignored
                pass

    def _number(self, tag: str, value: str) -> None:
        name = tag.removeprefix("#")
        if tag in self._once:
            self.wrong.append(f"{name} stands there twice")
        self._once.add(tag)
        if not value.isdecimal():
            self.wrong.append(f"{name} is no number")
        elif tag == "#EXT-X-TARGETDURATION":
            self._target_s = int(value)
        elif tag == "#EXT-X-VERSION":
            self._version = int(value)
        elif self._segments:
            self.wrong.append(f"{name} stands after the first segment")

    def _time(self, value: str) -> None:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.wrong.append(f"PROGRAM-DATE-TIME {value[:40]!r} is no time")
            return
        if at.tzinfo is None:
            self.wrong.append(f"PROGRAM-DATE-TIME {value[:40]!r} has no time zone")
            return
        self._at_ms = round(at.timestamp() * 1000)

    def _extinf(self, line: str) -> None:
        found = _EXTINF.match(line)
        if found is None:
            self.wrong.append(f"{line[:60]!r} is no EXTINF")
            return
        self._duration_s = float(found[1])

    def _segment(self, name: str) -> None:
        if self._duration_s is None:
            self.wrong.append(f"{name}: has no EXTINF")
        if Path(name).is_absolute() or "://" in name or ".." in Path(name).parts:
            self.wrong.append(f"{name}: does not lie beside its playlist")
        else:
            path = self._path.parent / name
            self._segments.append(Listed(name, path, self._duration_s or 0.0, self._discontinuity, self._at_ms))
        self._duration_s, self._discontinuity, self._at_ms = None, False, None
