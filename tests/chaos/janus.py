"""`python -m tests.chaos.janus [--only TEXT]`: cells of the kill matrix on a room of a real Janus.

Two workers, the second of which has a wall clock that is off. The first is killed, told to leave, or killed while both
record. The last line is JSON; exit code 0 when every cell is ok.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Final

import psycopg
from rich.console import Console

from farm.judge.report import Verdict, judge_recording
from farm.judge.users import Cell as Place
from farm.judge.users import Watched
from tests import servers
from tests.farm.backend import HEIGHT, WIDTH, Take
from tests.farm.conftest import LEADER_TTL_S, TTL_S
from tests.farm.hand_made import HandMade
from tests.farm.processes import ROOT, eventually
from tests.farm.test_standby import want_standby
from tests.janus.server import ADDRESS, HOST, ROOM, Control, JanusPublisher, JanusServer, at_janus
from workers.synthetic.marker import View
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

err = Console(stderr=True)

FAULTS: Final = ("crash", "drain", "standby")
APART_S: Final = (0.2, 40.0)
#: Architecture, "Numbers to hold": a worker is killed, and its spool survives.
HOLE_S: Final = TTL_S + 5
#: A little slower than the mix: each of its pictures is shown, also where two tenures differ by a few milliseconds.
CAMERA: Final = MediaPlan(1, "h264", WIDTH, HEIGHT, fps=14, loop_s=10)
#: What a process finds before anything else, and what it makes of the time of day.
_SHIFT: Final = """
import os, time
_shift = float(os.environ.get("CLOCK_OFF_S", "0"))
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _shift
time.time_ns = lambda: _time_ns() + round(_shift * 1e9)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    fault: str
    clocks_apart_s: float
    hole_s: float
    frames_lost: int
    frames_backward: int
    still_s: float
    tenures: int
    wrong: str  # empty: the cell is ok


def judged(fault: str, apart_s: float, verdict: Verdict, status: int, tenures: int) -> Outcome:
    [alice] = verdict.users
    hole_s = sum(b - a for a, b in verdict.holes)
    bound_s = HOLE_S if fault == "crash" else 0.0
    wrong = [*verdict.violations]
    wrong += [f"a hole of {hole_s:.2f} s"] if hole_s > bound_s else []
    wrong += [f"{alice.frames_lost} pictures lost"] if alice.frames_lost else []
    wrong += [f"{alice.frames_backward} pictures go back"] if alice.frames_backward else []
    wrong += [f"it stood still for {alice.still_s:.2f} s"] if alice.still_s > bound_s + 0.2 else []
    wrong += [f"status {status}"] if status != 8 else []
    wrong += [f"{tenures} tenures"] if tenures != 2 and fault != "standby" else []  # another stands by, where it can
    figures = (round(hole_s, 3), alice.frames_lost, alice.frames_backward, round(alice.still_s, 3), tenures)
    return Outcome(fault, apart_s, *figures, "; ".join(wrong))


def hit(farm: HandMade, fault: str, off: dict[str, str]) -> Take:
    """Record, and lose the first worker. Blocks."""
    one = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    if fault == "standby":
        want_standby(farm)
        farm.worker("two", off)
        take = farm.backend.record_channel(ROOM)
        both = take.until(lambda t: [x["state"] for x in t["tenures"]] == ["live", "live"], "two live", 40)
        assert both["tenures"][0]["node"] in ("one", "two")
        take.until_more(3)
        os.kill(one.pid, signal.SIGKILL)
        one.wait(5)
        ended = lambda told: [x["state"] for x in told["tenures"]].count("ended") == 1  # noqa: E731
        take.until(ended, "noticed", 2 * TTL_S + LEADER_TTL_S + 10)
    else:
        take = farm.backend.record_channel(ROOM)
        take.until_more(3)
        farm.worker("two", off)
        os.kill(one.pid, signal.SIGKILL if fault == "crash" else signal.SIGTERM)
        one.wait(60)
        take.until(lambda told: len(told["tenures"]) > 1, "taken over", 30)
    take.until_more(3, 40)
    return take


async def run_cell(folder: Path, farm: HandMade, fault: str, apart_s: float) -> Outcome:
    alice = JanusPublisher("alice", CAMERA)
    await alice.open()
    off = {"PYTHONPATH": f"{folder}:{ROOT}", "CLOCK_OFF_S": str(apart_s)}
    try:
        take = await asyncio.to_thread(hit, farm, fault, off)
        answer = await asyncio.to_thread(take.stop)
        assert answer.status_code == 200, answer.text
        told = await asyncio.to_thread(take.told)
    finally:
        await alice.close()
    verdict = judge_recording(farm.store / take.playlist_name)
    spans = ((0.5, verdict.duration_s + sum(b - a for a, b in verdict.holes) - 0.5),)
    place = Place(View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT))
    verdict = judge_recording(
        farm.store / take.playlist_name, [Watched(1, "alice", (place,), spans, 14, CAMERA.loop_s)]
    )
    return judged(fault, apart_s, verdict, told["status"], len(told["tenures"]))


@contextmanager
def database(server: servers.PostgresServer, name: str) -> Iterator[str]:
    with psycopg.connect(server.admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield server.url(name)


async def all_cells(folder: Path, only: str) -> list[Outcome]:
    (folder / "sitecustomize.py").write_text(_SHIFT)
    AudioLoop(CAMERA).prepare()
    for gop in range(0, CAMERA.loop_frames, CAMERA.gop_frames):
        VideoLoop(CAMERA).run(gop)
    postgres = servers.PostgresServer(servers.find_postgres())
    broker, broker_url = servers.start_redis(servers.find_redis(), folder)
    outcomes = []
    try:
        for n, (fault, apart_s) in enumerate(product(FAULTS, APART_S)):
            name = f"{fault} {apart_s}"
            if only not in name:
                continue
            began = time.monotonic()
            room = folder / f"cell{n}"
            room.mkdir()
            with database(postgres, f"cell{n}") as url:
                more = {"REELYARD_ICE_ADDRESSES": HOST, "REELYARD_ALLOW_NETWORKS": "127.0.0.0/8"}
                broker_of_its_own = f"{broker_url.removesuffix('/0')}/{n}"
                farm = await asyncio.to_thread(HandMade, room, url, broker_of_its_own, ADDRESS, more)
                try:
                    outcomes.append(await run_cell(folder, farm, fault, apart_s))
                except AssertionError as error:
                    outcomes.append(Outcome(fault, apart_s, 0, 0, 0, 0, 0, f"{error}"[-300:] or "not as it should go"))
                finally:
                    await asyncio.to_thread(farm.close)
            verdict = outcomes[-1].wrong or "ok"
            err.print(f"{name} s apart ({time.monotonic() - began:.0f} s): {verdict}")
    finally:
        broker.stop()
        postgres.stop()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.janus", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name has this text, e.g. 'drain 40'")
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="reelyard-janus-") as folder:

        async def story(server: JanusServer, control: Control) -> list[Outcome]:
            return await all_cells(Path(folder), asked.only)

        outcomes = at_janus(Path(folder) / "janus", story)
    failed = sum(bool(outcome.wrong) for outcome in outcomes)
    told = {"cells": len(outcomes), "failed": failed, "outcomes": [asdict(outcome) for outcome in outcomes]}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
