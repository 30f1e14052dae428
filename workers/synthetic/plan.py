"""How a synthetic user's media is to be made, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VideoCodec = Literal["h264", "vp8"]


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """`width` and `height` are the encoded picture's (even); `rotation` is how far it must be turned clockwise to stand upright.

    Numbers in picture and sound run modulo the loop, so whoever reads them takes the nearest one in time: shifts
    below half a loop are told apart.
    """

    user_no: int = 1  # 1…255, in the marker; the pitch repeats after 16
    codec: VideoCodec = "h264"
    width: int = 640
    height: int = 360
    fps: int = 30
    loop_s: int = 10
    colour: str = "#2a6f97"
    name: str = ""
    gop_s: int = 1  # divides loop_s
    rotation: Literal[0, 90, 180, 270] = 0
    silent: bool = False

    @property
    def loop_frames(self) -> int:
        return self.loop_s * self.fps

    @property
    def gop_frames(self) -> int:
        return self.gop_s * self.fps
