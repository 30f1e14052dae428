"""`python -m tests.chaos.storage [--seconds N]`: a recording on a store of which a third of all requests fail.

A SeaweedFS behind a proxy that fails as told and watches the order; a real node with real recorder processes. Then two
minutes in which nobody answers, ten kills of the recorder that uploads, and a full disk (a bound on its files' size).
The last line is JSON; the exit code is 0 when every byte is where it belongs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from posixpath import basename
from typing import Final

import av
from rich.console import Console

from farm.judge.report import judge_recording
from models import secrets
from models.database import Database, open_database
from models.repositories import timeline
from models.schema import upgrade
from models.vocabulary import keys
from models.vocabulary.spec import S3Store, StoreKeys
from tests import servers
from tests.chaos.storage.observer import Observer, outage, trouble
from tests.stores.fault_proxy import FaultProxy
from tests.workers.rig import SID, Rig

err = Console(stderr=True)

KILLS: Final = 10
OUTAGE_S: Final = 120.0
FULL_S: Final = 3.0
FULL_BYTES: Final = 4_096
END_S: Final = 240.0
#: Why a recording may have a hole here.
CAUSES: Final = {"the recorder died", "the disk was full"}


@dataclass(slots=True)
class Outcome:
    objects: int = 0
    lost: int = 0
    bad_checksum: int = 0
    playlist_ahead: int = 0
    regressions: int = 0
    mp4_frames_equal: bool | None = None
    listing_equals_index: bool = False
    requests: int = 0
    failed_requests: int = 0
    kills: int = 0
    full_disk_holes: int = 0
    survived_full_disk: bool = False
    violations: int = 0
    status: int = 0

    @property
    def is_good(self) -> bool:
        wrong = self.lost + self.bad_checksum + self.playlist_ahead + self.regressions + self.violations
        whole = (
            self.mp4_frames_equal is True
            and self.listing_equals_index
            and self.full_disk_holes > 0
            and self.survived_full_disk
        )
        return not wrong and whole and self.kills == KILLS and self.status == 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--outage", type=float, default=OUTAGE_S, help="seconds in which nobody answers")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelyard-storage-") as folder:
        outcome = run(Path(folder), asked.outage, random.Random(asked.seed))
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return 0 if outcome.is_good else 1


def run(folder: Path, outage_s: float, chance: random.Random) -> Outcome:
    os.environ["REELYARD_ALLOW_NETWORKS"] = "127.0.0.0/8"
    secrets.use_keys([secrets.generate_key()])
    (folder / "s3").mkdir()
    process, server = servers.start_s3(servers.find_s3(), folder / "s3")
    url = f"sqlite:///{folder / 'state.db'}"
    upgrade(url)
    database = open_database(url)
    rig = Rig(database, folder / "farm")
    observer = Observer()
    try:
        with FaultProxy(server.endpoint, chance, observer) as proxy:
            store = S3Store(vendor=11, bucket=server.bucket, endpoint=proxy.url)
            store_keys = StoreKeys(access_key=server.access_key, secret_key=server.secret_key)
            (folder / "farm").mkdir(exist_ok=True)
            rig.recording(store=store, keys=store_keys, av_file_type=("hls", "mp4"), max_idle_s=3_600)
            outcome = Outcome()
            ordeal(rig, proxy, outage_s, chance, outcome)
            judge(server, database, folder / "there", outcome)
            outcome.playlist_ahead, outcome.regressions = observer.ahead, observer.regressions
            outcome.requests = len(proxy.seen)
            outcome.failed_requests = sum(seen.fault is not None for seen in proxy.seen)
            return outcome
    finally:
        rig.close()
        database.close()
        process.stop()


def ordeal(rig: Rig, proxy: FaultProxy, outage_s: float, chance: random.Random, outcome: Outcome) -> None:
    rig.dispatch()
    rig.status(5, within_s=60)
    say("recording; thirty per cent of all requests fail from now on")
    trouble(proxy)
    for _ in range(KILLS // 2):
        time.sleep(6 + 3 * chance.random())
        kill(rig, outcome)
    say("the disk is full")
    time.sleep(4)
    fill_disk(rig, outcome)
    say(f"nobody answers for {outage_s:.0f} s")
    outage(proxy)
    for _ in range(2):
        time.sleep(outage_s / 3)
        kill(rig, outcome)
    time.sleep(outage_s / 3)
    say("they answer again, as badly as before")
    trouble(proxy)
    while outcome.kills < KILLS:
        time.sleep(6 + 3 * chance.random())
        kill(rig, outcome)
    time.sleep(5)
    say("the recording is stopped")
    rig.end()
    began = time.monotonic()
    while rig.row().status < 8 and time.monotonic() < began + END_S:
        time.sleep(0.5)
    outcome.status = rig.row().status
    say(f"ended after {time.monotonic() - began:.0f} s with status {outcome.status}")
    proxy.heal()


def kill(rig: Rig, outcome: Outcome) -> None:
    before = rig.kill()
    outcome.kills += 1
    say(f"kill {outcome.kills}")
    rig.until(lambda: rig.has_recorder and rig.pid() != before, "another recorder", within_s=30)


def fill_disk(rig: Rig, outcome: Outcome) -> None:
    """No file of the recorder grows beyond a few kilobytes: what it writes ends amid a slice, and its journal, too."""
    pid = rig.pid()
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL_BYTES, most))
    time.sleep(FULL_S)
    outcome.survived_full_disk = rig.has_recorder and rig.pid() == pid
    with suppress(ProcessLookupError):  # it died of it: the recording tells
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    time.sleep(5)


def judge(server: servers.S3Server, database: Database, there: Path, outcome: Outcome) -> None:
    """What lies in the bucket, by the store itself, against what was recorded."""
    there.mkdir()
    client = servers.s3_client(server)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=server.bucket)
    names = [found["Key"] for page in pages for found in page.get("Contents", []) if found["Key"] != "ready"]
    for name in names:
        (there / name).write_bytes(client.get_object(Bucket=server.bucket, Key=name)["Body"].read())
    outcome.objects = len(names)
    with database.unit() as session:
        segments, holes = timeline.rows(session, SID, "mix")
    for segment in segments:
        path = there / segment.key
        if not path.exists():
            outcome.lost += 1
        elif hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != segment.md5:
            outcome.bad_checksum += 1
    outcome.lost += sum(hole.cause not in CAUSES for hole in holes)
    outcome.full_disk_holes = sum(hole.cause == "the disk was full" for hole in holes)
    index = json.loads((there / keys.index_key((), SID, "room")).read_text())
    playlist = there / keys.playlist_key((), SID, "room")
    told = {segment["key"] for segment in index["segments"]} | {
        playlist.name,
        basename(keys.index_key((), SID, "room")),
    }
    told |= {name for name in names if name.endswith(".mp4")}
    outcome.listing_equals_index = told == set(names)
    verdict = judge_recording(playlist)
    outcome.violations = len(verdict.violations)
    for violation in verdict.violations:
        say(f"[red]{violation}[/]")
    mp4s = sorted(there.glob("*.mp4"))
    outcome.mp4_frames_equal = sum(map(pictures, mp4s)) == verdict.frames if mp4s else None
    say(f"{len(segments)} segments, {len(holes)} holes, {verdict.frames} frames, {len(mp4s)} MP4")


def pictures(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def say(text: str) -> None:
    err.print(f"{time.strftime('%H:%M:%S')} {text}")


if __name__ == "__main__":
    sys.exit(main())
