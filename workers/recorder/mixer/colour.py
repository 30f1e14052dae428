"""Colours of the canvas: BT.601, limited range, whatever its size.

WebRTC cameras are captured as BT.601 limited, VP8 is so by definition (RFC 6386 §9.2), and few say anything else. So the
canvas is BT.601, their planes are copied as they are, and the encoder writes it into the stream: nobody has to guess.
"""

from __future__ import annotations

from functools import cache
from typing import Final

#: libav's numbers (AVCOL_RANGE_MPEG, AVCOL_SPC_SMPTE170M and the like, AVCOL_SPC_BT709).
LIMITED: Final = 1
FULL: Final = 2
BT601: Final = 6
BT709: Final = 1


@cache
def yuv(colour: str) -> tuple[int, int, int]:
    """Y, Cb, Cr of "#RRGGBB"."""
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return round(16 + 219 * y), round(128 + 224 * (b - y) / 1.772), round(128 + 224 * (r - y) / 1.402)
