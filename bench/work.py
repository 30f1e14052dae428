"""One measured piece of work in a process of its own: `python -m bench.work KIND SHAPE SECONDS FOLDER INPUT…`.

Prints one JSON line: CPU seconds of the loop alone (reading units, decoding, encoding, writing; without imports and
opening), and how many pictures it made. Whoever started it measures the whole process.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bench.shapes import Shape, call, shape_named
from models.vocabulary.channel import Unit
from models.vocabulary.ticks import AAC_SAMPLES, audio_frame_from, audio_tick, frame_tick
from workers.recorder.mixer.audio import _opened as open_audio
from workers.recorder.mixer.decoding import _opened as open_video
from workers.recorder.mixer.geometry import canvas_size
from workers.recorder.mixer.mixer import Mixer
from workers.recorder.mixer.planes import Samples, planes_of
from workers.recorder.programme import Programme
from workers.recorder.segment.encoding import Encode
from workers.recorder.segment.slices import Part

_REFERENCE = {"preset": "ultrafast", "qp": "0"}
#: Pictures of the reference that are decoded at a time, outside the measured time.
_BATCH = 30


def nothing(_: object) -> None:
    """Warnings and wishes of a recording that has none."""


def mixer(shape: Shape, inputs: list[Path], seconds: int, folder: Path) -> dict[str, float]:
    """What the recorder does, from units to slices."""
    spec = shape.spec
    programme = Programme(
        spec,
        folder,
        first_90k=0,
        name=lambda start: f"{start:012d}.ts",
        on_slice=nothing,
        on_warning=print,
        want_key=nothing,
    )
    programme.show(shape.scene)
    began = time.process_time()
    tick = frame_tick(1, spec.video.fps)
    drawn = 0
    for at_90k, unit in call(shape, inputs, seconds):
        if at_90k >= drawn + 2 * tick:
            drawn = at_90k // tick * tick - tick
            programme.advance(drawn)
        programme.push(unit, at_90k)
    programme.finish(seconds * 90_000)
    return {"loop_s": time.process_time() - began, "frames": programme.stats.frames}


def limit(shape: Shape, inputs: list[Path], seconds: int, folder: Path) -> dict[str, float]:
    """Read and decode every unit, encode the very pictures and sound that the mixer made, write one file. No more."""
    encode = Encode(shape.spec, 0)
    part = Part(folder / "limit.ts", encode.video, encode.audio)
    spent = _decode_all(shape, inputs, seconds)
    for batch in _batches(reference(shape, folder, seconds)):
        spent += _encode_pictures(encode, part, batch)
    sound = np.fromfile(folder / f"{shape.name}-{seconds}.f32", np.float32)
    began = time.process_time()
    for j in range(encode.next_audio, audio_frame_from(seconds * 90_000)):
        at = max(0, j) * AAC_SAMPLES
        for coded in encode.sound(sound[None, at : at + AAC_SAMPLES]):
            part.mux(coded)
    for coded in encode.flush():
        part.mux(coded)
    spent += time.process_time() - began
    part.leave()
    return {"loop_s": spent, "frames": encode.next_frame}


def remember(shape: Shape, inputs: list[Path], seconds: int, folder: Path) -> dict[str, float]:
    """Keep what the mixer makes of a shape, without loss, for `limit`."""
    spec = shape.spec
    mix = Mixer(spec, 0, nothing, nothing)
    mix.show(shape.scene)
    with _Lossless(shape, folder, seconds) as kept:
        for at_90k, unit in call(shape, inputs, seconds + 1):
            while frame_tick(kept.pictures, spec.video.fps) < min(at_90k, seconds * 90_000):
                if spec.has_video:
                    kept.picture(mix.picture(kept.pictures))
                else:
                    kept.pictures += 1
            while audio_tick(len(kept.sounds) + 4) < at_90k and audio_tick(len(kept.sounds)) < seconds * 90_000:
                kept.sounds.append(mix.sound(len(kept.sounds)).copy())
            mix.push(unit, at_90k)
    mix.close()
    return {"loop_s": 0.0, "frames": kept.pictures}


class _Lossless:
    """Pictures and sound of a recording as they come, in two files."""

    def __init__(self, shape: Shape, folder: Path, seconds: int) -> None:
        self._fps, self._path = shape.spec.video.fps, reference(shape, folder, seconds)
        self._sound_path = self._path.with_suffix(".f32")
        self.sounds: list[Samples] = []
        self.pictures = 0
        self._encoded = False
        self._container = av.open(str(self._path.with_suffix(".part")), "w", format="matroska")
        stream = self._container.add_stream("libx264", rate=self._fps)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        stream.width, stream.height = canvas_size(shape.spec.video)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = dict(_REFERENCE)

    def picture(self, frame: VideoFrame) -> None:
        frame.pts, frame.time_base = self.pictures, Fraction(1, self._fps)
        self._container.mux(self._stream.encode(frame))
        self.pictures += 1
        self._encoded = True

    def __enter__(self) -> _Lossless:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._encoded:
            self._path.with_suffix(".part").rename(self._path)
        np.concatenate(self.sounds, axis=1)[0].tofile(self._sound_path)


def reference(shape: Shape, folder: Path, seconds: int) -> Path:
    return folder / f"{shape.name}-{seconds}.mkv"


def _decode_all(shape: Shape, inputs: list[Path], seconds: int) -> float:
    opened: dict[str, Callable[[Packet[Any]], object]] = {}

    def decoder(unit: Unit) -> Callable[[Packet[Any]], object]:
        if unit.track not in opened:
            context = open_audio("opus", 1) if unit.codec == "opus" else open_video(unit.codec)
            opened[unit.track] = context.decode
        return opened[unit.track]

    began = time.process_time()
    for _, unit in call(shape, inputs, seconds):
        decoder(unit)(Packet(unit.data))
    return time.process_time() - began


def _batches(path: Path) -> Iterator[list[VideoFrame]]:
    if not path.exists():
        return
    with av.open(str(path)) as container:
        batch: list[VideoFrame] = []
        for frame in container.decode(video=0):
            batch.append(frame)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        yield batch


def _encode_pictures(encode: Encode, part: Part, batch: list[VideoFrame]) -> float:
    spent = 0.0
    for frame in batch:
        canvas = VideoFrame(frame.width, frame.height, "yuv420p")
        for below, above in zip(planes_of(canvas), planes_of(frame), strict=True):
            below[:] = above
        began = time.process_time()
        for coded in encode.picture(canvas):
            part.mux(coded)
        spent += time.process_time() - began
    return spent


KINDS = {"mixer": mixer, "limit": limit, "remember": remember}


def _high_water_mb() -> float:
    """Of this program alone: rusage also counts what its parent was when it started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(arguments: list[str]) -> None:
    kind, name, seconds, folder, *inputs = arguments
    av.logging.set_level(av.logging.PANIC)
    gc.freeze()  # as the mother of recorders does: what is imported is no garbage to look through
    found = KINDS[kind](shape_named(name), [Path(path) for path in inputs], int(seconds), Path(folder))
    print(json.dumps(found | {"peak_mb": _high_water_mb()}))


if __name__ == "__main__":
    main(sys.argv[1:])
