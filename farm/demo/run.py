"""`reelyard demo`: the whole farm, a real call, a recording, and a look at it."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from farm.demo.calls import Calls
from farm.demo.cast import CNAME, PLAYERS
from farm.demo.review import Review, review, watched
from farm.demo.room import Presence, Room
from farm.embedded import EmbeddedFarm, Ports
from farm.interrupts import Interrupts
from farm.judge.contact_sheet import contact_sheet
from farm.judge.report import Verdict, judge_recording
from models.vocabulary import keys
from models.vocabulary.errors import ReelyardError

#: What the demo promises; below it, it fails.
FLASHES_PCT: Final = 95.0
AV_OFFSET_MS: Final = 40.0
FIRST_FRAME_S: Final = 4.0
#: Said of the machine when its players fall so far behind.
LATE_S: Final = 0.1
RUNNING: Final = (4, 5)
RUNNING_WITHIN_S: Final = 20.0

err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Shoot:
    """What happened, in monotonic seconds."""

    sid: str
    start_sent: float
    zero: float
    end: float
    record: dict[str, Any]


def say(text: str) -> None:
    err.print(f"[cyan]▸[/] {text}")


def run(folder: Path, seconds_s: int) -> int:
    """Exit code: 0 when it plays and holds what is promised, 1 otherwise, 130 after Ctrl-C."""
    out = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with Interrupts() as interrupts:
        try:
            say("making what the three will send")
            Room.prepare()
            farm = EmbeddedFarm(out / "farm", Ports.free())
            try:
                say("starting the farm")
                with err.status("starting …") as shown:
                    farm.start(lambda part: shown.update(f"starting {part} …"))
                room, shoot = record(farm, seconds_s)
            finally:
                interrupts.ending()
                farm.stop(say, interrupts.hurried)
            return show(out, farm.store, room, shoot)
        except KeyboardInterrupt:
            return failed("interrupted", 130)
        except (ReelyardError, OSError, ValueError, TimeoutError, httpx.HTTPError) as error:
            return failed(str(error) or type(error).__name__, 1)


def failed(text: str, code: int) -> int:
    err.print(f"[red]the demo failed:[/] {text}")
    sys.stdout.write(json.dumps({"error": text}) + "\n")
    return code


def record(farm: EmbeddedFarm, seconds_s: int) -> tuple[Room, Shoot]:
    who = farm.identity
    calls = Calls(farm.url, who.appid, who.customer_key, who.customer_secret)
    room = Room(farm.url, who.appid, calls.token)
    try:
        return room, _record(calls, room, seconds_s)
    finally:
        room.close()


def _record(calls: Calls, room: Room, seconds_s: int) -> Shoot:
    for player in PLAYERS:
        if player.enters_s == 0:
            room.enter(player)
            say(f"{player.plan.name} is in the call")
    calls.acquire()
    start_sent = time.monotonic()
    calls.start()
    say(f"recording {calls.sid}")
    _until_running(calls)
    begun = time.monotonic()
    moves = sorted(
        [(p.enters_s, "enters", p) for p in PLAYERS if p.enters_s > 0]
        + [(p.leaves_s, "leaves", p) for p in PLAYERS if p.leaves_s is not None],
        key=lambda move: move[0],
    )
    for at_s, what, player in moves:
        _wait(begun + at_s)
        (room.enter if what == "enters" else room.leave)(player)
        say(f"{player.plan.name} {what}")
    _wait(begun + seconds_s)
    end = time.monotonic()
    say("stopping")
    calls.stop()
    told = calls.record()
    zero = time.monotonic() - (time.time() - told["started_ms"] / 1000)
    return Shoot(calls.sid, start_sent, zero, end, told)


def _until_running(calls: Calls) -> None:
    until = time.monotonic() + RUNNING_WITHIN_S
    while (status := calls.query()) not in RUNNING:
        if time.monotonic() > until:
            raise ValueError(f"still at status {status} after {RUNNING_WITHIN_S:.0f} s")
        time.sleep(0.25)
    say(f"status {status}: it runs")


def _wait(until: float) -> None:
    with err.status("recording …") as shown:
        while (left_s := until - time.monotonic()) > 0:
            shown.update(f"recording … next in {left_s:.0f} s")
            time.sleep(min(0.5, left_s))


def show(out: Path, store: Path, room: Room, shoot: Shoot) -> int:
    say("decoding what lies in the store")
    playlist = store / keys.playlist_key((), shoot.sid, CNAME)
    presences = list(room.presences.values())
    verdict = judge_recording(playlist, watched(presences, shoot.zero, shoot.end))
    found = review(playlist, presences, shoot.zero, shoot.end)
    sheet = contact_sheet(playlist, out / "contact-sheet.png", title=f"{CNAME} · {shoot.sid}")
    figures = {
        "sid": shoot.sid,
        "playlist": str(playlist),
        "contact_sheet": str(sheet),
        "segments": verdict.segments,
        "duration_s": verdict.duration_s,
        "width": verdict.width,
        "height": verdict.height,
        "fps": verdict.fps,
        "frames": verdict.frames,
        "holes": len(verdict.holes),
        "flashes_found_pct": round(found.pct, 2),
        "av_offset_ms": None if verdict.av_offset_ms is None else round(verdict.av_offset_ms, 2),
        "start_to_first_frame_s": _first_frame_s(verdict, shoot),
    }
    wrong = faults(verdict, found, figures)
    err.print(table(figures, found, wrong, presences))
    err.print(f"look at      {sheet}", soft_wrap=True, highlight=False)
    err.print(f"playlist     {playlist}", soft_wrap=True, highlight=False)
    err.print(f"watch it     reelyard play {shlex.quote(str(playlist))}", soft_wrap=True, highlight=False)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if wrong else 0


def _first_frame_s(verdict: Verdict, shoot: Shoot) -> float | None:
    """From sending `start` to the capture of the first picture that shows a user."""
    return None if verdict.first_seen_s is None else round(shoot.zero + verdict.first_seen_s - shoot.start_sent, 3)


def faults(verdict: Verdict, found: Review, figures: dict[str, Any]) -> list[str]:
    wrong = list(verdict.violations)
    if verdict.frames == 0:
        wrong.append("there is no picture")
    if verdict.holes:
        wrong.append("there are holes")
    if found.pct < FLASHES_PCT:
        wrong.append(f"only {found.found} of {found.sent} flashes are in their cells at their times")
    if verdict.av_offset_ms is None or abs(verdict.av_offset_ms) > AV_OFFSET_MS:
        wrong.append("picture and sound are apart")
    first = figures["start_to_first_frame_s"]
    if first is None or first > FIRST_FRAME_S:
        wrong.append("it took too long to the first picture")
    return wrong


def table(figures: dict[str, Any], found: Review, wrong: list[str], presences: Sequence[Presence]) -> Table:
    shown = Table(title="What was recorded", show_header=False)
    shown.add_row("picture", f"{figures['width']} × {figures['height']} at {figures['fps']:g} fps")
    shown.add_row(
        "length", f"{figures['duration_s']:.2f} s in {figures['segments']} segments, {figures['holes']} holes"
    )
    shown.add_row("flashes", f"{found.found} of {found.sent} in their sender's cell at their time")
    late_s = max((p.latest_s() for p in presences), default=0.0)
    if late_s > LATE_S:
        shown.add_row("machine", f"busy: pictures left their senders up to {late_s:.2f} s late")
    if found.missing:
        shown.add_row("not found", ", ".join(found.missing))
    shown.add_row("picture − sound", f"{figures['av_offset_ms']} ms")
    shown.add_row("start → first picture", f"{figures['start_to_first_frame_s']} s")
    for text in wrong:
        shown.add_row("[red]wrong[/]", text)
    return shown
