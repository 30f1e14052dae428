"""`make fuzz`: damaged units of every codec into the mixer: bit flips, cuts, wrong order, doubles, losses.

Nothing may raise, no process may die, a whole stream beside the damaged ones must stay whole, and memory must stay flat.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import av
import numpy as np

from bench.soak import growth_mb, resident_mb
from models.vocabulary.channel import Unit
from models.vocabulary.scene import Item, ItemKind, Scene
from models.vocabulary.spec import MemoryStore, RecordingSpec, VideoSpec
from models.vocabulary.ticks import audio_tick, frame_tick
from workers.recorder.mixer.mixer import Mixer
from workers.recorder.mixer.planes import planes_of
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.pictures import yuv
from workers.synthetic.plan import MediaPlan

FPS = 15
_WITNESS = MediaPlan(user_no=1, width=96, height=64, fps=FPS, colour="#c03080")


@dataclass
class Verdict:
    units: int = 0
    pictures: int = 0
    rounds: int = 0
    memory_mb: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def damaged(unit: Unit, chance: random.Random) -> list[Unit]:
    """What may come of a unit: mostly itself."""
    body = bytearray(unit.data)
    match chance.randrange(12):
        case 0:
            for _ in range(chance.choice([1, 1, 3, 20])):
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        case 1:
            del body[chance.randrange(len(body)) :]
        case 2:
            at = chance.randrange(len(body))
            body[at : at + chance.randrange(64)] = chance.randbytes(chance.randrange(64))
        case 3:
            return []
        case 4:
            return [unit, unit]
        case 5:
            return [replace(unit, key=not unit.key)]
        case 6:
            return [replace(unit, codec=chance.choice(["h264", "vp8", "vp9", "av1", "opus", "aac"]))]
        case _:
            return [unit]
    return [replace(unit, data=bytes(body), gap=chance.random() < 0.3)]


def scenes() -> Scene:
    tracks = [("h264", 0), ("vp8", 96), ("turned", 192), ("witness", 288)]
    return Scene(384, 64, FPS, items=tuple(Item(ItemKind.SOURCE, track, x, 0, 96, 64) for track, x in tracks))


def _streams(chance: random.Random) -> dict[str, Callable[[int], Unit]]:
    def video(track: str, plan: MediaPlan, turn: int = 0) -> Callable[[int], Unit]:
        loop = VideoLoop(plan)

        def unit(n: int) -> Unit:
            made = loop.unit(n)
            return Unit(track, plan.codec, made.content, n / FPS, made.key, rotation=turn)

        return unit

    return {
        "h264": video("h264", MediaPlan(user_no=2, width=160, height=90, fps=FPS)),
        "vp8": video("vp8", MediaPlan(user_no=3, codec="vp8", width=160, height=90, fps=FPS)),
        "turned": video(
            "turned", MediaPlan(user_no=4, width=90, height=160, fps=FPS, gop_s=10), chance.choice([90, 270])
        ),
    }


def one_round(seed: int, verdict: Verdict, seconds: int = 10) -> None:
    """Some seconds of a call with three damaged cameras and microphones, and one witness who is whole."""
    chance = random.Random(seed)
    spec = RecordingSpec(
        appid="fuzz", cname="fuzz", uid="1", channel="scripted:", store=MemoryStore(),
        video=VideoSpec(width=384, height=64, fps=FPS),
    )  # fmt: skip
    mix = Mixer(spec, 0, lambda text: None, lambda track: None)
    mix.show(scenes())
    cameras, sound, witness = _streams(chance), AudioLoop(MediaPlan(user_no=2)), VideoLoop(_WITNESS)
    heard = 0
    for n in range(seconds * FPS):
        at_90k = frame_tick(n, FPS)
        made = witness.unit(n)
        mix.push(Unit("witness", "h264", made.content, n / FPS, made.key), at_90k)
        for unit in _disordered([u for camera in cameras.values() for u in damaged(camera(n), chance)], chance):
            mix.push(unit, at_90k + chance.choice([0, 0, 0, -9_000, 90_000]))
            verdict.units += 1
        for k in range(n * 50 // FPS, (n + 1) * 50 // FPS):
            for unit in damaged(Unit("sound", "opus", sound.unit(k).content, k / 50, True), chance):
                mix.push(unit, k * 1_800)
                verdict.units += 1
        _look(mix, n, verdict)
        while audio_tick(heard + 4) < at_90k:
            samples = mix.sound(heard)
            heard += 1
            if not np.isfinite(samples).all() or np.abs(samples).max() > 1:
                verdict.wrong.append(f"seed {seed}: sound beyond its bounds in AAC frame {heard}")
    mix.close()
    verdict.rounds += 1


def _look(mix: Mixer, n: int, verdict: Verdict) -> None:
    frame = mix.picture(n)
    verdict.pictures += 1
    if n % FPS in (0, 1):
        return  # the witness flashes
    _, u, v = planes_of(frame)
    own = (int(np.median(plane[4:-4, 146:190])) for plane in (u, v))
    if any(abs(seen - sent) > 6 for seen, sent in zip(own, yuv(_WITNESS.colour)[1:], strict=True)):
        verdict.wrong.append(f"the witness's cell is not his in frame {n}")


def _disordered(units: list[Unit], chance: random.Random) -> Iterator[Unit]:
    if chance.random() < 0.2:
        chance.shuffle(units)
    yield from units


def fuzz(seed: int, until: Callable[[Verdict], bool]) -> Verdict:
    verdict = Verdict()
    while not until(verdict) and len(verdict.wrong) < 20:
        one_round(seed + verdict.rounds, verdict)
        verdict.memory_mb.append(resident_mb())
    return verdict


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    av.logging.set_level(av.logging.PANIC)
    ends = time.monotonic() + args.minutes * 60
    verdict = fuzz(args.seed, lambda _: time.monotonic() >= ends)
    grown_mb = growth_mb(verdict.memory_mb)
    if grown_mb > 16:
        verdict.wrong.append(f"memory grew by {grown_mb:.0f} MB")
    found = {
        "seed": args.seed, "minutes": args.minutes, "rounds": verdict.rounds, "units": verdict.units,
        "pictures": verdict.pictures, "memory_growth_mb": round(grown_mb, 1), "wrong": verdict.wrong,
    }  # fmt: skip
    print(json.dumps(found))
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
