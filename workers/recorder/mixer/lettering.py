"""Texts as planes with transparency, drawn once and laid again whenever something below them changes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.vocabulary.scene import Item, TextStyle
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.planes import Planes
from workers.recorder.mixer.tile import Newest, lay, part

Weights = NDArray[np.uint16]  # 0…256
Blended = tuple[NDArray[np.uint16], Weights]

#: A text is drawn no larger than this, whatever it says and in whatever size.
_MAX_SIDE: Final = 1920
#: For what the built-in font has no glyphs (it has Latin); the first that this machine has.
_FONTS: Final = ("NotoSansCJK-Regular.ttc", "NotoSansMonoCJKsc-Regular.otf", "wqy-microhei.ttc", "DejaVuSans.ttf")


class Lettering:
    """A TEXT item on the canvas. Its box is what it needs, unless the item has a size; it never sticks out."""

    covers = False

    def __init__(self, item: Item, canvas: Planes) -> None:
        self.item = item
        height, width = canvas[0].shape
        drawn = _drawn(item.ref, item.text or TextStyle())
        rows, columns = drawn[0][0].shape
        w, h = min(item.w or columns, width - item.x), min(item.h or rows, height - item.y)
        self.box = replace(item, w=w, h=h)
        self._below = part(canvas, item.x, item.y, w, h)
        self._layers = [_cut(layer, *below.shape) for layer, below in zip(drawn, self._below, strict=True)]
        self._alpha = np.uint16(round(item.alpha * 256))

    def refresh(self, newest: Newest) -> bool:
        """A text does not change; another text is another item."""
        return False

    def paint(self) -> None:
        for below, (levels, weights) in zip(self._below, self._layers, strict=True):
            rows, columns = levels.shape
            under = below[:rows, :columns]
            weight = weights if self._alpha == 256 else weights * self._alpha >> 8
            under[:] = (under * (256 - weight) + levels * weight + 128) >> 8

    def clear(self, colour: str) -> None:
        lay(self._below, yuv(colour), 1.0)


def _cut(layer: Blended, rows: int, columns: int) -> Blended:
    levels, weights = layer
    return levels[:rows, :columns], weights[:rows, :columns]


@lru_cache(maxsize=64)
def _drawn(text: str, style: TextStyle) -> tuple[Blended, Blended, Blended]:
    """(level, weight) of Y, U and V."""
    pixels = np.asarray(_image(text, style), np.float32)
    weight = pixels[..., 3] * (256 / 255)
    r, g, b = (pixels[..., i] / 255 for i in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = (_halved(128 + 224 * (channel - y) / scale) for channel, scale in ((b, 1.772), (r, 1.402)))
    half = np.rint(_halved(weight)).astype(np.uint16)
    u, v = ((np.rint(plane).astype(np.uint16), half) for plane in chroma)
    return (np.rint(16 + 219 * y).astype(np.uint16), np.rint(weight).astype(np.uint16)), u, v


def _image(text: str, style: TextStyle) -> Image.Image:
    font = _font(style.size_px, text.isascii())
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    _, _, right, bottom = measure.multiline_textbbox((0, 0), text, font=font)
    # A line is as high as its font, so that a text does not jump when its letters change.
    lines_px = (sum(font.getmetrics()) + 4) * (text.count("\n") + 1) - 4
    width = min(_MAX_SIDE, round(right) + 2 * style.margin_px + 1) & ~1
    height = min(_MAX_SIDE, max(round(bottom), lines_px) + 2 * style.margin_px + 1) & ~1
    image = Image.new("RGBA", (max(2, width), max(2, height)), style.background)
    ImageDraw.Draw(image).multiline_text((style.margin_px, style.margin_px), text, fill=style.colour, font=font)
    return image


@lru_cache(maxsize=8)
def _font(size_px: int, ascii_only: bool) -> ImageFont.FreeTypeFont:
    for name in () if ascii_only else _FONTS:
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue  # not on this machine: the next
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _halved(plane: NDArray[np.floating]) -> NDArray[np.floating]:
    mean: NDArray[np.floating] = (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4
    return mean
