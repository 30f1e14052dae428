"""`make bench-capture`: what receiving one user costs, picture and sound, 640×360 at 30 fps, in % of one core.

Janus: the recorder's process, which ends WebRTC itself, before anything is decoded. WHIP: the ingest's process and the
recorder's together, over the socket between them. Everything is real (Janus, the ingest, aiortc on both sides); the
publishers send loops that were encoded before, in a process of their own. CPU is that of whole processes, everything
in them counted, over so many seconds after the first ones. Beside it stands what individual mode takes beyond capture,
in CPU seconds a user and minute of media (`bench.individual`). The last line is JSON; a key is null where nothing was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import individual
from farm.publisher.publisher import SyntheticPublisher
from models.tokens import Audience, mint_whip, whip_keys
from models.vocabulary.channel import Channel, EventKind, Room, TrackKind
from tests import servers
from tests.ingest.rigs import APPID, CNAME, SECRET, token
from tests.janus.server import Control, JanusPublisher, JanusServer, channel, find_janus, in_namespace, room_at
from workers.recorder.capture.whip import WhipChannel
from workers.recorder.clock import RealClock
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

TICKS_A_S: Final = os.sysconf("SC_CLK_TCK")
PLAN: Final = MediaPlan(codec="h264", width=640, height=360, fps=30, loop_s=4)
WARM_S: Final = 5.0
WITHIN_S: Final = 60.0
#: % of a core a user that may not be exceeded, and what the contract's vendor tells to plan with: vCPU a channel.
MOST: Final = {"janus_tap_pct_per_user": 1.6, "whip_tap_pct_per_user": 3.5}
#: Of media, for individual mode: what is measured there waits for no clock.
INDIVIDUAL_S: Final = 60
VENDOR_PCT_PER_CHANNEL: Final = 5.6
#: A receiver that lost so many of the pictures measured something else.
LEAST_UNITS: Final = 0.97


class NotMeasured(Exception):
    """There is something wrong with the run itself."""


@dataclass(frozen=True, slots=True)
class Received:
    cpu_s: float
    wall_s: float
    pictures: int

    def of_whom(self, users: int) -> float:
        if self.pictures < LEAST_UNITS * users * PLAN.fps * self.wall_s:
            raise NotMeasured(f"{self.pictures} pictures of {users} users came in {self.wall_s:.1f} s")
        return 100 * self.cpu_s / self.wall_s / users


# -- in processes of their own


async def publish(way: str, users: int, port: int) -> None:
    """Send until killed; says `ready` when all are connected."""
    await asyncio.to_thread(VideoLoop(PLAN).prepare)
    await asyncio.to_thread(AudioLoop(PLAN).prepare)
    there: list[SyntheticPublisher] = []
    for n in range(users):
        if way == "janus":
            there.append(JanusPublisher(f"user{n}", PLAN))
        else:
            url = f"http://127.0.0.1:{port}/whip/{APPID}/{CNAME.replace(' ', '%20')}/user{n}"
            there.append(SyntheticPublisher(url, token(Audience.WHIP_INGEST, f"user{n}"), PLAN))
        await there[-1].open()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def receive(way: str, users: int, port: int, seconds: float) -> Received:
    joined: Channel = channel() if way == "janus" else WhipChannel(RealClock())
    await joined.open(room_at() if way == "janus" else whip_room(port))
    pictures = 0

    def picture(_: object) -> None:
        nonlocal pictures
        pictures += 1

    async def follow() -> None:
        async for event in joined.events():
            if event.kind is EventKind.TRACK_ADDED and event.track is not None:
                is_video = event.track.kind is TrackKind.VIDEO
                await joined.subscribe(event.track.id, picture if is_video else lambda _: None)

    following = asyncio.create_task(follow())
    await asyncio.sleep(WARM_S)
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    cpu_s, wall_s, before = time.process_time(), time.monotonic(), pictures
    await asyncio.sleep(seconds)
    received = Received(time.process_time() - cpu_s, time.monotonic() - wall_s, pictures - before)
    await joined.close()
    await following
    return received


def whip_room(port: int) -> Room:
    units = mint_whip(whip_keys(SECRET)[0], APPID, CNAME, "recorder", 600, time.time(), Audience.UNITS)
    return Room(f"whip:127.0.0.1:{port}", APPID, CNAME, "recorder", 0, {"token": units})


# -- the measurements


class Child:
    def __init__(self, stack: ExitStack, *args: str, module: str = "bench.capture", **env: str) -> None:
        command = [sys.executable, "-m", module, *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | env, text=True)
        stack.callback(self.process.wait)
        stack.callback(self.process.kill)

    def line(self, within_s: float = WITHIN_S) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise NotMeasured(f"a process ended with {self.process.wait(within_s)}")
        return line.strip()

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_A_S


def janus_pct(users: int, seconds: float) -> float:
    def work() -> float:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            server = JanusServer(Path(folder))
            stack.callback(server.kill)

            async def make_room() -> Control:
                control = await Control.open()
                await control.make_room(permanent=False)
                return control

            asyncio.run(make_room())
            received, _ = _measure(stack, "janus", users, seconds)
            return received.of_whom(users)

    return in_namespace(work)


def whip_pct(users: int, seconds: float) -> float:
    with ExitStack() as stack:
        ports = servers.free_ports(2)
        env = {
            "REELYARD_SECRET_KEYS": SECRET,
            "REELYARD_INGEST_BIND": f"127.0.0.1:{ports[0]}",
            "REELYARD_INGEST_UNITS_BIND": f"127.0.0.1:{ports[1]}",
            "REELYARD_ICE_ADDRESSES": "127.0.0.1",
            "REELYARD_LOG_LEVEL": "WARNING",
        }
        ingest = Child(stack, module="workers.ingest", **env)
        _await_port(ports[0])
        received, ingest_s = _measure(stack, "whip", users, seconds, ports, ingest)
        whole = Received(received.cpu_s + ingest_s, received.wall_s, received.pictures)
        return whole.of_whom(users)


def _measure(
    stack: ExitStack, way: str, users: int, seconds: float, ports: Sequence[int] = (0, 0), beside: Child | None = None
) -> tuple[Received, float]:
    common = ("--users", str(users), "--seconds", str(seconds))
    sender = Child(stack, "--publish", way, "--port", str(ports[0]), *common)
    if sender.line() != "ready":
        raise NotMeasured("the publishers did not connect")
    receiver = Child(stack, "--receive", way, "--port", str(ports[1]), *common)
    receiver.line()
    before_s = beside.cpu_s() if beside else 0.0
    told: dict[str, Any] = json.loads(receiver.line())
    return Received(**told), (beside.cpu_s() - before_s) if beside else 0.0


def _await_port(port: int) -> None:
    import socket

    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise NotMeasured("the ingest did not come up")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.capture", description=__doc__)
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--publish", choices=("janus", "whip"), help=argparse.SUPPRESS)
    parser.add_argument("--receive", choices=("janus", "whip"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.publish:
        asyncio.run(publish(asked.publish, asked.users, asked.port))
        return 0
    if asked.receive:
        received = asyncio.run(receive(asked.receive, asked.users, asked.port, asked.seconds))
        told = {"cpu_s": received.cpu_s, "wall_s": received.wall_s, "pictures": received.pictures}
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    return bench(asked.users, asked.seconds)


def bench(users: int, seconds: float) -> int:
    """0 when all that could be measured is within its bounds."""
    found: dict[str, float | None] = dict.fromkeys(MOST)
    try:
        sys.stdout.write(f"WHIP: {users} users, {WARM_S + seconds:.0f} s …\n")
        found["whip_tap_pct_per_user"] = round(whip_pct(users, seconds), 2)
        sys.stdout.write(f"Janus: {users} users, {WARM_S + seconds:.0f} s …\n")
        sys.stdout.write(f"with {find_janus().origin}\n")
        found["janus_tap_pct_per_user"] = round(janus_pct(users, seconds), 2)
    except servers.ServerMissing as missing:
        sys.stdout.write(f"no Janus: {missing}\n")
    except NotMeasured as why:
        sys.stdout.write(f"not measured: {why}\n")
        return 1
    sys.stdout.write(f"individual: {users} users, {INDIVIDUAL_S} s of media …\n")
    made = individual.measure(users, INDIVIDUAL_S)
    for name, pct in found.items():
        if pct is not None:
            sys.stdout.write(f"{name}: {pct} % of a core (at most {MOST[name]})\n")
    for name, cpu_s in made.items():
        sys.stdout.write(f"{name}: {cpu_s} CPU-s (at most {individual.MOST[name]})\n")
    sys.stdout.write(f"the contract's vendor plans with {VENDOR_PCT_PER_CHANNEL} % of a vCPU a channel, all included\n")
    told = found | made
    sys.stdout.write(json.dumps(told) + "\n")
    most = MOST | individual.MOST
    return int(any(value is not None and value > most[name] for name, value in told.items()))


if __name__ == "__main__":
    sys.exit(main())
