"""`make bench-updates`: how soon an `updateLayout` is seen in the decoded pictures, with Redis and after it has died.

A farm of real processes with the default renewals of 2 s records one camera; layouts with and without a red half follow each other. From
the request being sent to the first frame drawn by the new layout, by the clock of this host. Bounds: half a second, and one
renewal more without the nudge. The last line is JSON; exit code 1 when a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import av
import numpy as np

from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from models.vocabulary.spec import RecordingSpec
from tests import servers
from tests.farm.backend import FPS, HEIGHT, UID, WIDTH, Json, Take
from tests.farm.hand_made import HandMade
from tests.farm.processes import eventually

RENEW_S: Final = 2.0
NUDGED_S: Final = 0.5
#: Between two updates: longer than the slower way takes, and never in step with the renewals.
APART_S: Final = 2.9
RED: Final = {
    "mixedVideoLayout": 3,
    "backgroundColor": "#FF0000",
    "layoutConfig": [{"uid": "alice", "x_axis": 0, "y_axis": 0, "width": 0.5, "height": 1}],
}
PLAIN: Final = {"mixedVideoLayout": 1}
TIMES: Final = {"REELYARD_TENURE_TTL_MS": "6000", "REELYARD_TENURE_RENEW_MS": str(round(RENEW_S * 1000))}


def say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")


def scene(folder: Path) -> Path:
    actions = [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}]
    user = {"id": "alice", "width": WIDTH, "height": HEIGHT, "fps": FPS, "actions": actions}
    path = folder / "scene.json"
    path.write_text(json.dumps({"users": [user]}))
    return path


def update(take: Take, layout: Json) -> float:
    """When it was asked for."""
    asked_s = time.time()
    path = f"/cloud_recording/resourceid/{take.resource_id}/sid/{take.sid}/mode/mix/updateLayout"
    answer = take.backend.request("POST", path, {"cname": take.cname, "uid": UID, "clientRequest": layout})
    assert answer.status_code == 200, answer.text
    return asked_s


def updates(take: Take, count: int) -> list[float]:
    """So many, the first one to red, and an even number: the next ones begin plain again."""
    asked = []
    for n in range(count):
        asked.append(update(take, RED if n % 2 == 0 else PLAIN))
        time.sleep(APART_S)
    return asked


def delays(playlist: Path, told: Json, asked: list[float]) -> list[float]:
    """Of each update, until the first frame that shows it."""
    late_s = RecordingSpec.model_validate(told["spec"]).playout_delay_ms / 1000
    placed = structure_of(playlist, live=False).placed
    seen = [
        (told["started_ms"] / 1000 + at_s + late_s, _is_red(frame))
        for at_s, frame in frames([it.listed.path for it in placed])
    ]
    found = []
    for n, asked_s in enumerate(asked):
        red = n % 2 == 0
        found.append(min(drawn_s for drawn_s, is_red in seen if drawn_s >= asked_s and is_red is red) - asked_s)
    return found


def _is_red(frame: av.VideoFrame) -> bool:
    rgb = frame.to_ndarray(format="rgb24")
    r, g, b = (float(np.median(rgb[:, WIDTH * 5 // 8 :, n])) for n in range(3))
    return r > 200 and g < 50 and b < 50


def measure(folder: Path, count: int) -> tuple[list[float], list[float]]:
    with ExitStack() as stack:
        postgres = servers.PostgresServer(servers.find_postgres())
        stack.callback(postgres.stop)
        room = folder / "valkey"
        room.mkdir()
        valkey, valkey_url = servers.start_redis(servers.find_redis(), room)
        stack.callback(valkey.stop)
        farm = HandMade(folder, postgres.url("postgres"), valkey_url, f"scripted:{scene(folder)}", TIMES)
        stack.callback(farm.close)
        farm.worker("one")
        eventually(farm.ready, "ready", 60)
        take = farm.backend.record_channel("updates")
        take.until_more(2)
        say(f"{count} updates with Redis …")
        nudged = updates(take, count)
        valkey.stop()
        time.sleep(1)
        say(f"{count} updates without …")
        alone = updates(take, count)
        assert take.stop().status_code == 200
        told = take.until(lambda t: t["status"] in (8, 20), "ended", 30)
        found = delays(farm.store / take.playlist_name, told, nudged + alone)
        return found[:count], found[count:]


def figures(found: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(found), 3), "max": round(max(found), 3)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-updates", description=__doc__)
    parser.add_argument("--updates", type=int, default=10, help="with Redis, and as many without; even")
    count = parser.parse_args().updates // 2 * 2
    with tempfile.TemporaryDirectory(prefix="bench-updates-") as folder:
        nudged, alone = measure(Path(folder), count)
    bounds = {"with_redis": NUDGED_S, "without": RENEW_S + NUDGED_S}
    ok = max(nudged) <= bounds["with_redis"] and max(alone) <= bounds["without"]
    told = {"with_redis_s": figures(nudged), "without_s": figures(alone), "bounds_s": bounds, "ok": ok}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
