"""A recording at a glance: evenly spaced pictures with their times, for people to look at."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Final

import av
from PIL import Image, ImageDraw, ImageFont

from farm.judge.pictures import frames
from farm.judge.structure import structure_of

_MARGIN: Final = 24
_GAP: Final = 16
_CAPTION: Final = 30
_HEADER: Final = 64
_PAPER: Final = "#14161a"
_CARD: Final = "#1f2329"
_INK: Final = "#f2f4f7"
_FAINT: Final = "#98a2b3"


def contact_sheet(playlist: Path, out: Path, *, count: int = 12, title: str = "", cell_px: int = 240) -> Path:
    """Write a PNG of `count` pictures, `cell_px` on their longer side. Raises `ValueError` when there are none."""
    shots = _shots(playlist, count, cell_px)
    if not shots:
        raise ValueError(f"{playlist.name} has no pictures")
    width, height = shots[0][1].size
    columns = min(len(shots), 6 if height > width else 4)
    rows = ceil(len(shots) / columns)
    sheet = Image.new(
        "RGB",
        (2 * _MARGIN + columns * (width + _GAP) - _GAP, _HEADER + _MARGIN + rows * (height + _CAPTION + _GAP) - _GAP),
        _PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _HEADER // 2), title or playlist.stem, _INK, ImageFont.load_default(22), anchor="lm")
    for n, (at_s, picture) in enumerate(shots):
        row, column = divmod(n, columns)
        x, y = _MARGIN + column * (width + _GAP), _HEADER + row * (height + _CAPTION + _GAP)
        pen.rounded_rectangle((x - 4, y - 4, x + width + 3, y + height + _CAPTION), 6, _CARD)
        sheet.paste(picture, (x, y))
        middle = (x + width // 2, y + height + _CAPTION // 2 - 1)
        pen.text(middle, timecode(at_s), _FAINT, ImageFont.load_default(15), anchor="mm")
    sheet.save(out, "PNG", optimize=True)
    return out


def timecode(at_s: float) -> str:
    ms = round(at_s * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _shots(playlist: Path, count: int, cell_px: int) -> list[tuple[float, Image.Image]]:
    """The middle picture of each of `count` equal parts."""
    placed = structure_of(playlist, live=True).placed
    total = sum(len(it.video_90k) for it in placed)
    wanted = {(2 * n + 1) * total // (2 * count) for n in range(count)}
    found = enumerate(frames([it.listed.path for it in placed]))
    return [(at_s, _small(frame, cell_px)) for n, (at_s, frame) in found if n in wanted]


def _small(frame: av.VideoFrame, cell_px: int) -> Image.Image:
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    picture.thumbnail((cell_px, cell_px), Image.Resampling.LANCZOS)
    return picture
