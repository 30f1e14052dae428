"""An hour of three people coming, going and muting, on the virtual clock: every frame, every sample, and no memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from farm.judge.report import judge_recording
from farm.judge.structure import structure_of
from models.vocabulary import keys
from models.vocabulary.ticks import TICKS_PER_S, audio_frame_from
from tests.recorder import hour
from tests.recorder.virtual import SID

HOUR_S = 3_600
ROOT = Path(__file__).resolve().parents[2]


def test_an_hour_is_exact_and_memory_stays_flat(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.recorder.hour", str(tmp_path), str(HOUR_S)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["code"], told["reason"], told["faults"], told["gaps"]) == (0, "closed", [], 0)
    rss_mb: list[float] = told["rss_mb"]
    assert rss_mb[59] - rss_mb[9] < 10, rss_mb

    playlist = tmp_path / "out" / keys.playlist_key((), SID, "room")
    verdict = judge_recording(playlist)
    assert (verdict.violations, verdict.holes) == ((), ())
    assert (verdict.frames, verdict.segments) == (HOUR_S * hour.FPS, HOUR_S // 6)
    audio = [t for it in structure_of(playlist).placed for t in it.audio_90k]
    assert audio == [1_920 * j for j in range(audio_frame_from(HOUR_S * TICKS_PER_S))]
