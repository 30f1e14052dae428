"""One shot: five recordings in five phases, a fault, its end, and what each recording shows of it."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.chaos.matrix import FAULT_S, PHASES, SLICE_S, STEPS, Shot, hole_bound_s
from tests.chaos.stage import NODES, Stage
from tests.farm.backend import FPS, Take
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import eventually, recorder_of
from tests.servers import s3_client
from tests.stores.fault_proxy import Fault

#: A frame's length, and what the encoders' lookahead keeps back after a slot's edge at 15 fps.
LOOKAHEAD_S = 0.75
GOES_ON_WITHIN_S = 45.0
#: Between a call to start and a recorder that has joined.
JOINS_IN_S = 0.4
#: So much behind a slot's edge the fault comes at the most.
LATER_S = 0.3
ENDS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Cell:
    fault: str
    target: str
    phase: str
    frames_lost: int
    frames_doubled: int
    resume_s: float  # the longest hole
    playlists: int
    state_ok: bool
    ok: bool
    why: str = ""


def shoot(stage: Stage, shot: Shot, number: int, chance: Random) -> list[Cell]:
    """All five lie on one node, so that a fault of a node hits each of them. By chance: which one, and when exactly."""
    node = chance.choice(NODES)
    stage.only(node)
    recorded = {phase: stage.backend_record(f"{phase}-{number}") for phase in PHASES if phase != "joining"}
    for take in recorded.values():
        take.until(lambda told: told["segments"]["stored"] >= 2, "two segments", 40)
    joining: list[Any] = []
    starter = threading.Thread(target=lambda: joining.append(_started(stage, f"joining-{number}")))
    stop = threading.Thread(target=lambda: _stopped(recorded["stopping"]))
    _hold_an_upload(stage, recorded["uploading"])
    _wait_for_edge(recorded["cutting"], JOINS_IN_S)
    starter.start()
    time.sleep(JOINS_IN_S + chance.uniform(0, LATER_S))
    stop.start()
    stage.only(None)
    with hit(stage, shot, node, list(recorded.values())):
        time.sleep(FAULT_S if shot.fault != "kill" or shot.target not in ("recorder",) else 0.5)
    stage.proxy.heal()
    starter.join(60)
    stop.join(60)
    takes = recorded | {"joining": joining[0] if joining and isinstance(joining[0], Take) else None}
    return [_judged(stage, shot, phase, takes[phase]) for phase in PHASES]


def _started(stage: Stage, cname: str) -> Take | str:
    with suppress(Exception):
        return stage.backend_record(cname)
    return "not started"


def _stopped(take: Take) -> None:
    """As any caller does: what fails with a 50x, or not at all, is asked again."""
    for _ in range(20):
        with suppress(httpx.HTTPError):
            if take.stop().status_code < 500:
                return
        time.sleep(1)


def _hold_an_upload(stage: Stage, uploading: Take) -> None:
    """Its next slice has left for the store, which does not answer."""
    rule = stage.proxy.add(Fault.STALL, method="PUT", path=rf"{uploading.sid}\S*\.ts", times=1)
    eventually(lambda: rule.times == 0, "a slice on its way to the store", 3 * SLICE_S)


def _wait_for_edge(cutting: Take, before_s: float) -> None:
    """Until so long before it cuts a slice."""
    started_s = cutting.told()["started_ms"] / 1000
    left_s = SLICE_S - (time.time() - started_s) % SLICE_S
    time.sleep(left_s + 0.1 + (0 if left_s + 0.1 > before_s else SLICE_S) - before_s)


@contextmanager
def hit(stage: Stage, shot: Shot, node: str, running: list[Take]) -> Iterator[None]:
    """The fault begins; at the end of the block it is over, and what was killed is started again."""
    if shot.fault in STEPS:
        yield from _stepped(stage, shot, running)
        return
    match shot.target:
        case "recorder":
            pids = _hit_recorders(stage, running, signal.SIGKILL if shot.fault == "kill" else signal.SIGSTOP)
            yield
            if shot.fault == "freeze":
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
        case "worker" | "host":
            yield from _node_hit(stage, shot, node)
        case "leader":
            yield from _leader_hit(stage, shot.fault)
        case "leader+host":
            leader = stage.leader()
            os.kill(stage.pid(leader), signal.SIGKILL)
            yield from _node_hit(stage, shot, node)
            stage.revive(leader)
        case "redis":
            yield from _server_hit(stage, shot.fault, stage.redis.pid, 1)
        case "postgres":
            yield from _server_hit(stage, shot.fault, stage.postgres.pid, 0)
        case "store":
            with stage.store_away(Fault.RESET_NOW if shot.fault == "kill" else Fault.STALL):
                yield


def _stepped(stage: Stage, shot: Shot, running: list[Take]) -> Iterator[None]:
    by_s = STEPS[shot.fault]
    if shot.target == "postgres":
        stage.step_database_clock(by_s)
        yield
        stage.step_database_clock(0)
        return
    for node in NODES:
        stage.step_clock(node, by_s)
    if shot.target == "recorder":
        _hit_recorders(stage, running, signal.SIGKILL)
    yield
    for node in NODES:
        stage.step_clock(node, 0)


def _hit_recorders(stage: Stage, running: list[Take], number: signal.Signals) -> list[int]:
    pids = [pid for take in running for pid in _recorders(stage, take)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return pids


def _node_hit(stage: Stage, shot: Shot, node: str) -> Iterator[None]:
    if shot.fault == "kill":
        if shot.target == "worker":
            os.kill(stage.pid(node), signal.SIGKILL)
        else:
            stage.signal_tree(node, signal.SIGKILL)
            stage.lose_spool(node)
        yield
        stage.revive(node)
    elif shot.fault == "freeze":
        os.kill(stage.pid(node), signal.SIGSTOP)
        yield
        os.kill(stage.pid(node), signal.SIGCONT)
    else:
        for wire in stage.wires[node]:
            wire.cut()
        yield
        for wire in stage.wires[node]:
            wire.heal()


def _leader_hit(stage: Stage, fault: str) -> Iterator[None]:
    leader = stage.leader()
    if fault == "kill":
        os.kill(stage.pid(leader), signal.SIGKILL)
        yield
        stage.revive(leader)
    elif fault == "freeze":
        os.kill(stage.pid(leader), signal.SIGSTOP)
        yield
        os.kill(stage.pid(leader), signal.SIGCONT)
    else:
        for wire in stage.wires[leader]:
            wire.cut()
        yield
        for wire in stage.wires[leader]:
            wire.heal()


def _server_hit(stage: Stage, fault: str, pid: int, wire: int) -> Iterator[None]:
    if fault == "cut":
        for wires in stage.wires.values():
            wires[wire].cut()
        yield
        for wires in stage.wires.values():
            wires[wire].heal()
    elif fault == "freeze":
        stage.freeze(pid)
        yield
        stage.thaw(pid)
    elif wire == 1:
        stage.kill_redis()
        yield
        stage.revive_redis()
    else:
        stage.postgres.kill()
        yield
        stage.postgres.start_again()


def _recorders(stage: Stage, take: Take) -> list[int]:
    found = []
    for node in NODES:
        with suppress(AssertionError):
            found.append(recorder_of(take.sid, stage.pid(node)))
    return found


# -- the verdict ----------------------------------------------------------------------------------------------------


def _judged(stage: Stage, shot: Shot, phase: str, take: Take | None) -> Cell:
    if take is None:
        return Cell(shot.fault, shot.target, phase, 0, 0, 0.0, 0, False, False, "never started")
    try:
        return _verdict(stage, shot, phase, take)
    except (AssertionError, ValueError, OSError) as error:
        return Cell(shot.fault, shot.target, phase, 0, 0, 0.0, 0, False, False, str(error)[:300])


def _verdict(stage: Stage, shot: Shot, phase: str, take: Take) -> Cell:
    if phase != "stopping":
        take.until_more(2, GOES_ON_WITHIN_S)
        take.stop()
    told = take.until(lambda t: t["status"] in (8, 20), "ended", ENDS_WITHIN_S + FAULT_S)
    folder = stage.folder / "out" / take.sid
    playlists = fetch(stage, take.sid, folder)
    seen = pictures(folder / take.playlist_name)
    steps = out_of_step(seen)
    hole_s = longest_hole_s(seen)
    lost = sum(max(0, round((b - a) * FPS) - 1) for (a, _), (b, _) in pairwise(seen))
    rewritten = rewrites(stage, take.sid)
    bound_s = hole_bound_s(shot) + 1 / FPS / 2
    wrong = [
        text
        for text, is_so in {
            f"status {told['status']}: {told['reason']}": told["status"] != 8,
            f"{len(steps)} steps out of order": bool(steps),
            f"hole of {hole_s:.2f} s, bound {bound_s:.2f}": hole_s > bound_s,
            f"{playlists} playlists": playlists != 1,
            f"rewritten with other bytes: {rewritten}": bool(rewritten),
        }.items()
        if is_so
    ]
    doubled = sum(1 for (_, n), (_, m) in steps if n == m)
    state_ok = told["status"] == 8
    return Cell(
        shot.fault,
        shot.target,
        phase,
        lost,
        doubled,
        round(hole_s, 3),
        playlists,
        state_ok,
        not wrong,
        "; ".join(wrong),
    )


def fetch(stage: Stage, sid: str, folder: Path) -> int:
    """All of a recording's objects; how many playlists there are."""
    folder.mkdir(parents=True, exist_ok=True)
    client = s3_client(stage.s3)
    playlists = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=stage.s3.bucket, Prefix=sid):
        for item in page.get("Contents", []):
            playlists += item["Key"].endswith(".m3u8")
            client.download_file(stage.s3.bucket, item["Key"], str(folder / item["Key"]))
    return playlists


def rewrites(stage: Stage, sid: str) -> list[str]:
    """Segments that reached the store twice with different bytes."""
    bodies: dict[str, set[str]] = {}
    for seen in stage.proxy.seen:
        if seen.method == "PUT" and sid in seen.path and seen.path.endswith(".ts") and seen.body:
            digest = hashlib.md5(seen.body, usedforsecurity=False).hexdigest()
            bodies.setdefault(seen.path, set()).add(digest)
    return [path for path, digests in bodies.items() if len(digests) > 1]


def as_json(cells: list[Cell]) -> dict[str, Any]:
    return {"cells": [asdict(cell) for cell in cells], "failed": sum(not cell.ok for cell in cells)}
