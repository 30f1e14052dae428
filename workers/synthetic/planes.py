"""A frame's planes as arrays."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt
from av.video.plane import VideoPlane

Plane = npt.NDArray[np.uint8]


def view(plane: VideoPlane) -> Plane:
    """Of an 8-bit planar frame; shares its memory, so it lives no longer than the frame does."""
    padded: Plane = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]  # planes speak the buffer protocol, which no stub can say before Python 3.12
    return padded.reshape(plane.height, plane.line_size)[:, : plane.width]


def luma(frame: av.VideoFrame) -> Plane:
    """The brightness of a YUV 4:2:0 frame, as it is encoded."""
    return view(frame.planes[0])
