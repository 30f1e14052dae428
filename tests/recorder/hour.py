"""`python -m tests.recorder.hour FOLDER SECONDS`: record a scripted call, and say how much memory it took each minute."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder.clock import VirtualClock

FPS = 10
#: A round of ten minutes, again and again.
ROUND_S = 600


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(folder: Path, length_s: int) -> None:
    there = user("a", fps=10)
    comes = user("b", (60, "join"), (61, "publish"), (400, "leave"), (450, "rejoin"), fps=10)
    muted = {"at_s": 200, "do": "mute", "what": ["video", "audio"]}
    unmuted = {"at_s": 260, "do": "unmute", "what": ["video", "audio"]}
    mutes = user("c", (30, "join"), (30, "publish"), muted, unmuted, (300, "leave"), codec="vp8", fps=10)
    rounds = max(1, length_s // ROUND_S)
    channel = scene(folder, there, comes, mutes, duration_s=length_s / rounds, repeat=rounds)
    seen: list[float] = []

    async def look(run: Run, clock: VirtualClock) -> None:
        while True:
            await clock.sleep_until((len(seen) + 1) * 60)
            seen.append(rss_mb())

    run = Run(folder, spec(channel, fps=FPS)).record(look)
    faults = [fault.text for fault in run.keeper.faults]
    told = {"code": run.code, "reason": run.reason, "faults": faults, "gaps": len(run.keeper.gaps), "rss_mb": seen}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
