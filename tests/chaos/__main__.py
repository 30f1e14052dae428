"""`python -m tests.chaos [--subset] [--only TEXT] [--seed N]`: the kill matrix. The last line is JSON; exit code 0 when every cell is ok."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from tests.chaos.matrix import NOTHING, SHOTS, SUBSET
from tests.chaos.shooting import Cell, as_json, shoot
from tests.chaos.stage import Stage

err = Console(stderr=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--subset", action="store_true", help="what CI runs")
    parser.add_argument("--only", default="", help="shots whose name has this text, e.g. 'kill host'")
    parser.add_argument("--seed", type=int, default=1, help="for which node is hit, and when exactly")
    asked = parser.parse_args()
    chance = Random(asked.seed)
    shots = [shot for shot in (SUBSET if asked.subset else SHOTS) if asked.only in shot.name]
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="reelyard-chaos-") as folder:
        stage = Stage(Path(folder))
        try:
            for number, shot in enumerate(shots):
                began = time.monotonic()
                cells += shoot(stage, shot, number, chance)
                bad = [cell for cell in cells[-5:] if not cell.ok]
                verdict = "[green]ok[/]" if not bad else "[red]" + "; ".join(f"{c.phase}: {c.why}" for c in bad) + "[/]"
                err.print(f"{number + 1}/{len(shots)} {shot.name} ({time.monotonic() - began:.0f} s): {verdict}")
        finally:
            stage.close()
    err.print(table(cells))
    if not asked.only and not asked.subset:
        for (fault, target), why in NOTHING.items():
            err.print(f"[dim]left out: {fault} {target}: {why}[/]")
    told = as_json(cells)
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if told["failed"] or not cells else 0


def table(cells: list[Cell]) -> Table:
    shown = Table("fault", "target", "phase", "lost", "doubled", "hole s", "playlists", "state", "verdict")
    for cell in cells:
        verdict = "[green]ok[/]" if cell.ok else f"[red]{cell.why}[/]"
        figures = (str(cell.frames_lost), str(cell.frames_doubled), f"{cell.resume_s:.2f}", str(cell.playlists))
        shown.add_row(cell.fault, cell.target, cell.phase, *figures, "ok" if cell.state_ok else "wrong", verdict)
    return shown


if __name__ == "__main__":
    sys.exit(main())
