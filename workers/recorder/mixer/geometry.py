"""Cells of the contract's layouts (§4), in exact fractions of the canvas, and their rounding to even pixels. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from models.vocabulary.spec import VideoSpec

MAX_REGIONS: Final = 17

#: Float: each small window's share of the canvas, and the gaps and margins between them.
_FLOAT_SIDE: Final = Fraction(235, 1000)
_FLOAT_GAP: Final = Fraction(12, 1000)

F = Fraction


@dataclass(frozen=True, slots=True)
class Cell:
    """Fractions of the canvas, from its top left."""

    x: Fraction
    y: Fraction
    w: Fraction
    h: Fraction


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of the canvas, all even."""

    x: int
    y: int
    w: int
    h: int


def pixels(cell: Cell, width: int, height: int) -> Box:
    """Edges are rounded, not sizes: cells that share an edge share its pixel, so there is no seam and no overlap."""
    left, right = _even(cell.x * width), _even((cell.x + cell.w) * width)
    top, bottom = _even(cell.y * height), _even((cell.y + cell.h) * height)
    return Box(left, top, right - left, bottom - top)


def canvas_size(video: VideoSpec) -> tuple[int, int]:
    """Width and height as recorded: yuv420p has a chroma sample for each two pixels."""
    return video.width // 2 * 2, video.height // 2 * 2


def _even(edge: Fraction) -> int:
    return 2 * int(edge / 2 + F(1, 2))


def float_cells(count: int) -> list[Cell]:
    """The first fills the canvas; the others stand on it, four to a row, from the bottom left."""
    return [Cell(F(0), F(0), F(1), F(1)), *(_float_window(i) for i in range(MAX_REGIONS - 1))][:count]


def _float_window(i: int) -> Cell:
    pitch = _FLOAT_SIDE + _FLOAT_GAP
    return Cell(_FLOAT_GAP + i % 4 * pitch, 1 - (i // 4 + 1) * pitch, _FLOAT_SIDE, _FLOAT_SIDE)


def best_fit_cells(count: int) -> list[Cell]:
    """One full, two side by side, then the smallest square grid; 17 have a grid of their own, the last one centred."""
    if count == 2:
        return [Cell(F(i, 2), F(0), F(1, 2), F(1)) for i in range(2)]
    if count > 16:
        rows = [Cell(F(1, 10) + F(i % 4, 5), F(i // 4, 5), F(1, 5), F(1, 5)) for i in range(16)]
        return [*rows, Cell(F(2, 5), F(4, 5), F(1, 5), F(1, 5))]
    k = next(k for k in range(1, 5) if k * k >= count)
    return [Cell(F(i % k, k), F(i // k, k), F(1, k), F(1, k)) for i in range(count)]


@dataclass(frozen=True, slots=True)
class Vertical:
    big: Cell
    small: Sequence[Cell]


def vertical(smalls: int) -> Vertical:
    """The big window at the left, full height, and room for at least `smalls` beside it (16 at most)."""
    rows = next((rows for rows in (4, 6, 8) if smalls <= rows), None)
    if rows is not None:
        side = F(1, rows + 1)
        return Vertical(
            Cell(F(0), F(0), 1 - side, F(1)), [Cell(1 - side, F(i, rows), side, F(1, rows)) for i in range(rows)]
        )
    columns = [Cell(F(8 + i // 8, 10), F(i % 8, 8), F(1, 10), F(1, 8)) for i in range(16)]
    return Vertical(Cell(F(0), F(0), F(4, 5), F(1)), columns)


def custom_cell(x: float, y: float, width: float, height: float) -> Cell:
    """A region of layoutConfig: six decimals count; what would stick out of the canvas is cut."""
    left, top = _decimal(x), _decimal(y)
    return Cell(left, top, min(_decimal(width), 1 - left), min(_decimal(height), 1 - top))


def _decimal(value: float) -> Fraction:
    return min(F(1), max(F(0), F(round(value * 1_000_000), 1_000_000)))
