"""What a kill costs, whatever the moment: the hole until the next recorder's first picture keeps its bound."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from models.vocabulary.ticks import frame_tick, ticks
from tests.segment.scripted import Tenure, audio_units, full, in_order, numbered, spec, tone
from workers.recorder.segment.recovery import recover

FPS: Final = 15
#: Of the hole, and longer than a worker takes to fork another recorder and this one to join.
MOST_S, AWAY_S = 3.0, 1.0
FIRST, END = 4 * FPS, 8 * FPS


@pytest.mark.parametrize("muted", [False, True])
def test_a_kill_at_any_moment_costs_no_more_than_its_bound(tmp_path: Path, muted: bool) -> None:
    tenure = Tenure(spec(fps=FPS, slice_s=6), tmp_path / "killed")
    tenure.programme.show(full(fps=FPS))
    sound = [] if muted else audio_units(tone, 10)
    units, costs_90k = in_order(numbered(END + FPS, FPS), sound), {}
    for n in range(1, END):
        tenure.play(units, frame_tick(n, FPS), since_90k=frame_tick(n - 1, FPS))
        parts = list((tmp_path / "killed").glob("*.part"))
        if n >= FIRST and parts:
            copy = Path(shutil.copy(parts[0], tmp_path / "copy.part"))
            start_90k = tenure.programme.slice_start_90k or 0
            saved = recover(copy, tmp_path / "saved.ts", fps=FPS, audio=True, near_90k=start_90k)
            costs_90k[n] = frame_tick(n, FPS) - (start_90k if saved is None else saved.end_90k)
    tenure.programme.abort()
    assert len(costs_90k) >= END - FIRST - 1
    worst = max(costs_90k, key=lambda n: costs_90k[n])
    hole_90k = costs_90k[worst] + ticks(spec().playout_delay_ms / 1000 + AWAY_S)
    assert hole_90k <= ticks(MOST_S), f"killed when frame {worst} was due"
