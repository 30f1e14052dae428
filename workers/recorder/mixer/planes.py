"""numpy views of libav's frames: no copies, valid while the frame lives."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from av.audio.plane import AudioPlane
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Samples = NDArray[np.float32]
Planes = tuple[Bytes, Bytes, Bytes]
_BYTE: Final = np.dtype(np.uint8)


def planes_of(frame: VideoFrame) -> Planes:
    """Y, U and V of a yuv420p picture, (rows, columns) each; chroma of odd sizes is rounded up."""
    return part_of(frame, 0, 0, frame.width, frame.height)


def part_of(frame: VideoFrame, x: int, y: int, width: int, height: int) -> Planes:
    """The planes of a rectangle that begins at even pixels."""
    luma, u, v = frame.planes
    rows, columns, below, right = (height + 1) // 2, (width + 1) // 2, y // 2, x // 2
    return (
        _rectangle(luma, x, y, width, height),
        _rectangle(u, right, below, columns, rows),
        _rectangle(v, right, below, columns, rows),
    )


def _rectangle(plane: VideoPlane, x: int, y: int, width: int, height: int) -> Bytes:
    stride = plane.line_size
    return np.ndarray((height, width), _BYTE, cast(memoryview, plane), y * stride + x, (stride, 1))


def samples_of(plane: AudioPlane, count: int) -> Samples:
    """The first `count` float samples of an fltp plane."""
    return np.frombuffer(cast(memoryview, plane), np.float32, count)
