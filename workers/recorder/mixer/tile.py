"""One item of the scene as pixels: a source cropped or fitted to its cell, scaled, turned; laid on the canvas."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple, cast

import numpy as np
from av.video.frame import VideoFrame

from models.vocabulary.scene import Fit, Item, ItemKind
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.planes import Bytes, Planes, part_of, planes_of
from workers.recorder.mixer.scaling import Scaler, is_plain

#: A difference of shapes up to this is scaled away, unseen: cropping costs a copy of the source.
_SHAPE_TOLERANCE: Final = 0.02
#: A picture that shrinks and of which so much is seen is cropped after it is scaled, not before.
_MOST: Final = 0.5


@dataclass(slots=True, eq=False)
class Picture:
    """A source's newest decoded frame. `rotation` as in `Unit`; `serial` is no other picture's."""

    frame: VideoFrame
    rotation: int = 0
    serial: int = field(default_factory=count(1).__next__)


#: The newest picture of a track, or an image, if there is one.
Newest = Callable[[str], Picture | None]


class Look(NamedTuple):
    """A picture at a cell's size; `inner` (x, y, width, height): where it lies when it does not fill the cell."""

    layer: Planes | None = None  # None: only the background
    inner: tuple[int, int, int, int] | None = None


@lru_cache(maxsize=256)
def crop_to_shape(sw: int, sh: int, w: int, h: int) -> tuple[int, int, int, int]:
    """(x, y, width, height), even: the largest middle part of a picture that has the cell's shape."""
    if abs(sw * h - sh * w) <= _SHAPE_TOLERANCE * sw * h:
        return 0, 0, sw, sh
    cw, ch = (max(2, sh * w // h & ~1), sh) if sw * h > sh * w else (sw, max(2, sw * h // w & ~1))
    return (sw - cw) // 4 * 2, (sh - ch) // 4 * 2, cw, ch


def fit_into(sw: int, sh: int, w: int, h: int) -> tuple[int, int, int, int]:
    """(x, y, width, height) inside a cell, even: the whole picture, as large as it goes, in the middle."""
    fw, fh = (w, w * sh // sw) if sw * h > sh * w else (h * sw // sh, h)
    fw, fh = min(w, max(2, (fw + 1) & ~1)), min(h, max(2, (fh + 1) & ~1))
    return (w - fw) // 4 * 2, (h - fh) // 4 * 2, fw, fh


def lay(below: Planes, above: Planes | tuple[int, int, int], alpha: float) -> None:
    """Put planes or a colour on planes of the same size."""
    if alpha == 1:
        for dst, src in zip(below, cast(Planes, above), strict=True):
            dst[:] = src
        return
    weight = round(alpha * 256)
    if weight <= 0:
        return
    for dst, src in zip(below, cast(Planes, above), strict=True):  # a level broadcasts like a plane
        if weight >= 256:
            dst[:] = src
        else:
            mixed = dst.astype(np.uint16) * np.uint16(256 - weight)
            mixed += np.multiply(src, np.uint16(weight), dtype=np.uint16) + np.uint16(128)
            dst[:] = mixed >> 8


def part(planes: Planes, x: int, y: int, w: int, h: int) -> Planes:
    """The planes of a rectangle with even edges."""
    luma, u, v = planes
    half = (slice(y // 2, (y + h + 1) // 2), slice(x // 2, (x + w + 1) // 2))
    return luma[y : y + h, x : x + w], u[half], v[half]


class Tile:
    """An item's picture at its cell's size, made anew only when its source has a new one."""

    def __init__(self, item: Item, canvas: Planes, scaler: Scaler) -> None:
        self.item = item
        self.box = item
        self._below = part(canvas, item.x, item.y, item.w, item.h)
        self._see_through = not item.background
        self.covers = item.alpha >= 1 and not self._see_through  # whether nothing below it is seen
        self._look = Look()
        self._coming: deque[Look | None] = deque()  # of the next frames; None: as the frame before
        self._newest: int | None = None  # its serial: a picture that was scaled is let go
        self._scaler = scaler

    def foresee(self, picture: Picture | None) -> None:
        """What the frame shows that follows those foreseen before. It is scaled now, while the caches hold it."""
        serial = None if picture is None else picture.serial
        if serial == self._newest:
            self._coming.append(None)
        else:
            self._newest = serial
            self._coming.append(Look() if picture is None else self._made(picture))

    def refresh(self, newest: Newest) -> bool:
        """Go on to the next frame: the one foreseen, else what is newest. Whether it looks different from before."""
        if not self._coming:
            self.foresee(None if self.item.kind is ItemKind.FILL else newest(self.item.ref))
        look = self._coming.popleft()
        if look is None:
            return False
        self._look = look
        whole = look.layer is not None and look.inner is None
        self.covers = self.item.alpha >= 1 and (whole or not self._see_through)
        return True

    def paint(self) -> None:
        layer, inner = self._look.layer, self._look.inner
        if layer is not None:
            lay(self._below if inner is None else part(self._below, *inner), layer, self.item.alpha)
        elif not self._see_through:
            lay(self._below, yuv(self.item.background), self.item.alpha)

    def clear(self, colour: str) -> None:
        lay(self._below, yuv(colour), 1.0)

    def _made(self, picture: Picture) -> Look:
        turned = picture.rotation % 180 == 90
        w, h = (self.item.h, self.item.w) if turned else (self.item.w, self.item.h)
        if self.item.fit is Fit.CROP:
            return Look(_turned(self._cropped_to(picture.frame, w, h), picture.rotation))
        inner = fit_into(picture.frame.width, picture.frame.height, w, h)
        if self._see_through:
            return self._fitted_bare(picture, turned)
        layer = _blank(w, h, self.item.background)
        lay(part(layer, *inner), self._scaled(picture.frame, inner[2], inner[3]), 1.0)
        return Look(_turned(layer, picture.rotation))

    def _fitted_bare(self, picture: Picture, turned: bool) -> Look:
        """Without bars: what lies below is seen beside it."""
        sw, sh = picture.frame.width, picture.frame.height
        inner = fit_into(sh, sw, self.item.w, self.item.h) if turned else fit_into(sw, sh, self.item.w, self.item.h)
        w, h = (inner[3], inner[2]) if turned else inner[2:]
        layer = _turned(self._scaled(picture.frame, w, h), picture.rotation)
        return Look(layer, None if inner == (0, 0, self.item.w, self.item.h) else inner)

    def _cropped_to(self, frame: VideoFrame, w: int, h: int) -> Planes:
        box = crop_to_shape(frame.width, frame.height, w, h)
        if box[2] == frame.width and box[3] == frame.height:
            return self._scaled(frame, w, h)
        if box[2] * box[3] >= _MOST * frame.width * frame.height and w <= box[2] and h <= box[3]:
            return self._cropped_after(frame, box, w, h)
        if not is_plain(frame):
            frame = self._scaler.scaled(frame, frame.width, frame.height)
        inner = part_of(frame, *box)
        if box[2] == w and box[3] == h:
            return inner
        return planes_of(self._scaler.piece(inner, box[2], box[3], w, h))

    def _cropped_after(self, frame: VideoFrame, box: tuple[int, int, int, int], w: int, h: int) -> Planes:
        """Scaled whole, then cropped: where most is kept that is cheaper than a copy of what is kept."""
        wide, high = max(w, round(frame.width * w / box[2] / 2) * 2), max(h, round(frame.height * h / box[3] / 2) * 2)
        return part(self._scaled(frame, wide, high), (wide - w) // 4 * 2, (high - h) // 4 * 2, w, h)

    def _scaled(self, frame: VideoFrame, w: int, h: int) -> Planes:
        if (frame.width, frame.height) != (w, h) or not is_plain(frame):
            frame = self._scaler.scaled(frame, w, h)
        return planes_of(frame)


def _blank(w: int, h: int, background: str) -> Planes:
    y, u, v = yuv(background)
    return _plane(w, h, y), _plane(w // 2, h // 2, u), _plane(w // 2, h // 2, v)


def _plane(w: int, h: int, level: int) -> Bytes:
    return np.full((h, w), level, np.uint8)


def _turned(planes: Planes, degrees: int) -> Planes:
    """Clockwise. Views, no copies."""
    if degrees % 360 == 0:
        return planes
    y, u, v = (np.rot90(plane, -(degrees // 90)) for plane in planes)
    return y, u, v
