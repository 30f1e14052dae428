"""The shapes of work that are measured: so many users with such cameras, mixed into such a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Final, Literal

from bench.inputs import Camera, units_of
from models.vocabulary.channel import Unit
from models.vocabulary.scene import Scene
from models.vocabulary.spec import AudioSpec, LayoutKind, LayoutSpec, MemoryStore, RecordingSpec, VideoSpec
from workers.recorder.mixer.layout import scene_at
from workers.recorder.mixer.seen import SeenUser, SeenVideo

P360: Final = Camera(640, 360, 30, 600_000)
P180: Final = Camera(320, 180, 15, 150_000)
P720: Final = Camera(1280, 720, 30, 1_500_000)
P360_VP8: Final = Camera(640, 360, 30, 600_000, "vp8")
P240: Final = Camera(320, 240, 15, 200_000)

PORTRAIT: Final = VideoSpec(width=360, height=640, fps=15, bitrate_bps=500_000)
HD: Final = VideoSpec(width=1280, height=720, fps=30, bitrate_bps=1_710_000)
VENDOR: Final = VideoSpec(width=640, height=480, fps=15, bitrate_bps=500_000)


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    users: int
    camera: Camera
    video: VideoSpec
    streams: Literal[0, 1, 2] = 2

    @property
    def spec(self) -> RecordingSpec:
        return RecordingSpec(
            appid="bench",
            cname="bench",
            uid="1",
            channel="scripted:",
            store=MemoryStore(),
            stream_types=self.streams,
            video=self.video,
            audio=AudioSpec(profile=0),
            layout=LayoutSpec(kind=LayoutKind.BEST_FIT),
        )

    @property
    def scene(self) -> Scene:
        users = [
            SeenUser(str(i), i, 0, videos=(SeenVideo(f"{i}v").started(0),) if self.streams else ())
            for i in range(self.users)
        ]
        return scene_at(self.spec, users, 0)


SHAPES: Final = (
    *(Shape(f"360p30x{n}", n, P360, PORTRAIT) for n in (1, 2, 4, 9, 17)),
    Shape("720p30x4", 4, P720, HD),
    Shape("vendor240p15x2", 2, P240, VENDOR),
    Shape("audio-only-x17", 17, P360, PORTRAIT, streams=0),
    Shape("vp8-360p30x9", 9, P360_VP8, PORTRAIT),
    Shape("simulcast-180p15x17", 17, P180, PORTRAIT),
)


def shape_named(name: str) -> Shape:
    return next(shape for shape in SHAPES if shape.name == name)


def call(shape: Shape, inputs: Sequence[Path], seconds: float) -> Iterator[tuple[int, Unit]]:
    """(tick, unit) of all users in order of time, as they reach a recorder."""
    users = (units_of(path, user, shape.camera.codec, seconds) for user, path in enumerate(inputs))
    for unit in merge(*users, key=lambda unit: unit.t):
        if shape.streams or unit.codec == "opus":
            yield round(unit.t * 90_000), unit
