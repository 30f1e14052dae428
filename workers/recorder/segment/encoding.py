"""One x264 and one AAC encoder a tenure, on the recording clock's grid (docs/design/recording-clock.md).

Whoever encodes a range, its packets fit those of its neighbours: PTS and DTS come from indices, an IDR stands at every
slot's edge and at the first frame, nothing refers across an edge, and the AAC encoder hears enough of what lies
before and behind the range that its seam equals one continuous encoder's.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import (
    AAC_SAMPLES,
    AAC_TICKS,
    LEAD_90K,
    SAMPLE_RATE,
    TICKS_PER_S,
    audio_frame_from,
    audio_tick,
    frame_at_or_after,
    frame_tick,
)
from workers.recorder.mixer.geometry import canvas_size
from workers.recorder.mixer.planes import Samples, samples_of

#: AAC frames heard before the first owned one: from 24 on the seam equals a continuous encoder's; 48 is sure.
WARM_AUDIO_FRAMES: Final = 48
#: AAC frames heard behind the last owned one; without them the seam clicks at -16 dBFS.
POST_AUDIO_FRAMES: Final = 2
#: Frames after which a successor's rate control gives the quality of a continuous encoder.
WARM_VIDEO_FRAMES: Final = 60
#: What x264 does by default, and when the machine cannot keep up: half the work for 1.2 dB.
PRESET: Final = "veryfast"
THRIFTY: Final = "superfast"
#: Of the AAC encoder: speech takes about the profile's bit rate, and is as true to its source as the encoder's own rate
#: control makes it at that rate. That one codes a frame up to six times, and twice as long (docs/design/mixer.md).
_AAC_QUALITY: Final = 180
#: Cores that x264 veryfast takes for 1280x720@30 (measured), from which other sizes are scaled.
_CORES_720P30: Final = 0.36

TICK: Final = Fraction(1, TICKS_PER_S)
_SAMPLE_TIME: Final = Fraction(1, SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Coded:
    """An encoded frame: `at_90k` is its place on the timeline, `dts_90k` its place in the file less the lead."""

    video: bool
    at_90k: int
    dts_90k: int
    packet: Packet[Any]


def reorder_frames(fps: int) -> int:
    """By how many frames DTS precedes PTS. At 1 fps two would reach before the lead, so there are no B-frames."""
    return 0 if fps == 1 else 2


def encoder_threads(width: int, height: int, fps: int) -> int:
    """One thread is real-time up to 1080p30; more only where the work exceeds a core."""
    cores = width * height * fps / (1280 * 720 * 30) * _CORES_720P30
    return max(1, math.ceil(cores))


def aac_options() -> dict[str, str]:
    """Of libav's encoder. The twoloop coder, its default, errs audibly at transients."""
    return {"aac_coder": "fast", "flags": "+qscale", "global_quality": str(_AAC_QUALITY)}


def stamped_video(packet: Packet[Any], n: int, coding_index: int, fps: int) -> Coded:
    """Frame `n`, the `coding_index`-th in coding order on the same scale, at its place on the grid."""
    at, dts = frame_tick(n, fps), frame_tick(coding_index - reorder_frames(fps), fps)
    packet.time_base = TICK
    packet.pts, packet.dts = LEAD_90K + at, LEAD_90K + dts
    packet.duration = frame_tick(n + 1, fps) - at
    return Coded(True, at, dts, packet)


def stamped_audio(packet: Packet[Any], j: int) -> Coded:
    at = audio_tick(j)
    packet.time_base = TICK
    packet.pts = packet.dts = LEAD_90K + at
    packet.duration = AAC_TICKS
    return Coded(False, at, at, packet)


class Encode:
    """The encoder pair of one tenure, from `first_90k` on. What it is given before that only warms it up.

    Frames and AAC frames are given by index, in order and without gaps; packets come out late (x264 looks ahead),
    stamped, and only those of the owned range. Not thread-safe. `close` gives its tens of MB back.
    """

    def __init__(self, spec: RecordingSpec, first_90k: int, *, warm_frames: int = 0, preset: str = PRESET) -> None:
        self.fps = spec.video.fps
        self.slice_s = spec.slice_s
        self._frame_time = Fraction(1, self.fps)
        self.first_frame = frame_at_or_after(first_90k, self.fps)
        self.first_90k = frame_tick(self.first_frame, self.fps) if spec.has_video else first_90k
        self.first_audio = audio_frame_from(self.first_90k)
        self.next_frame = max(0, self.first_frame - warm_frames)
        self.next_audio = self.first_audio - WARM_AUDIO_FRAMES
        self._coding_index = self.next_frame
        self._spec = spec
        self.preset = preset
        # Null containers open the encoders as a file would: only so do their streams serve as templates.
        self._containers: list[OutputContainer] = []
        self.video = self._opened_video() if spec.has_video else None
        self.audio = self._opened_audio() if spec.has_audio else None
        self._sound = _sound_frame(spec.audio.channels)
        self._rows = [samples_of(plane, AAC_SAMPLES) for plane in self._sound.planes]

    def _opened_video(self) -> VideoStream:
        container = av.open("/dev/null", "w", format="null")
        stream = self._video_stream(container, self._spec, self.preset)
        container.start_encoding()
        self._containers.append(container)
        return stream

    def _opened_audio(self) -> AudioStream:
        container = av.open("/dev/null", "w", format="null")
        stream = self._audio_stream(container, self._spec)
        container.start_encoding()
        self._containers.append(container)
        return stream

    @staticmethod
    def _video_stream(container: OutputContainer, spec: RecordingSpec, preset: str) -> VideoStream:
        video, bps = spec.video, spec.video.bitrate_bps
        stream = container.add_stream("libx264", rate=video.fps)
        context = stream.codec_context
        context.width, context.height = canvas_size(video)
        context.pix_fmt = "yuv420p"
        context.time_base, context.framerate = Fraction(1, video.fps), Fraction(video.fps)
        context.bit_rate = bps
        context.thread_count = encoder_threads(video.width, video.height, video.fps)
        # Said in the stream so that no player guesses by size: see canvas.py.
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 6, 6, 6
        slot_frames = spec.slice_s * video.fps
        context.options = {
            "preset": preset,
            "sc_threshold": "0",
            "forced-idr": "1",
            "g": str(10 * slot_frames),  # longer than a slot: the edges alone say where an IDR stands
            "keyint_min": "1",
            "maxrate": str(bps),
            "bufsize": str(2 * bps),
        }
        if reorder_frames(video.fps) == 0:
            context.options |= {"bf": "0", "rc-lookahead": "0"}  # at 1 fps eleven frames of lookahead were 11 s
        return stream

    @staticmethod
    def _audio_stream(container: OutputContainer, spec: RecordingSpec) -> AudioStream:
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo" if spec.audio.channels == 2 else "mono")
        context = stream.codec_context
        context.bit_rate = spec.audio.bitrate_bps
        context.time_base = _SAMPLE_TIME
        context.options = aac_options()
        return stream

    def picture(self, frame: av.VideoFrame) -> Iterator[Coded]:
        """Encode the picture of frame `next_frame`. The frame may be drawn on again as soon as this is exhausted."""
        assert self.video is not None
        n = self.next_frame
        self.next_frame += 1
        frame.pts, frame.time_base = n, self._frame_time
        frame.pict_type = PictureType.I if self._starts_piece(n) else PictureType.NONE
        yield from self._owned_video(self.video.codec_context.encode(frame))

    @property
    def at_edge(self) -> bool:
        """Whether the next frame is a slot's first."""
        return self.next_frame > self.first_frame and self._starts_piece(self.next_frame)

    def change_preset(self, preset: str) -> list[Coded]:
        """At an edge only, for nothing refers across one. Answers what the encoder before still held."""
        assert self.video is not None and self.at_edge
        held = [*self._owned_video(self.video.codec_context.encode(None))]
        before = self._containers.pop(0)
        self.preset = preset
        self.video = self._opened_video()
        self._containers.insert(0, self._containers.pop())
        before.close()
        del before
        gc.collect()
        return held

    def sound(self, samples: Samples) -> Iterator[Coded]:
        """Encode AAC frame `next_audio`: (channels, 1024) samples."""
        assert self.audio is not None
        j = self.next_audio
        self.next_audio += 1
        for row, channel in zip(self._rows, samples, strict=True):
            row[:] = channel
        self._sound.pts, self._sound.time_base = j * AAC_SAMPLES, _SAMPLE_TIME
        yield from self._owned_audio(self.audio.codec_context.encode(self._sound))

    def flush(self) -> Iterator[Coded]:
        """What the encoders still hold. Nothing can be encoded after."""
        if self.audio is not None:
            yield from self._owned_audio(self.audio.codec_context.encode(None))
        if self.video is not None:
            yield from self._owned_video(self.video.codec_context.encode(None))

    def close(self) -> None:
        if not self._containers:
            return
        for container in self._containers:
            container.close()
        drew = self.video is not None
        self.video = self.audio = None
        self._containers.clear()
        if drew:
            gc.collect()  # the contexts lie in reference cycles: 90 MB become 240 within a few tenures without this

    def _starts_piece(self, n: int) -> bool:
        return n == self.first_frame or (n >= self.first_frame and n % (self.slice_s * self.fps) == 0)

    def _owned_video(self, packets: Sequence[Packet[Any]]) -> Iterator[Coded]:
        for packet in packets:
            coding_index = self._coding_index
            self._coding_index += 1
            n = cast(int, packet.pts)
            if n >= self.first_frame:
                yield stamped_video(packet, n, coding_index, self.fps)

    def _owned_audio(self, packets: Sequence[Packet[Any]]) -> Iterator[Coded]:
        for packet in packets:
            j, rest = divmod(cast(int, packet.pts), AAC_SAMPLES)
            assert rest == 0, "the AAC encoder left its grid"
            if j >= self.first_audio:
                yield stamped_audio(packet, j)


def _sound_frame(channels: int) -> av.AudioFrame:
    frame = av.AudioFrame("fltp", "stereo" if channels == 2 else "mono", AAC_SAMPLES)
    frame.sample_rate = SAMPLE_RATE
    return frame
