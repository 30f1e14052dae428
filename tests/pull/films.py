"""Media as cameras and encoders send it: H.264 whose pictures are sent in another order than they are shown, AAC beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.video.stream import VideoStream

from workers.recorder.capture.pull.tapping import AnyPacket
from workers.synthetic.pictures import Painter
from workers.synthetic.plan import MediaPlan

FPS, RATE, LENGTH_S = 10, 44_100, 4
PLAN = MediaPlan(width=160, height=90, fps=FPS, loop_s=LENGTH_S)
_X264 = {"preset": "ultrafast", "bf": "2", "x264-params": "b-adapt=0:scenecut=0:keyint=20:min-keyint=20:bframes=2"}


@dataclass(frozen=True, slots=True)
class Sample:
    video: bool
    content: bytes
    pts_s: float
    dts_s: float
    key: bool
    duration_s: float


def add_streams(container: OutputContainer) -> tuple[VideoStream, AudioStream]:
    video = container.add_stream("libx264", rate=FPS)
    video.width, video.height, video.pix_fmt = PLAN.width, PLAN.height, "yuv420p"
    video.codec_context.thread_count, video.codec_context.options = 1, dict(_X264)
    video.codec_context.time_base = Fraction(1, FPS)
    audio = container.add_stream("aac", rate=RATE, layout="mono")
    return video, audio


def packets(container: OutputContainer) -> Iterator[AnyPacket]:
    """In the order of decoding time: what a muxer of its kind is given."""
    video, audio = add_streams(container)
    painter = Painter(PLAN)
    made: list[AnyPacket] = []
    for n in range(LENGTH_S * FPS):
        frame = painter.paint(n)
        frame.pts, frame.time_base = n, Fraction(1, FPS)
        made += video.encode(frame)
    made += video.encode(None)
    for n in range(LENGTH_S * RATE // 1024):
        tone = (np.sin(np.arange(n * 1024, (n + 1) * 1024) * 440 * 2 * np.pi / RATE) * 0.2).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
        sound.sample_rate, sound.pts, sound.time_base = RATE, n * 1024, Fraction(1, RATE)
        made += audio.encode(sound)
    made += audio.encode(None)
    return iter(sorted(made, key=lambda it: float((it.dts or 0) * (it.time_base or 0))))


def write(path: str, form: str, options: dict[str, str] | None = None) -> None:
    with av.open(path, "w", format=form, options=options or {}) as container:
        for packet in packets(container):
            container.mux(packet)


@cache
def picture_count() -> int:
    return LENGTH_S * FPS
