"""`python -m tests.chaos.jobs [--jobs N]`: jobs at this farm's own gateway, on a road on which 30 % of the calls fail.

Each must end verified by its file, or failed with a named cause; no UID may be in its channel twice at once. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from tests.chaos.jobs.rig import Rig, rig
from tests.chaos.jobs.verdict import Verdict, judge, twice_on_record, twice_on_the_road

err = Console(stderr=True)
#: One of so many is stopped by its caller, the others end by their length.
STOPPED_EACH = 5
FOR_S = 4
TELL_EVERY_S = 10.0
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Told:
    jobs: int
    verified: int
    failed_named: int
    failed_unnamed: int
    uid_twice: int
    seconds: float

    @property
    def ok(self) -> bool:
        return self.verified + self.failed_named == self.jobs and not self.failed_unnamed and not self.uid_twice


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--at-once", type=int, default=90, help="jobs that have not ended")
    parser.add_argument(
        "--rooms", type=int, default=24, help="recordings that fit on the node; more starts get the 50x of a full farm"
    )
    parser.add_argument("--trouble", type=float, default=0.3, help="share of calls that fail")
    parser.add_argument(
        "--within", type=float, default=900.0, help="seconds; what has not ended by then is counted as unnamed"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the logs and files of the run")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="reelyard-jobs-") as made:
        folder = (asked.keep or Path(made)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with rig(folder, rooms=asked.rooms, share=asked.trouble, seed=asked.seed) as found:
            began_s = time.monotonic()
            ids = live_through(found, asked.jobs, asked.at_once, asked.within)
            took_s = time.monotonic() - began_s
            told = conclude(found, ids, took_s, folder)
    sys.stdout.write(json.dumps(asdict(told)) + "\n")
    return 0 if told.ok else 1


def live_through(found: Rig, count: int, at_once: int, within_s: float) -> list[str]:
    """Submit, stop those that are to be stopped, and wait for all. Their ids."""
    ids: list[str] = []
    stopping: set[str] = set()
    until_s, tell_s = time.monotonic() + within_s, 0.0
    while True:
        live = found.live()
        if time.monotonic() > tell_s or (len(ids) == count and not live):
            tell_s = time.monotonic() + TELL_EVERY_S
            said = ", ".join(f"{n} {state}" for state, n in sorted(Counter(live.values()).items()))
            calls = f"{len(found.road.passed)} calls, late by {found.late_s():.1f} s"
            err.print(f"{len(ids) - len(live)}/{count} ended; {said or 'none is left'}; {calls}", soft_wrap=True)
        if (len(ids) == count and not live) or time.monotonic() > until_s:
            return ids
        for _ in range(min(at_once - len(live), count - len(ids))):
            wanted = len(ids) % STOPPED_EACH == 0
            ids.append(found.submit(f"{len(ids)}", None if wanted else FOR_S))
            if wanted:
                stopping.add(ids[-1])
        for job_id in [job_id for job_id in stopping if live.get(job_id) == "running"]:
            found.stop(job_id)
            stopping.remove(job_id)
        time.sleep(LOOK_EVERY_S)


def conclude(found: Rig, ids: list[str], took_s: float, folder: Path) -> Told:
    jobs = [found.job(job_id) for job_id in ids]
    (folder / "jobs.json").write_text(json.dumps(jobs, indent=1))
    spans = found.spans()
    records = {span.cname for span in spans if span.ended_ms is None}
    verdicts = [judge(job, found.store, records=job["cname"] in records) for job in jobs]
    kinds = Counter(verdict.kind for verdict in verdicts)
    on_road, on_record = twice_on_the_road(found.road.passed), twice_on_record(spans)
    _tell(found, verdicts, [job["cname"] for job in jobs])
    err.print(f"{len(spans)} recordings of {len(jobs)} jobs; {len(records)} of jobs that failed still record")
    for who in (*on_road, *on_record):
        err.print(f"[red]twice at once:[/] uid {who}")
    return Told(
        jobs=len(ids),
        verified=kinds["verified"],
        failed_named=kinds["failed"],
        failed_unnamed=kinds["bad"],
        uid_twice=max(len(on_road), len(on_record)),
        seconds=round(took_s, 1),
    )


def _tell(found: Rig, verdicts: list[Verdict], names: list[str]) -> None:
    passed = found.road.passed
    for what, counted in (
        ("failed", Counter(verdict.why for verdict in verdicts if verdict.kind == "failed")),
        ("on the road", Counter(call.trouble.value or "fine" for call in passed)),
        (
            "starts, by the gateway's answer",
            Counter(_answer(call.status, call.answer.get("code")) for call in passed if call.verb == "start"),
        ),
    ):
        err.print(f"{what}: {', '.join(f'{n} {why}' for why, n in counted.most_common()) or 'none'}")
    for verdict, name in zip(verdicts, names, strict=True):
        if verdict.kind == "bad":
            err.print(f"[red]{name}:[/] {verdict.why}")


def _answer(status: int, code: object) -> str:
    return "not asked" if not status else f"{status}/{code}" if code else str(status)


if __name__ == "__main__":
    sys.exit(main())
