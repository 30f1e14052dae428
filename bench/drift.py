"""`make drift`: two hours of a sender whose clock is 200 ppm fast, on the virtual clock: how far his sound leaves his picture.

Flashes and beeps are found in the decoded files and paired, second for second; the medians of each ten minutes are
printed. A picture waits for the next frame's tick, so half a frame of "late picture" is the least there can be. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import av

from farm.judge.pictures import frames
from farm.judge.sounds import beeps
from farm.judge.users import Cell, Eye, Watched, flash_times
from models.vocabulary import pipe
from models.vocabulary.spec import LayoutKind, LayoutSpec, MemoryStore, RecordingSpec, Secrets, VideoSpec
from workers.recorder import take
from workers.recorder.capture.script import Script
from workers.recorder.capture.scripted import ScriptedChannel
from workers.recorder.clock import VIRTUAL_START_MS, VirtualClock, run_virtual
from workers.recorder.ending import Ending
from workers.recorder.mixer.planes import planes_of
from workers.synthetic.marker import View

FPS: Final = 30
WIDTH, HEIGHT = 160, 90
WINDOW_S: Final = 600
#: The bound (issue and recording-clock.md): what two hours may cost.
MOST_MS: Final = 40.0


def recorded(folder: Path, seconds: float, drift_ppm: float) -> list[Path]:
    """The slices of a call of one, in order."""
    told = [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish", "what": ["audio", "video"]}]
    user = {"id": "fast", "width": WIDTH, "height": HEIGHT, "fps": FPS, "drift_ppm": drift_ppm, "actions": told}
    script = Script.model_validate({"users": [user], "duration_s": seconds})
    slices: list[Path] = []

    async def main(clock: VirtualClock) -> Ending:
        begin = pipe.Begin(
            sid="0" * 32, epoch=1, owner="0" * 32, spec=_spec(), secrets=Secrets(),
            opened_ms=VIRTUAL_START_MS, spool=str(folder),
        )  # fmt: skip
        recording = take.Take(
            begin, clock, ScriptedChannel(clock, script), folder, resume_at_90k=0,
            on_joined=lambda: None, on_zero=lambda _: None, on_first_frame=lambda _: None,
            on_slice=lambda closed: slices.append(closed.path), on_warning=print,
        )  # fmt: skip
        return await recording.run()

    run_virtual(main)
    return slices


def offsets_ms(paths: list[Path], seconds: float) -> list[tuple[float, float]]:
    """(second, flash less beep in ms): positive, the picture is late."""
    eye = Eye(Watched(1, "fast", (Cell(View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT)),), ((0, seconds),), FPS))
    for at_s, frame in frames(paths):
        eye.look(at_s, planes_of(frame)[0])
    heard = [beep.at_s for beep in beeps(paths, [1])[1]]
    found, i = [], 0
    for flash_s in flash_times(eye.seen, FPS):
        while i < len(heard) and heard[i] < flash_s - 0.5:
            i += 1
        if i < len(heard) and abs(heard[i] - flash_s) < 0.5:
            found.append((flash_s, (flash_s - heard[i]) * 1000))
    return found


def _spec() -> RecordingSpec:
    return RecordingSpec(
        appid="drift", cname="drift", uid="1", channel="scripted:", store=MemoryStore(),
        video=VideoSpec(width=WIDTH, height=HEIGHT, fps=FPS, bitrate_bps=150_000),
        layout=LayoutSpec(kind=LayoutKind.BEST_FIT),
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--ppm", type=float, default=200)
    args = parser.parse_args(arguments)
    av.logging.set_level(av.logging.PANIC)
    seconds = args.minutes * 60
    with tempfile.TemporaryDirectory(prefix="drift-") as folder:
        pairs = offsets_ms(recorded(Path(folder), seconds, args.ppm), seconds)
    windows = []
    for start in range(0, round(seconds), WINDOW_S):
        inside = [ms for at_s, ms in pairs if start <= at_s < start + WINDOW_S]
        if inside:
            windows.append(round(median(inside), 1))
            print(f"minute {start // 60:4}: picture − sound {windows[-1]:+6.1f} ms ({len(inside)} seconds)")
    worst_ms = max((abs(ms) for ms in windows), default=None)
    ok = worst_ms is not None and worst_ms <= MOST_MS and len(pairs) >= 0.98 * seconds
    found = {
        "ppm": args.ppm, "minutes": args.minutes, "pairs": len(pairs), "windows_ms": windows, "worst_ms": worst_ms, "ok": ok
    }  # fmt: skip
    print(json.dumps(found))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
