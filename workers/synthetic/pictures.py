"""What a synthetic user's camera sees: a colour, a name, the second, a moving bar, the marker, and the flash."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from workers.synthetic.marker import BRIGHTEST, WHITE, Marker, block, draw, square_px
from workers.synthetic.plan import MediaPlan
from workers.synthetic.planes import Plane, view


def yuv(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` in BT.601 limited range, darkened to where a flash still stands out."""
    r, g, b = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    return min(BRIGHTEST, round(y)), round(u), round(v)


class Painter:
    """Paints frames of a plan. The frame it returns is its only one: encode it before asking for the next."""

    def __init__(self, plan: MediaPlan) -> None:
        self._plan = plan
        self._turns = plan.rotation // 90
        turned = self._turns % 2 == 1
        self._width, self._height = (plan.height, plan.width) if turned else (plan.width, plan.height)
        self._colour = yuv(plan.colour)
        self._name = _text(plan.name, self._width, square_px(plan.width, plan.height))
        self._frame = av.VideoFrame(plan.width, plan.height, "yuv420p")
        self._planes = [view(plane) for plane in self._frame.planes]

    def paint(self, n: int) -> av.VideoFrame:
        """Frame `n` of the scripted time; its marker is its number within the loop."""
        fps = self._plan.fps
        number, flashing = n % self._plan.loop_frames, n % fps < 2
        luma = np.full((self._height, self._width), WHITE if flashing else self._colour[0], np.uint8)
        if not flashing:
            self._decorate(luma, number // fps, number % fps / fps)
        draw(luma, Marker(number, self._plan.user_no))
        self._planes[0][:] = np.rot90(luma, self._turns)
        for plane, value in zip(self._planes[1:], self._colour[1:], strict=True):
            plane[:] = np.rot90(self._chroma(128 if flashing else value), self._turns)
        self._frame.pts, self._frame.time_base = n, Fraction(1, fps)
        return self._frame

    def _decorate(self, luma: Plane, second: int, part: float) -> None:
        square = square_px(self._width, self._height)
        top = block(self._width, self._height)[1]
        _stamp(luma, self._name, top // 2)
        _stamp(luma, _text(f"{second // 60}:{second % 60:02d}", self._width, square), self._height - top // 2)
        luma[self._height - max(2, square // 4) :, : round(part * self._width)] = WHITE

    def _chroma(self, value: int) -> Plane:
        """A plane of one colour, grey where the marker is."""
        plane = np.full((self._height // 2, self._width // 2), value, np.uint8)
        left, top, _ = block(self._width, self._height)
        plane[top // 2 - 2 : self._height // 2 - top // 2 + 2, left // 2 - 2 : self._width // 2 - left // 2 + 2] = 128
        return plane


def _text(text: str, width: int, size_px: int) -> Plane:
    """White on black, as a mask at most as wide as the picture."""
    font = ImageFont.load_default(max(8, size_px))
    left, top, right, bottom = font.getbbox(text or " ")
    mask = Image.new("L", (max(1, min(width, int(right - left) + 1)), max(1, int(bottom - top) + 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    return np.asarray(mask)


def _stamp(luma: Plane, mask: Plane, centre_y: int) -> None:
    height, width = mask.shape
    top, left = max(0, centre_y - height // 2), (luma.shape[1] - width) // 2
    area = luma[top : top + height, left : left + width]
    np.maximum(area, np.minimum(mask, WHITE)[: area.shape[0]], out=area)
