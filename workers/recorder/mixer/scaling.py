"""Scaling, for all tiles of a canvas: swscale's tables and scratch memory, shared by what has the same sizes.

What a tile alone used would have left the caches by its next turn; with 17 users scaling takes a third less so.
"""

from __future__ import annotations

from typing import Final

from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from workers.recorder.mixer.colour import BT709, FULL, LIMITED
from workers.recorder.mixer.planes import Planes, planes_of

#: More sizes than a scene has at a time; what has grown beyond that is forgotten.
_MOST_SIZES: Final = 64
# Plain numbers: looking up an enumeration's costs as much as a small picture's rows.
_BT601_SWS: Final = int(Colorspace.ITU601)
_BT709_SWS: Final = int(Colorspace.ITU709)
_AREA: Final = int(Interpolation.AREA)
_BILINEAR: Final = int(Interpolation.BILINEAR)

_Source = tuple[int, int, int, int, str, int, int]


class Scaler:
    """Not thread-safe. What it answers is nobody else's."""

    def __init__(self) -> None:
        self._reformatters: dict[_Source, VideoReformatter] = {}
        self._pieces: dict[tuple[int, int, int, int], _Piece] = {}

    def scaled(self, frame: VideoFrame, w: int, h: int) -> VideoFrame:
        """As yuv420p in the canvas' colours."""
        width, height, form = frame.width, frame.height, frame.format.name
        colorspace, color_range = frame.colorspace, frame.color_range
        source = (width, height, w, h, form, colorspace, color_range)
        reformatter = self._reformatters.get(source)
        if reformatter is None:
            if len(self._reformatters) >= _MOST_SIZES:
                self._reformatters.clear()
            reformatter = self._reformatters[source] = VideoReformatter()
        return _reformatted(
            reformatter,
            frame,
            w,
            h,
            _BT709_SWS if colorspace == BT709 else _BT601_SWS,
            FULL if color_range == FULL or form.startswith("yuvj") else LIMITED,
        )

    def piece(self, planes: Planes, pw: int, ph: int, w: int, h: int) -> VideoFrame:
        """`scaled` of a plain picture's piece of pw × ph, given as planes."""
        sizes = (pw, ph, w, h)
        piece = self._pieces.get(sizes)
        if piece is None:
            if len(self._pieces) >= _MOST_SIZES:
                self._pieces.clear()
            piece = self._pieces[sizes] = _Piece(pw, ph)
        for below, above in zip(piece.planes, planes, strict=True):
            below[:] = above
        return _reformatted(piece.reformatter, piece.frame, w, h, _BT601_SWS, LIMITED)


class _Piece:
    """Where a piece is copied to, for libav scales whole frames only."""

    def __init__(self, width: int, height: int) -> None:
        self.frame = VideoFrame(width, height, "yuv420p")
        self.planes = planes_of(self.frame)
        self.reformatter = VideoReformatter()


def _reformatted(
    reformatter: VideoReformatter, frame: VideoFrame, w: int, h: int, colorspace: int, color_range: int
) -> VideoFrame:
    return reformatter.reformat(
        frame,
        w,
        h,
        "yuv420p",
        src_colorspace=colorspace,
        dst_colorspace=_BT601_SWS,
        interpolation=_AREA if w <= frame.width and h <= frame.height else _BILINEAR,
        src_color_range=color_range,
        dst_color_range=LIMITED,
        threads=1,
    )


def is_plain(frame: VideoFrame) -> bool:
    """Whether its planes can be copied onto the canvas as they are."""
    return frame.format.name == "yuv420p" and frame.colorspace != BT709 and frame.color_range != FULL
