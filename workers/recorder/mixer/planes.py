"""numpy views of libav's frames: no copies, valid while the frame lives."""

from __future__ import annotations

from typing import cast

import numpy as np
from av.audio.plane import AudioPlane
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Samples = NDArray[np.float32]
Planes = tuple[Bytes, Bytes, Bytes]


def planes_of(frame: VideoFrame) -> Planes:
    """Y, U and V of a yuv420p picture, (rows, columns) each; chroma of odd sizes is rounded up."""
    sizes = ((frame.height, frame.width), *(((frame.height + 1) // 2, (frame.width + 1) // 2),) * 2)
    y, u, v = (
        np.frombuffer(cast(memoryview, plane), np.uint8).reshape(-1, plane.line_size)[:rows, :columns]
        for plane, (rows, columns) in zip(frame.planes, sizes, strict=True)
    )
    return y, u, v


def samples_of(plane: AudioPlane, count: int) -> Samples:
    """The first `count` float samples of an fltp plane."""
    return np.frombuffer(cast(memoryview, plane), np.float32, count)
