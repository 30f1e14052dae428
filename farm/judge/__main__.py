"""`python -m farm.judge PLAYLIST [--watch NO:FPS:WIDTHxHEIGHT:X,Y,W,H:FROM-TO]… [--sheet OUT.png]`"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from farm.judge.contact_sheet import contact_sheet
from farm.judge.report import Verdict, judge_recording
from farm.judge.users import Cell, Watched
from workers.synthetic.marker import View

_WATCH: Final = re.compile(r"(\d+):(\d+):(\d+)x(\d+):(\d+),(\d+),(\d+),(\d+):([\d.]+)-([\d.]+)")


def watched(text: str) -> Watched:
    """A user of number NO whose camera sends FPS pictures of WIDTH × HEIGHT, shown cropped in a cell from FROM to TO seconds."""
    found = _WATCH.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not NO:FPS:WIDTHxHEIGHT:X,Y,W,H:FROM-TO")
    no, fps, width, height, x, y, w, h = (int(part) for part in found.groups()[:8])
    from_s, to_s = float(found[9]), float(found[10])
    cell = Cell(View(x, y, w, h, width, height), from_s, to_s)
    return Watched(no, f"user {no}", (cell,), ((from_s, to_s),), fps)


def table(verdict: Verdict) -> Table:
    shown = Table(title="Recording", show_header=False)
    shown.add_row("picture", f"{verdict.width} × {verdict.height} at {verdict.fps:g} fps")
    shown.add_row("length", f"{verdict.duration_s:.3f} s, {verdict.frames} frames, {verdict.segments} segments")
    shown.add_row("holes", ", ".join(f"{a:.3f}–{b:.3f} s" for a, b in verdict.holes) or "none")
    for it in verdict.users:
        shown.add_row(
            it.name, f"{it.flashes_found} of {it.flashes_due} flashes, {it.beeps_found} of {it.beeps_due} beeps"
        )
        offset = "unknown" if it.av_offset_ms is None else f"{it.av_offset_ms:+.1f} ms"
        shown.add_row("", f"picture − sound {offset}; {it.frames_lost} lost, {it.frames_doubled} doubled")
    for text in verdict.violations:
        shown.add_row("wrong", text)
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """0 when nothing is wrong with the recording, 1 otherwise; the last line printed is JSON."""
    parser = argparse.ArgumentParser(prog="python -m farm.judge", description="Judge a recording by its files.")
    parser.add_argument("playlist", type=Path)
    parser.add_argument("--watch", type=watched, action="append", default=[], help=watched.__doc__)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet there")
    parser.add_argument("--live", action="store_true", help="the recording need not have ended")
    asked = parser.parse_args(argv)
    try:
        verdict = judge_recording(asked.playlist, asked.watch, live=asked.live)
        if asked.sheet:
            contact_sheet(asked.playlist, asked.sheet)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    Console().print(table(verdict))
    sys.stdout.write(json.dumps(verdict.as_json()) + "\n")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
