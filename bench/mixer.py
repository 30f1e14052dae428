"""`make bench-mixer`: what a recorded minute costs, next to the least it could cost and to other tools' cost.

CPU seconds (user and system, whole processes) per recorded minute; every run of a repetition follows the other, so that a
machine's mood meets all alike; medians, with the spread beside them. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.inputs import Input, prepared
from bench.peers import ffmpeg_command, gstreamer_command
from bench.recorder import peak_mb
from bench.shapes import SHAPES, Shape

HERE: Final = Path(__file__).parent
OUT: Final = HERE / "out"


@dataclass(frozen=True, slots=True)
class Run:
    whole_s: float
    loop_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Tools:
    ffmpeg: str | None
    gstreamer: str | None


def main(arguments: list[str] | None = None) -> int:
    args = _arguments(arguments)
    tools = Tools(shutil.which(args.ffmpeg), shutil.which(args.gst))
    for name, path in (("ffmpeg", tools.ffmpeg), ("gst-launch-1.0", tools.gstreamer)):
        if path is None:
            print(f"{name} is not here: its columns stay empty")
    shapes = [shape for shape in SHAPES if not args.shape or shape.name in args.shape]
    with tempfile.TemporaryDirectory(prefix="bench-mixer-") as scratch:
        rows = []
        for shape in shapes:
            rows.append(_row(shape, args.seconds, args.repeat, tools, Path(scratch)))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # hours may hang on what comes after
        whole_mb = None if args.shape else round(peak_mb(Path(scratch), seconds=args.seconds), 1)
    print(_table(rows))
    if whole_mb is not None:
        print(f"a whole recorder with 17 users: {whole_mb} MB at its peak")
    print(json.dumps({"shapes": rows, "recorder_peak_mb": whole_mb}))
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mixer", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="6 s once instead of 30 s five times: does it run?")
    parser.add_argument("--seconds", type=int, default=30, help="length of a recording")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each, of which the median counts")
    parser.add_argument("--shape", action="append", help="only this shape; may be given more than once")
    parser.add_argument("--ffmpeg", default=os.environ.get("FFMPEG", "ffmpeg"), help="the ffmpeg to compare with")
    parser.add_argument("--gst", default="gst-launch-1.0", help="the gst-launch-1.0 to compare with")
    args = parser.parse_args(arguments)
    if args.quick:
        args.seconds, args.repeat = 6, 1
    return args


def _row(shape: Shape, seconds: int, repeat: int, tools: Tools, scratch: Path) -> dict[str, object]:
    inputs = prepared(OUT / "inputs", shape.camera, shape.users, seconds)
    folder = OUT / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    _measured(_own("remember", shape, seconds, folder, inputs))
    commands = {
        "limit": _own("limit", shape, seconds, folder, inputs),
        "mixer": _own("mixer", shape, seconds, scratch, inputs),
    }
    if tools.ffmpeg:
        commands["ffmpeg1"] = ffmpeg_command(tools.ffmpeg, shape, inputs, seconds, scratch, one_thread=True)
        commands["ffmpeg"] = ffmpeg_command(tools.ffmpeg, shape, inputs, seconds, scratch, one_thread=False)
    if tools.gstreamer:
        commands["gst"] = gstreamer_command(tools.gstreamer, shape, inputs, scratch)
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(repeat):
        for name in list(commands)[:: 1 if turn % 2 == 0 else -1]:
            runs[name].append(_measured(commands[name]))
    return _summary(shape, runs, 60 / seconds)


def _own(kind: str, shape: Shape, seconds: int, folder: Path, inputs: list[Input]) -> list[str]:
    paths = [str(one.units) for one in inputs]
    return [sys.executable, "-m", "bench.work", kind, shape.name, str(seconds), str(folder), *paths]


def _measured(command: list[str]) -> Run:
    """Run it alone and to its end. Raises RuntimeError with what it said when it fails."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        process = subprocess.Popen(command, stdout=said, stderr=complained, cwd=HERE.parent)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        complained.seek(0)
        lines = said.read().decode().splitlines()
        if process.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {complained.read().decode()[-2000:]}")
    whole_s = usage.ru_utime + usage.ru_stime
    own = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Run(whole_s, own.get("loop_s", whole_s), own.get("peak_mb", usage.ru_maxrss / 1024))


def _summary(shape: Shape, runs: dict[str, list[Run]], per_minute: float) -> dict[str, object]:
    def whole(name: str) -> float | None:
        found = [run.whole_s * per_minute for run in runs.get(name, [])]
        return round(statistics.median(found), 3) if found else None

    loops = {name: statistics.median(run.loop_s for run in found) for name, found in runs.items() if found}
    pairs = [mine.loop_s / least.loop_s for mine, least in zip(runs["mixer"], runs["limit"], strict=True)]
    mine, one = whole("mixer"), whole("ffmpeg1")
    return {
        "name": shape.name,
        "users": shape.users,
        "cpu_s_per_min": mine,
        "loop_s_per_min": round(loops["mixer"] * per_minute, 3),
        "limit_s_per_min": round(loops["limit"] * per_minute, 3),
        "ffmpeg1_s_per_min": one,
        "ffmpeg_s_per_min": whole("ffmpeg"),
        "gst_s_per_min": whole("gst"),
        "ratio_limit": round(statistics.median(pairs), 3),
        "ratio_limit_spread": [round(min(pairs), 3), round(max(pairs), 3)],
        "ratio_ffmpeg1": round(mine / one, 3) if mine is not None and one else None,
        "loop_ratio_ffmpeg1": round(loops["mixer"] * per_minute / one, 3) if one else None,
        "peak_mb": round(max(run.peak_mb for run in runs["mixer"]), 1),
    }


_COLUMNS: Final = (
    ("name", "shape"),
    ("cpu_s_per_min", "CPU s/min"),
    ("loop_s_per_min", "loop"),
    ("limit_s_per_min", "limit"),
    ("ratio_limit", "× limit"),
    ("ratio_limit_spread", "spread"),
    ("ffmpeg1_s_per_min", "ffmpeg 1 thread"),
    ("ffmpeg_s_per_min", "ffmpeg"),
    ("gst_s_per_min", "GStreamer"),
    ("ratio_ffmpeg1", "× ffmpeg 1"),
    ("loop_ratio_ffmpeg1", "loop × it"),
    ("peak_mb", "peak MB"),
)


def _table(rows: list[dict[str, object]]) -> str:
    cells = [[title for _, title in _COLUMNS]]
    cells += [["–" if row[key] is None else str(row[key]) for key, _ in _COLUMNS] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


if __name__ == "__main__":
    raise SystemExit(main())
