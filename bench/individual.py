"""What individual mode costs beyond capture: CPU seconds of this process for a minute of one user, picture and sound.

`python -m bench.individual`: 640×360 at 30 fps and Opus, encoded before, into slices on disk; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Literal

from models.vocabulary.channel import Track, TrackKind, TrackSource, Unit
from models.vocabulary.spec import MemoryStore, Mode, RecordingSpec
from models.vocabulary.ticks import TICKS_PER_S, seconds, ticks
from workers.recorder.individual.ensemble import Ensemble, stream_name
from workers.synthetic.media import AUDIO_UNIT_S, AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

PLAN: Final = MediaPlan(codec="h264", width=640, height=360, fps=30, loop_s=2)
STEP_90K: Final = TICKS_PER_S // 10
#: CPU-s a user-minute that may not be exceeded.
MOST: Final = {"individual_copy_cpu_s_per_user_min": 0.1, "individual_aac_cpu_s_per_user_min": 0.45}


def measure(users: int = 4, length_s: int = 60) -> dict[str, float]:
    """Both figures, by the names that `make bench-capture` prints. Takes some ten seconds of CPU."""
    VideoLoop(PLAN).prepare()
    AudioLoop(PLAN).prepare()
    modes: dict[str, Literal["original", "default"]] = {
        "individual_copy_cpu_s_per_user_min": "original",
        "individual_aac_cpu_s_per_user_min": "default",
    }
    return {name: cpu_s_per_user_min(mode, users, length_s) for name, mode in modes.items()}


def cpu_s_per_user_min(stream_mode: Literal["original", "default"], users: int, length_s: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        slices: list[int] = []
        spec = RecordingSpec(
            mode=Mode.INDIVIDUAL,
            appid="a",
            cname="bench",
            uid="1",
            channel="scripted:",
            store=MemoryStore(),
            stream_mode=stream_mode,
        )
        ensemble = Ensemble(
            spec,
            Path(folder),
            first_90k=0,
            name=stream_name("5" * 32, "bench", 1_767_225_600_000, 1),
            on_slice=lambda slice_: slices.append(slice_.bytes),
            on_open=lambda *_: None,
            on_hole=lambda *_: None,
            on_warning=_say,
            want_key=lambda _: None,
        )
        for n in range(users):
            ensemble.follow(Track(f"v{n}", f"user{n}", TrackKind.VIDEO, TrackSource.CAMERA, "h264"))
            ensemble.follow(Track(f"a{n}", f"user{n}", TrackKind.AUDIO, TrackSource.MICROPHONE, "opus"))
        began = time.process_time()
        fed = _feed(ensemble, users, length_s)
        cpu_s = time.process_time() - began
        if ensemble.copied != fed or not slices:
            raise RuntimeError(f"{ensemble.copied} of {fed} units were recorded")
    return round(cpu_s / users / (length_s / 60), 4)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _feed(ensemble: Ensemble, users: int, length_s: int) -> int:
    pictures, sound = VideoLoop(PLAN), AudioLoop(PLAN)
    fed, n, m = 0, 0, 0
    for to_90k in range(STEP_90K, length_s * TICKS_PER_S + 1, STEP_90K):
        to_s = seconds(to_90k)
        while (at_s := n / PLAN.fps) < to_s:
            unit = pictures.unit(n)
            for user in range(users):
                ensemble.push(Unit(f"v{user}", "h264", unit.content, at_s, unit.key), ticks(at_s))
                fed += 1
            n += 1
        while (at_s := m * AUDIO_UNIT_S) < to_s:
            content = sound.unit(m).content
            for user in range(users):
                ensemble.push(Unit(f"a{user}", "opus", content, at_s, True, AUDIO_UNIT_S), ticks(at_s))
                fed += 1
            m += 1
        ensemble.advance(to_90k)
    ensemble.finish(length_s * TICKS_PER_S)
    return fed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    found = measure(asked.users, asked.seconds)
    for name, value in found.items():
        print(f"{name}: {value} (at most {MOST[name]})")
    print(json.dumps(found))
    return 0 if all(found[name] <= most for name, most in MOST.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
