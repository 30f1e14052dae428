"""`make soak`: hours of a scripted call on the virtual clock: 17 users (and a few too many) who join, leave, mute, turn, resize and change codec.

Judged from the files: every frame and every AAC frame once and in place, no cell with another user's picture; and
memory must stay flat. The seed says what happens; a failure prints it.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import av
import numpy as np
from av.video.frame import VideoFrame

from models.vocabulary import pipe
from models.vocabulary.scene import Item, ItemKind, Scene
from models.vocabulary.spec import (
    Content,
    ContentKind,
    LayoutKind,
    LayoutSpec,
    MemoryStore,
    RecordingSpec,
    Secrets,
    VideoSpec,
)
from models.vocabulary.ticks import AAC_TICKS, LEAD_90K, audio_frame_from, frame_tick
from workers.recorder import stretch, take
from workers.recorder.capture.script import Script
from workers.recorder.capture.scripted import ScriptedChannel
from workers.recorder.clock import VIRTUAL_START_MS, VirtualClock, run_virtual
from workers.recorder.ending import Ending
from workers.recorder.mixer.canvas import overlap
from workers.recorder.mixer.planes import planes_of
from workers.recorder.programme import Programme
from workers.recorder.segment.slices import ClosedSlice
from workers.synthetic import media
from workers.synthetic.pictures import yuv

FPS: Final = 15
USERS: Final = 19  # two more than there are regions
_SIZES: Final = ((128, 72), (160, 90), (96, 128))
#: Chroma nearer to grey than this is nobody's: a flash that fades, a background. Hues this near are the same.
_COLOURED: Final = 28
_SAME_RAD: Final = 0.14


def colours() -> list[str]:
    """So many hues that a flash may fade any of them and none becomes another."""
    return [_rgb(54 * np.cos(turn), 54 * np.sin(turn)) for turn in (2 * np.pi * n / USERS for n in range(USERS))]


def _rgb(u: float, v: float) -> str:
    y, scale = 0.45, 1 / 224
    r, b = y + 1.402 * v * scale, y + 1.772 * u * scale
    g = (y - 0.299 * r - 0.114 * b) / 0.587
    return "#" + "".join(f"{round(255 * min(1, max(0, c))):02x}" for c in (r, g, b))


def script(seed: int, seconds: float) -> Script:
    chance = random.Random(seed)
    users = [
        {
            "id": f"u{n}", "colour": colour, "fps": 15, "gop_s": 10, "width": 128, "height": 72,
            "codec": chance.choice(["h264", "vp8"]), "drift_ppm": chance.choice([-200, 0, 200]),
            "client": chance.choice(["native", "web3", "web4"]), "actions": list(_life(chance, n, seconds)),
        }
        for n, colour in enumerate(colours()[:USERS], start=1)
    ]  # fmt: skip
    return Script.model_validate({"users": users, "duration_s": seconds})


def _life(chance: random.Random, n: int, seconds: float) -> Iterator[dict[str, Any]]:
    """What a user does: he comes, and every 20 s or so does something that he can do then."""
    at = 0.0 if n == 1 else chance.uniform(0, 20)
    yield {"at_s": at, "do": "join"}
    yield {"at_s": at, "do": "publish", "what": ["audio", "video"]}
    here, muted = True, False
    while (at := at + chance.expovariate(1 / 20) + 0.5) < seconds:
        what = chance.random()
        if not here:
            yield {"at_s": at, "do": "rejoin"}
            here, muted = True, False
        elif what < 0.15 and n > 1:  # the first stays: nobody there ends a recording
            yield {"at_s": at, "do": "leave"}
            here = False
        elif what < 0.45:
            yield {"at_s": at, "do": "unmute" if muted else "mute", "what": ["video"]}
            muted = not muted
        elif what < 0.6:
            yield {"at_s": at, "do": "rotate", "degrees": chance.choice([0, 90, 180, 270])}
        elif what < 0.75:
            width, height = chance.choice(_SIZES)
            yield {"at_s": at, "do": "resize", "width": width, "height": height}
        elif what < 0.85:
            yield {"at_s": at, "do": "codec", "codec": chance.choice(["h264", "vp8"])}
        elif what < 0.95:
            percent, for_s = chance.uniform(1, 30), chance.uniform(1, 10)
            yield {"at_s": at, "do": "loss", "percent": percent, "for_s": for_s, "what": ["audio", "video"]}
        else:
            yield {"at_s": at, "do": "corrupt", "for_s": chance.uniform(0.2, 3), "what": ["audio", "video"]}


def spec(kind: LayoutKind, slice_s: int = 6) -> RecordingSpec:
    clock = Content(kind=ContentKind.TIMESTAMP, left=4, top=4, font_size=10)
    return RecordingSpec(
        appid="soak",
        cname="soak",
        uid="1",
        channel="scripted:",
        store=MemoryStore(),
        slice_s=slice_s,
        video=VideoSpec(width=640, height=360, fps=FPS, bitrate_bps=800_000),
        layout=LayoutSpec(kind=kind, background_color="#202020", contents=(clock,)),
    )


@dataclass
class Verdict:
    frames: int = 0
    sounds: int = 0
    cells: int = 0
    recognised: int = 0
    wrong: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    head_90k: int = 0


class Judge:
    """Reads each slice as it is closed and forgets it."""

    def __init__(self, on_minute: Callable[[Verdict], None]) -> None:
        self.verdict = Verdict()
        self.scenes: list[tuple[int, Scene]] = []  # from which tick on
        self._hue = {f"u{n}": _hue(*yuv(colour)[1:]) for n, colour in enumerate(colours(), start=1)}
        self._on_minute = on_minute

    def closed(self, slice_: ClosedSlice) -> None:
        with av.open(str(slice_.path)) as file:
            for packet in file.demux(audio=0):
                if packet.pts is not None and packet.pts - LEAD_90K != self.verdict.sounds * AAC_TICKS:
                    self.verdict.wrong.append(f"AAC frame {self.verdict.sounds} lies at {packet.pts - LEAD_90K}")
                self.verdict.sounds += packet.pts is not None
        with av.open(str(slice_.path)) as file:
            for frame in file.decode(video=0):
                self._judge(frame)
        slice_.path.unlink()
        if self.verdict.frames % (60 * FPS) < 6 * FPS:
            media._video_run.cache_clear()  # the channel's encoded loops are no memory of the recorder's
            self.verdict.memory_mb.append(resident_mb())
            self._on_minute(self.verdict)

    def _judge(self, frame: VideoFrame) -> None:
        n = self.verdict.frames
        at_90k = frame_tick(n, FPS)
        if frame.pts is None or frame.pts - LEAD_90K != at_90k:
            self.verdict.wrong.append(f"frame {n} lies at {frame.pts}")
        self.verdict.frames += 1
        while len(self.scenes) > 1 and self.scenes[1][0] <= at_90k:
            self.scenes.pop(0)
        if n % 5 and at_90k - self.scenes[0][0] > 3 * 6_000:
            return  # a picture that changes only by what its users send is looked at three times a second
        _, u, v = planes_of(frame)
        cells = [item for item in self.scenes[0][1].items if item.kind is not ItemKind.TEXT]
        for item in cells:
            hidden = any(other.z > item.z and overlap(item, other) for other in cells)
            if item.w >= 32 and item.h >= 32 and not hidden:
                self._cell(n, item, u, v)

    def _cell(self, n: int, item: Item, u: np.ndarray[Any, Any], v: np.ndarray[Any, Any]) -> None:
        rows, columns = (
            slice((a + b // 4) // 2, (a + b * 3 // 4) // 2) for a, b in ((item.y, item.h), (item.x, item.w))
        )
        du, dv = u[rows, columns].astype(int) - 128, v[rows, columns].astype(int) - 128
        coloured = du * du + dv * dv > _COLOURED * _COLOURED
        self.verdict.cells += 1
        if coloured.mean() < 0.2:
            return  # a flash, a background, or a marker
        seen = _hue(float(np.median(du[coloured])) + 128, float(np.median(dv[coloured])) + 128)
        distance = {uid: abs(np.angle(np.exp(1j * (seen - hue)))) for uid, hue in self._hue.items()}
        nearest = min(distance, key=lambda uid: distance[uid])
        if distance[nearest] > _SAME_RAD:
            return  # torn by loss: nobody's
        if nearest == item.user and item.kind is ItemKind.SOURCE:
            self.verdict.recognised += 1
        elif len(self.verdict.wrong) < 20:
            self.verdict.wrong.append(f"frame {n}: the cell of {item.user} ({item.kind.value}) shows {nearest}")


def _hue(u: float, v: float) -> float:
    return float(np.arctan2(v - 128, u - 128))


def soak(seed: int, seconds: float, kind: LayoutKind, folder: Path, on_minute: Callable[[Verdict], None]) -> Verdict:
    judge = Judge(on_minute)

    class Watched(Programme):
        """A programme whose scenes the judge knows."""

        def show(self, scene: Scene) -> None:
            super().show(scene)
            judge.scenes.append((self.position_90k, scene))

    async def main(clock: VirtualClock) -> Ending:
        begin = pipe.Begin(
            sid="0" * 32, epoch=1, owner="0" * 32, spec=spec(kind), secrets=Secrets(),
            opened_ms=VIRTUAL_START_MS, spool=str(folder),
        )  # fmt: skip
        recording = take.Take(
            begin, clock, ScriptedChannel(clock, script(seed, seconds)), folder, resume_at_90k=0,
            on_joined=lambda: None, on_zero=lambda _: None, on_first_frame=lambda _: None,
            on_slice=judge.closed, on_warning=judge.verdict.warnings.append,
        )  # fmt: skip
        return await recording.run()

    with patch.object(stretch, "Programme", Watched):
        ending = run_virtual(main)
    verdict = judge.verdict
    if not verdict.memory_mb:  # it ended within its first minute
        verdict.memory_mb.append(resident_mb())
    verdict.head_90k = ending.head_90k
    _account(verdict, seconds)
    return verdict


def _account(verdict: Verdict, seconds: float) -> None:
    """Every frame of the whole length, no more and no fewer."""
    owed = round(verdict.head_90k * FPS / 90_000), audio_frame_from(verdict.head_90k)
    if (verdict.frames, verdict.sounds) != owed:
        verdict.wrong.append(f"{verdict.frames} frames and {verdict.sounds} AAC frames instead of {owed}")
    if abs(verdict.head_90k / 90_000 - seconds) > 1:
        verdict.wrong.append(f"it ended at {verdict.head_90k / 90_000} s")
    if verdict.recognised < verdict.cells // 4:
        verdict.wrong.append(f"only {verdict.recognised} of {verdict.cells} cells showed their user")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def growth_mb(memory_mb: list[float]) -> float:
    """How much the last quarter's median lies above that of the second, when caches are full."""
    quarter = max(1, len(memory_mb) // 4)
    return float(np.median(memory_mb[-quarter:]) - np.median(memory_mb[quarter : 2 * quarter] or memory_mb))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layout", type=int, default=int(LayoutKind.BEST_FIT), choices=[0, 1, 2])
    args = parser.parse_args(arguments)
    av.logging.set_level(av.logging.PANIC)
    began = time.monotonic()

    def tell(verdict: Verdict) -> None:
        if sys.stderr.isatty():
            print(f"\r{verdict.frames / FPS / 60:.0f} min, {verdict.memory_mb[-1]:.0f} MB", end="", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        verdict = soak(args.seed, args.minutes * 60, LayoutKind(args.layout), Path(folder), tell)
    grown_mb = growth_mb(verdict.memory_mb)
    if grown_mb > 16:
        verdict.wrong.append(f"memory grew by {grown_mb:.0f} MB")
    found = {
        "seed": args.seed, "minutes": args.minutes, "frames": verdict.frames, "aac_frames": verdict.sounds,
        "cells_judged": verdict.cells, "cells_recognised": verdict.recognised, "memory_growth_mb": round(grown_mb, 1),
        "memory_mb": round(max(verdict.memory_mb), 1), "took_s": round(time.monotonic() - began), "wrong": verdict.wrong,
    }  # fmt: skip
    print(json.dumps(found))
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
