"""Sources whose every frame carries its number, and a reader of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from models.vocabulary.channel import Unit
from models.vocabulary.scene import Item, ItemKind, Scene
from models.vocabulary.spec import AudioSpec, MemoryStore, RecordingSpec, VideoSpec
from models.vocabulary.ticks import LEAD_90K, frame_tick
from workers.recorder.mixer.planes import Planes, planes_of, samples_of
from workers.recorder.programme import Programme
from workers.recorder.segment.slices import ClosedSlice

WIDTH, HEIGHT, BITS = 192, 96, 12


def spec(
    *, fps: int = 15, streams: Literal[0, 1, 2] = 2, slice_s: int = 2, profile: Literal[0, 1, 2] = 0, **video: int
) -> RecordingSpec:
    size = {"width": WIDTH, "height": HEIGHT, "bitrate_bps": 200_000} | video
    return RecordingSpec(
        appid="a",
        cname="c",
        uid="1",
        channel="scripted:",
        store=MemoryStore(),
        stream_types=streams,
        slice_s=slice_s,
        video=VideoSpec(fps=fps, **size),
        audio=AudioSpec(profile=profile),
    )


def full(track: str = "v", *, width: int = WIDTH, height: int = HEIGHT, fps: int = 15) -> Scene:
    return Scene(width, height, fps, items=(Item(ItemKind.SOURCE, track, 0, 0, width, height),))


def draw_number(planes: Planes, n: int) -> None:
    """Twelve blocks of 16 pixels say n, below them the same inverted."""
    planes[1][:], planes[2][:] = 128, 128
    for bit in range(BITS):
        light = 235 if n >> bit & 1 else 16
        planes[0][: HEIGHT // 2, bit * 16 : bit * 16 + 16] = light
        planes[0][HEIGHT // 2 :, bit * 16 : bit * 16 + 16] = 251 - light


def read_number(luma: NDArray[np.uint8]) -> int:
    """-1 when the two halves disagree."""
    upper = [int(luma[10:38, b * 16 + 5 : b * 16 + 11].mean() > 125) for b in range(BITS)]
    lower = [int(luma[58:86, b * 16 + 5 : b * 16 + 11].mean() > 125) for b in range(BITS)]
    return (
        sum(bit << b for b, bit in enumerate(upper)) if all(u != v for u, v in zip(upper, lower, strict=True)) else -1
    )


_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "g": "1000", "forced-idr": "1"}),
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "error-resilient": "1"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
}


def video_units(
    draw: Callable[[Planes, int], None],
    count: int,
    *,
    fps: int,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "h264",
    track: str = "v",
    key_every: int = 15,
    first: int = 0,
    rotation: int = 0,
) -> list[tuple[int, Unit]]:
    name, options = _ENCODERS[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.time_base, context.framerate, context.bit_rate = Fraction(1, fps), Fraction(fps), 1_000_000
    context.options, context.thread_count = options, 1
    frame = av.VideoFrame(*size, "yuv420p")
    units = []
    for n in range(count):
        draw(planes_of(frame), first + n)
        frame.pts, frame.time_base = n, Fraction(1, fps)
        frame.pict_type = PictureType.I if n % key_every == 0 else PictureType.NONE
        for packet in context.encode(frame):
            at = frame_tick(first + n, fps)
            units.append((at, Unit(track, codec, bytes(packet), at / 90_000, packet.is_keyframe, rotation=rotation)))
    assert len(units) == count
    return units


@cache
def numbered(count: int, fps: int, codec: str = "h264") -> tuple[tuple[int, Unit], ...]:
    return tuple(video_units(draw_number, count, fps=fps, codec=codec))


def tone(first: int, count: int) -> NDArray[np.float32]:
    """440 Hz, with a louder 1 kHz beep in the first 20 ms of each second."""
    i = np.arange(first, first + count)
    beep = np.where(i % 48_000 < 960, 0.35 * np.sin(2 * np.pi * 1000 * i / 48_000), 0)
    return (0.25 * np.sin(2 * np.pi * 440 * i / 48_000) + beep).astype(np.float32)


def audio_units(
    wave: Callable[[int, int], NDArray[np.float32]],
    seconds: float,
    *,
    channels: int = 1,
    track: str = "a",
    start: int = 0,
    bitrate: int = 256_000,
) -> list[tuple[int, Unit]]:
    """20 ms Opus units as a WebRTC sender makes them: a unit's time is that of its first sample at the encoder's input."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    layout = "stereo" if channels == 2 else "mono"
    context.sample_rate, context.layout, context.format, context.bit_rate = 48_000, layout, "flt", bitrate
    context.time_base = Fraction(1, 48_000)
    units: list[tuple[int, Unit]] = []
    for k in range(round(seconds * 50)):
        frame = av.AudioFrame("flt", layout, 960)
        frame.sample_rate, frame.pts, frame.time_base = 48_000, k * 960, Fraction(1, 48_000)
        samples_of(frame.planes[0], 960 * channels)[:] = np.repeat(wave(start + k * 960, 960), channels)
        for packet in context.encode(frame):
            at = (start + len(units) * 960) * 90 // 48
            units.append((at, Unit(track, "opus", bytes(packet), at / 90_000, True, duration_s=0.02)))
    return units


@cache
def tones(seconds: int) -> tuple[tuple[int, Unit], ...]:
    return tuple(audio_units(tone, seconds))


def in_order(*tracks: Sequence[tuple[int, Unit]]) -> list[tuple[int, Unit]]:
    return sorted((timed for track in tracks for timed in track), key=lambda timed: timed[0])


class Tenure:
    """A Programme with what it made."""

    def __init__(self, spec: RecordingSpec, folder: Path, *, first_90k: int = 0, epoch: int = 1, **more: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.slices: list[ClosedSlice] = []
        self.warnings: list[str] = []
        self.wanted: list[str] = []
        self.programme = Programme(
            spec,
            folder,
            first_90k=first_90k,
            name=lambda start: f"e{epoch}_{start:012d}.ts",
            on_slice=self.slices.append,
            on_warning=self.warnings.append,
            want_key=self.wanted.append,
            **more,
        )

    def play(
        self, units: Sequence[tuple[int, Unit]], until_90k: int, *, step_90k: int = 9_000, since_90k: int = 0
    ) -> None:
        waiting = [timed for timed in units if timed[0] >= since_90k]
        at = 0
        for to in [*range(since_90k + step_90k, until_90k, step_90k), until_90k]:
            while at < len(waiting) and waiting[at][0] < to + 9_000:
                self.programme.push(waiting[at][1], waiting[at][0])
                at += 1
            self.programme.advance(to)


@dataclass(frozen=True)
class Played:
    pictures: list[tuple[int, NDArray[np.uint8]]]  # (pts less the lead, luma)
    numbers: list[int]
    sounds: list[tuple[int, NDArray[np.float32]]]  # (pts less the lead, (channels, n))
    complaints: list[str]

    def error(self, wave: Callable[[int, int], NDArray[np.float32]]) -> dict[int, float]:
        """AAC frame → rms of what it differs from the source by."""
        found = {}
        for at, samples in self.sounds:
            first = round(at * 48 / 90)
            found[round(at / 1920)] = float(np.sqrt(np.mean((samples[0] - wave(first, samples.shape[1])) ** 2)))
        return found


def playlist(slices: Sequence[ClosedSlice], path: Path) -> Path:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:10"]
    for before, row in zip([None, *slices], slices, strict=False):
        if before is not None and before.end_90k != row.start_90k:
            lines.append("#EXT-X-DISCONTINUITY")
        lines += [f"#EXTINF:{(row.end_90k - row.start_90k) / 90_000:.6f},", str(row.path)]
    path.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    return path


def play(slices: Sequence[ClosedSlice], folder: Path) -> Played:
    """Decode as a player does: through a playlist."""
    pictures, sounds = [], []
    with av.logging.Capture(local=False) as log:
        av.logging.set_level(av.logging.WARNING)
        with av.open(str(playlist(slices, folder / "all.m3u8"))) as container:
            for frame in _frames(container):
                assert frame.pts is not None and frame.time_base is not None
                at = round(frame.pts * frame.time_base * 90_000) - LEAD_90K
                if isinstance(frame, av.VideoFrame):
                    pictures.append((at, planes_of(frame)[0].copy()))
                else:
                    sounds.append((at, np.stack([samples_of(p, frame.samples) for p in frame.planes])))
        av.logging.set_level(None)
    numbers = [read_number(luma) for _, luma in pictures]
    return Played(pictures, numbers, sounds, [f"{name}: {text.strip()}" for _, name, text in log])


def _frames(container: Any) -> Iterator[Any]:
    streams = [*container.streams.video[:1], *container.streams.audio[:1]]
    for packet in container.demux(streams):
        yield from packet.decode()
