"""What the benchmarks record: cameras with texture, movement and noise, encoded once and kept under a folder.

Ten seconds of each camera are encoded; a recording repeats them. The same packets lie in a file of units, which the
mixer and the limit read, and in a Matroska file, which ffmpeg and GStreamer read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from models.vocabulary.channel import Unit
from workers.recorder.mixer.planes import planes_of

LOOP_S: Final = 10
_HEAD: Final = struct.Struct("<dBI")  # seconds, 1 video | 2 key, bytes
_X264: Final = {
    "preset": "veryfast",
    "profile": "baseline",
    "x264-params": "scenecut=0:ref=1:bframes=0:repeat-headers=1:annexb=1:keyint=infinite",
}
_VPX: Final = {"deadline": "realtime", "cpu-used": "6", "lag-in-frames": "0", "auto-alt-ref": "0"}
Codec = Literal["h264", "vp8"]


@dataclass(frozen=True, slots=True)
class Camera:
    width: int
    height: int
    fps: int
    bitrate_bps: int
    codec: Codec = "h264"

    @property
    def name(self) -> str:
        return f"{self.codec}-{self.width}x{self.height}-{self.fps}-{self.bitrate_bps // 1000}k"


@dataclass(frozen=True, slots=True)
class Input:
    """One user's media on disk: as units, and the same in a container with `seconds` of it."""

    units: Path
    container: Path


def prepared(folder: Path, camera: Camera, users: int, seconds: int) -> list[Input]:
    """Inputs of so many users, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for user in range(users):
        units = folder / f"{camera.name}-{user}.units"
        container = folder / f"{camera.name}-{user}-{seconds}s.mkv"
        if not units.exists():
            _write_units(units, camera, user)
        if not container.exists():
            _write_container(container, units, camera, seconds)
        found.append(Input(units, container))
    return found


def units_of(path: Path, user: int, codec: str, seconds: float) -> Iterator[Unit]:
    """All units of a recording of `seconds`, in order of time. Tracks are "<user>v" and "<user>a"."""
    records = list(_records(path.read_bytes()))
    tracks, codecs = (f"{user}a", f"{user}v"), ("opus", codec)
    base = 0.0
    while base < seconds:
        for at_s, flags, body in records:
            if base + at_s >= seconds:
                return
            video = flags & 1
            yield Unit(tracks[video], codecs[video], body, base + at_s, bool(flags & 2) or not video)
        base += LOOP_S


def _records(content: bytes) -> Iterator[tuple[float, int, bytes]]:
    at = 0
    while at < len(content):
        at_s, flags, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size + length
        yield at_s, flags, content[at - length : at]


def _write_units(path: Path, camera: Camera, user: int) -> None:
    records = [*_pictures(camera, user), *_sounds(user)]
    records.sort(key=lambda record: record[0])
    part = path.with_suffix(".part")
    with part.open("wb") as out:
        for at_s, flags, body in records:
            out.write(_HEAD.pack(at_s, flags, len(body)) + body)
    part.rename(path)


def _write_container(path: Path, units: Path, camera: Camera, seconds: int) -> None:
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="matroska") as container:
        video = container.add_stream({"h264": "libx264", "vp8": "libvpx"}[camera.codec], rate=camera.fps)
        audio = container.add_stream("libopus", rate=48_000, layout="mono")
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = camera.width, camera.height, "yuv420p"
        if camera.codec == "h264":
            video.codec_context.options = dict(_X264)
        for unit in units_of(units, 0, camera.codec, seconds):
            packet: Packet[Any] = Packet(unit.data)
            packet.stream = video if unit.codec == camera.codec else audio
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = round(unit.t * 1000)
            packet.is_keyframe = unit.key
            container.mux(packet)
    part.rename(path)


def _pictures(camera: Camera, user: int) -> Iterator[tuple[float, int, bytes]]:
    context = av.CodecContext.create({"h264": "libx264", "vp8": "libvpx"}[camera.codec], "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = camera.width, camera.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, camera.fps), Fraction(camera.fps)
    context.bit_rate, context.gop_size, context.thread_count = camera.bitrate_bps, LOOP_S * camera.fps, 1
    context.options = dict(_X264 if camera.codec == "h264" else _VPX)
    n = 0
    painter = Painter(camera.width, camera.height, user)
    for frame_no in range(LOOP_S * camera.fps + 1):
        last = frame_no == LOOP_S * camera.fps
        for packet in context.encode(None if last else painter.paint(frame_no, camera.fps)):
            yield n / camera.fps, 1 | (2 if packet.is_keyframe else 0), bytes(packet)
            n += 1


class Painter:
    """A textured room, seen by a hand that is not quite still; somebody moves in it; and the sensor's noise."""

    def __init__(self, width: int, height: int, user: int) -> None:
        self._random = np.random.default_rng(user)
        self._room = _clouds(self._random, height + 64, width + 64)
        self._person = _clouds(self._random, height, width // 2)
        self._noise = [self._random.normal(0, 2.5, (height, width)).astype(np.int16) for _ in range(8)]
        self._frame = av.VideoFrame(width, height, "yuv420p")
        self._shake, self._pace = (0.5 + user % 4 * 4, 0.4 + user % 5 * 0.35)
        self._user = user

    def paint(self, n: int, fps: int) -> av.VideoFrame:
        y, u, v = planes_of(self._frame)
        height, width = y.shape
        t = n / fps
        dx, dy = (round(32 + self._shake * np.sin(t * rate)) for rate in (1.3, 1.7))
        picture = self._room[dy : dy + height, dx : dx + width].copy()
        left = round(width / 4 + width / 6 * np.sin(t * self._pace))
        picture[height // 4 :, left : left + width // 2] = self._person[: height - height // 4]
        y[:] = np.clip(picture + self._noise[n % 8], 16, 235)
        u[:], v[:] = 100 + self._user * 5 % 60, 110 + self._user * 11 % 50
        self._frame.pts, self._frame.time_base = n, Fraction(1, fps)
        return self._frame


def _clouds(random: np.random.Generator, height: int, width: int) -> NDArray[np.int16]:
    """Noise at several scales: edges and flat parts as a room has them."""
    total = np.zeros((height, width))
    for step, weight in ((64, 60), (16, 30), (4, 12)):
        coarse = random.uniform(-1, 1, (height // step + 2, width // step + 2))
        total += weight * np.kron(coarse, np.ones((step, step)))[:height, :width]
    return np.clip(126 + total, 16, 235).astype(np.int16)


def _sounds(user: int) -> Iterator[tuple[float, int, bytes]]:
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format, context.bit_rate = 48_000, "mono", "flt", 32_000
    context.time_base = Fraction(1, 48_000)
    random = np.random.default_rng(1000 + user)
    n = 0
    for k in range(LOOP_S * 50 + 1):
        at = (np.arange(960) + k * 960) / 48_000
        wave = 0.05 * np.sin(2 * np.pi * (110 + 20 * user) * at) * (1 + np.sin(2 * np.pi * 3 * at))
        samples = (wave + random.normal(0, 0.005, 960)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, k * 960, Fraction(1, 48_000)
        for packet in context.encode(None if k == LOOP_S * 50 else frame):
            if n < LOOP_S * 50:
                yield n / 50, 0, bytes(packet)
            n += 1
