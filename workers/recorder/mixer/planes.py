"""numpy views of libav's frames: no copies, valid while the frame lives."""

from __future__ import annotations

from typing import cast

import numpy as np
from av.audio.plane import AudioPlane
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Samples = NDArray[np.float32]
Planes = tuple[Bytes, Bytes, Bytes]


def planes_of(frame: VideoFrame) -> Planes:
    """Y, U and V of a yuv420p picture, (rows, columns) each; chroma of odd sizes is rounded up."""
    width, height = frame.width, frame.height
    y, u, v = frame.planes
    rows, columns = (height + 1) // 2, (width + 1) // 2
    return _rows(y, height, width), _rows(u, rows, columns), _rows(v, rows, columns)


def _rows(plane: VideoPlane, rows: int, columns: int) -> Bytes:
    stride = plane.line_size
    return np.frombuffer(cast(memoryview, plane), np.uint8, rows * stride).reshape(rows, stride)[:, :columns]


def samples_of(plane: AudioPlane, count: int) -> Samples:
    """The first `count` float samples of an fltp plane."""
    return np.frombuffer(cast(memoryview, plane), np.float32, count)
