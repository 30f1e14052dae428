"""Encoded units of a synthetic user, made once and kept: any unit of an endless loop by its number.

A run is a key unit and what follows it up to the end of its GOP. GOPs are encoded when first wanted, each by an encoder
of its own at constant quality, so starting costs one GOP and a key unit can stand at any frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

import av
import numpy as np

from models.vocabulary.ticks import SAMPLE_RATE
from workers.synthetic.pictures import Painter
from workers.synthetic.plan import MediaPlan
from workers.synthetic.tones import Samples, second_of

AUDIO_UNIT_S: Final = 0.02
_UNIT_SAMPLES: Final = 960
UNITS_PER_S: Final = SAMPLE_RATE // _UNIT_SAMPLES
#: Encoder delay of libopus at 48 kHz. Decoders that are given bare packets do not skip it, so the sound is fed that
#: much early: what a unit decodes to is then exactly its own 20 ms.
_OPUS_DELAY: Final = 312
#: Units before the loop's first, encoded and dropped: the loop's seam then sounds like any other place.
_WARM_UP: Final = 10
_H264 = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "profile": "baseline",
    "crf": "28",
    "x264-params": "scenecut=0:ref=1:bframes=0:repeat-headers=1:annexb=1:sliced-threads=0:keyint=infinite",
}
#: An encoder that expects loss predicts less: a decoder that begins at any unit then hears it whole.
_OPUS = {"application": "audio", "frame_duration": "20", "packet_loss": "20"}
_VP8 = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0", "crf": "20"}
_VP8_BPS: Final = 800_000


@dataclass(frozen=True, slots=True)
class MediaUnit:
    content: bytes
    key: bool
    t_s: float  # since the loop's zero


class VideoLoop:
    def __init__(self, plan: MediaPlan) -> None:
        self.plan = plan

    def unit(self, n: int) -> MediaUnit:
        """Unit `n`; the first of each GOP is a key unit."""
        first = n - n % self.plan.gop_frames
        return MediaUnit(self.run(first)[n - first], n == first, n / self.plan.fps)

    def run(self, first: int) -> tuple[bytes, ...]:
        """A key unit at `first` and all units after it in its GOP."""
        return _video_run(self.plan, first % self.plan.loop_frames)

    def prepare(self) -> None:
        """Encode what is not encoded yet. Blocks; for a thread."""
        for first in range(0, self.plan.loop_frames, self.plan.gop_frames):
            self.run(first)


class AudioLoop:
    """Opus, 20 ms a unit, mono."""

    def __init__(self, plan: MediaPlan) -> None:
        self.plan = replace(plan, codec="h264", width=16, height=16, fps=1, rotation=0, colour="", name="", gop_s=1)

    def unit(self, n: int) -> MediaUnit:
        units = _opus_loop(self.plan)
        return MediaUnit(units[n % len(units)], True, n * AUDIO_UNIT_S)

    def prepare(self) -> None:
        self.unit(0)


@lru_cache(maxsize=1024)
def _video_run(plan: MediaPlan, first: int) -> tuple[bytes, ...]:
    encoder = av.CodecContext.create({"h264": "libx264", "vp8": "libvpx"}[plan.codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = plan.width, plan.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, plan.fps), Fraction(plan.fps)
    encoder.thread_count = 1
    encoder.options = dict(_H264 if plan.codec == "h264" else _VP8)
    encoder.gop_size = plan.gop_frames
    if plan.codec == "vp8":
        encoder.bit_rate = _VP8_BPS
    painter = Painter(plan)
    units: list[bytes] = []
    for n in range(first, first - first % plan.gop_frames + plan.gop_frames):
        units.extend(bytes(packet) for packet in encoder.encode(painter.paint(n)))
    units.extend(bytes(packet) for packet in encoder.encode(None))
    return tuple(units)


@lru_cache(maxsize=256)
def _opus_loop(plan: MediaPlan) -> tuple[bytes, ...]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.format, encoder.layout = SAMPLE_RATE, av.AudioFormat("flt"), av.AudioLayout("mono")
    encoder.bit_rate = 64_000
    encoder.time_base = Fraction(1, SAMPLE_RATE)
    encoder.options = dict(_OPUS)
    units: list[bytes] = []
    for chunk in _loop_sound(plan).reshape(-1, _UNIT_SAMPLES):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk[None]), "flt", "mono")
        frame.sample_rate, frame.time_base, frame.pts = (
            SAMPLE_RATE,
            Fraction(1, SAMPLE_RATE),
            len(units) * _UNIT_SAMPLES,
        )
        units.extend(bytes(packet) for packet in encoder.encode(frame))
    units.extend(bytes(packet) for packet in encoder.encode(None))
    return tuple(units[_WARM_UP : _WARM_UP + plan.loop_s * UNITS_PER_S])


def _loop_sound(plan: MediaPlan) -> Samples:
    """The warm-up and the loop, early by the encoder's delay, and one unit more to push the last one out."""
    if plan.silent:
        return np.zeros((_WARM_UP + plan.loop_s * UNITS_PER_S + 1) * _UNIT_SAMPLES, np.float32)
    loop = np.concatenate([second_of(plan.user_no, second) for second in range(plan.loop_s)])
    count = (_WARM_UP + plan.loop_s * UNITS_PER_S + 1) * _UNIT_SAMPLES
    at = np.arange(count) - _WARM_UP * _UNIT_SAMPLES + _OPUS_DELAY
    return loop[at % loop.size]
