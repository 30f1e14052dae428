"""The marker of a picture: 40 bits as black and white squares, readable after cropping, scaling down by 5 and re-encoding.

A block of 4 × 10 squares stands in the centre of the picture; a square is 1/15 of the picture's shorter side (24 px of
640 × 360, so the block takes the central 96 columns). Bits, most significant first, row by row: 24 of the frame's
number, 8 of its user's number, 8 of a CRC (polynomial 0x07, from 0xFF) over the four bytes before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.vocabulary.scene import Fit

Luma = npt.NDArray[np.uint8]

COLUMNS: Final = 4
ROWS: Final = 10
NUMBERS: Final = 1 << 24
BLACK: Final = 16
WHITE: Final = 235
#: Mean luma from which a picture counts as flashing; backgrounds are held below `BRIGHTEST`.
FLASH_FROM: Final = 190
BRIGHTEST: Final = 140
#: Least distance between the means of white and black squares for a marker to be believed.
_CONTRAST: Final = 60.0


@dataclass(frozen=True, slots=True)
class Marker:
    number: int  # modulo 2^24
    user_no: int


@dataclass(frozen=True, slots=True)
class View:
    """Where a source of `width` × `height` (as displayed) stands in an output picture."""

    x: int
    y: int
    w: int
    h: int
    width: int = 640
    height: int = 360
    fit: Fit = Fit.CROP

    @property
    def scale(self) -> float:
        across, down = self.w / self.width, self.h / self.height
        return max(across, down) if self.fit is Fit.CROP else min(across, down)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point of the source, in the output."""
        left = self.x + (self.w - self.width * self.scale) / 2
        top = self.y + (self.h - self.height * self.scale) / 2
        return left + x * self.scale, top + y * self.scale


def square_px(width: int, height: int) -> int:
    return min(width, height) // 15


def block(width: int, height: int) -> tuple[int, int, int]:
    """Left, top and square of the marker's block in a picture."""
    square = square_px(width, height)
    return (width - COLUMNS * square) // 2, (height - ROWS * square) // 2, square


def draw(luma: Luma, marker: Marker) -> None:
    height, width = luma.shape
    left, top, square = block(width, height)
    bits = _bits(marker).reshape(ROWS, COLUMNS)
    squares = np.where(bits, WHITE, BLACK).astype(np.uint8).repeat(square, 0).repeat(square, 1)
    rim = square // 6
    luma[top - rim : top + ROWS * square + rim, left - rim : left + COLUMNS * square + rim] = BLACK
    luma[top : top + ROWS * square, left : left + COLUMNS * square] = squares


def read(luma: Luma, view: View) -> Marker | None:
    """The marker of the source seen in `view`, or None where no marker can be believed."""
    left, top, square = block(view.width, view.height)
    means = np.empty(ROWS * COLUMNS)
    for n in range(ROWS * COLUMNS):
        row, column = divmod(n, COLUMNS)
        x, y = left + column * square, top + row * square
        means[n] = _mean(
            luma, view.place(x + square / 4, y + square / 4), view.place(x + square * 0.75, y + square * 0.75)
        )
    if np.isnan(means).any() or means.max() - means.min() < _CONTRAST:
        return None
    return _marker(means > (means.max() + means.min()) / 2)


def brightness(luma: Luma, view: View) -> float:
    """Mean luma of the source's visible part, without the marker and its rim."""
    left, top, square = block(view.width, view.height)
    visible = _clip(view, view.place(0, 0), view.place(view.width, view.height))
    around = square / 2
    hidden = _clip(
        view,
        view.place(left - around, top - around),
        view.place(left + COLUMNS * square + around, top + ROWS * square + around),
    )
    outer, inner = _sum(luma, visible), _sum(luma, hidden)
    return (outer[0] - inner[0]) / max(1, outer[1] - inner[1])


def _bits(marker: Marker) -> npt.NDArray[np.bool_]:
    body = (marker.number % NUMBERS).to_bytes(3, "big") + bytes([marker.user_no])
    return np.unpackbits(np.frombuffer(body + bytes([_crc8(body)]), np.uint8)).astype(np.bool_)


def _marker(bits: npt.NDArray[np.bool_]) -> Marker | None:
    body = np.packbits(bits).tobytes()
    return Marker(int.from_bytes(body[:3], "big"), body[3]) if _crc8(body[:4]) == body[4] else None


def _crc8(body: bytes) -> int:
    crc = 0xFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def _mean(luma: Luma, from_xy: tuple[float, float], to_xy: tuple[float, float]) -> float:
    """Of the pixels between two points, at least one; NaN outside the picture."""
    x, y = round(from_xy[0]), round(from_xy[1])
    part = luma[max(0, y) : max(y + 1, round(to_xy[1])), max(0, x) : max(x + 1, round(to_xy[0]))]
    return float(part.mean()) if part.size else float("nan")


def _clip(view: View, from_xy: tuple[float, float], to_xy: tuple[float, float]) -> tuple[int, int, int, int]:
    return (
        max(view.x, round(from_xy[0])),
        max(view.y, round(from_xy[1])),
        min(view.x + view.w, round(to_xy[0])),
        min(view.y + view.h, round(to_xy[1])),
    )


def _sum(luma: Luma, area: tuple[int, int, int, int]) -> tuple[int, int]:
    x, y, right, bottom = area
    part = luma[y:bottom, x:right]
    return int(part.sum()), part.size
