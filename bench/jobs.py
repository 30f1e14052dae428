"""`make bench-jobs`: what many running jobs cost one scheduler, and how late their checks are.

The jobs are made in SQL as the ladder leaves them 20 s after their start, due evenly over a minute; from then on everything is
real: the scheduler, its tasks worker as the compose file starts it, PostgreSQL (as the tests start it, without fsync), Valkey, and a service
in a process of its own that answers each query at once. A check is late by the time from `next_due_ms` to the
query's arrival there. Cores are CPU seconds a second, whole process trees. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select

from bench.contract import ASKED
from models import secrets
from models.database import Database, open_database
from models.repositories import apps, jobs
from models.repositories.apps import Limits
from models.schema import upgrade
from models.tables import Job, JobAttempt
from models.vocabulary.spec import FolderStore
from scheduler.jobs import orders, rows, waits
from scheduler.jobs.ladder import next_step
from scheduler.jobs.view import WOKEN, JobView, Outcome, Terms
from tests import servers
from tests.farm.processes import descendants

ROOT: Final = Path(__file__).parents[1]
TICKS_A_S: Final = os.sysconf("SC_CLK_TCK")
SEED: Final = 500  # rows a statement
SEEDED_A_S: Final = 600  # what the slowest machine that we know makes of them
WARM_S: Final = 10.0
PROGRESS_S: Final = 10.0
#: From its start to its first periodic query: confirmed after 5 s, asked for its playlist after 15 s.
BEGUN_BEFORE_MS: Final = 20_000 + waits.PERIOD_MS
TASKS: Final = ["celery", "-A", "scheduler.app", "worker", "-P", "threads", "-c", "32", "--without-gossip",
                "--without-mingle", "-Q", "reelyard.jobs,reelyard.checks"]  # fmt: skip

Check = tuple[int, str]  # Unix ms, sid


@dataclass(frozen=True, slots=True)
class Spent:
    at_s: float
    scheduler_s: float
    tasks_s: float
    db_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    jobs: int
    checks_per_s: float
    late_p99_s: float
    scheduler_cores: float
    db_cores: float


class Bench:
    """The processes, once they run."""

    def __init__(self, database: Database, log: Path, scheduler: int, tasks: Sequence[int], db: int) -> None:
        self.database = database
        self._log = log
        self._scheduler, self._tasks, self._db = scheduler, tasks, db

    def spent(self) -> Spent:
        tasks_s = sum(map(cpu_s, self._tasks))
        return Spent(time.time(), cpu_s(self._scheduler), tasks_s, cpu_s(self._db))

    def asked(self) -> list[Check]:
        """Every query so far. Raises RuntimeError when there was anything but queries."""
        found = []
        for line in self._log.read_text().splitlines():
            at_ms, sid, *path = line.split(" ")
            if path:
                raise RuntimeError(f"a running job asked for {path[0]}")
            found.append((int(at_ms), sid))
        return found

    def due(self) -> list[Check]:
        with self.database.unit() as session:
            wanted = select(Job.next_due_ms, Job.sid).where(Job.next_due_ms.is_not(None))
            return [(int(at_ms), sid) for at_ms, sid in session.execute(wanted) if at_ms is not None]

    def waits_s(self) -> float:
        with self.database.unit() as session:
            return jobs.late_ms(session) / 1000


def cpu_s(pid: int) -> float:
    """Of a process, those below it, and those of its children that have ended (proc(5))."""
    of_root = _times(pid)
    return (sum(of_root) + sum(sum(_times(child)[:2]) for child in descendants(pid))) / TICKS_A_S


def _times(pid: int) -> list[int]:
    """utime, stime, cutime, cstime."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0]  # it has just gone
    return [int(ticks) for ticks in fields[11:15]]


# -- the jobs ---------------------------------------------------------------------------------------------------


def running(terms: Terms, sid: str, due_ms: int) -> JobView:
    """A job whose next periodic query is due then."""
    begun_ms = due_ms - BEGUN_BEFORE_MS
    up = Outcome(http=200, status=5, files=(f"{sid}_bench.m3u8",))
    job = next_step(JobView(terms=terms), WOKEN, begun_ms)
    for heard, after_ms in (
        (Outcome(http=200, resource_id=f"resource-{sid}"), 0),
        (WOKEN, 0),
        (Outcome(http=200, sid=sid), 0),
        (up, 5_000),
        (up, 20_000),
    ):
        job = next_step(job, heard, begun_ms + after_ms)
    return job


def seed(database: Database, appid: str, count: int, begin_ms: int) -> None:
    """`count` running jobs, due evenly over the minute that begins then."""
    hidden = {"key": "k", "secret": "s", "start": {"recordingConfig": {"maxIdleTime": 300}}, "acquire": {}}
    for first in range(0, count, SEED):
        made, attempts = [], []
        for n in range(first, min(first + SEED, count)):
            due_ms = begin_ms + n * waits.PERIOD_MS // count
            order = orders.parse({"key": f"lesson-{n}", "cname": f"lesson-{n}", "uids": ["1", "2"]})
            terms = orders.terms(order, due_ms - BEGUN_BEFORE_MS)
            job_id = f"{n:032x}"
            view = running(terms, job_id, due_ms)
            position = rows.values(view)
            said = {name: getattr(terms, name) for name in Terms.__slots__}
            made.append({
                "job_id": job_id, "appid": appid, "key": order.key, "cname": order.cname, "mode": order.mode,
                "terms": said | {"uids": list(terms.uids), "endpoints": [], "remote_appid": ""}, "secrets": hidden,
                "created_ms": due_ms - BEGUN_BEFORE_MS, "deadline_ms": terms.deadline_ms,
                "next_due_ms": position.pop("due_ms"), **position,
            })  # fmt: skip
            attempts += [{"job_id": job_id} | row for row in rows.changed(JobView(terms=terms), view)]
        with database.unit() as session:
            session.execute(insert(Job), made)
            session.execute(insert(JobAttempt), attempts)
        print(f"\r{first + len(made)} jobs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


# -- the processes ----------------------------------------------------------------------------------------------


@contextmanager
def child(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=out, text=True
        )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def bench(workers: int) -> Iterator[tuple[Bench, str]]:
    """Everything running, and the appid of an app without jobs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-jobs-")))
        redis, redis_url = servers.start_redis(servers.find_redis(), folder)
        stack.callback(redis.stop)
        postgres = servers.PostgresServer(servers.find_postgres())
        stack.callback(postgres.stop)
        url, key = postgres.url("postgres"), secrets.generate_key()
        secrets.use_keys([key])
        upgrade(url)
        database = open_database(url)
        stack.callback(database.close)
        with database.unit() as session:
            limits = Limits(requests_per_s=10, max_recordings=0)
            app = apps.add(
                session, appid=None, name="bench", channel="whip:", store=FolderStore(path="b"), limits=limits
            )
            appid = app.appid
        service = stack.enter_context(child(["bench.contract", str(folder)], os.environ, folder / "contract.log"))
        assert service.stdout is not None
        port = int(service.stdout.readline())
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REELYARD_")}
        environment = kept | {
            "REELYARD_DATABASE_URL": url,
            "REELYARD_BROKER_URL": redis_url,
            "REELYARD_SECRET_KEYS": key,
            "REELYARD_GATEWAY_URL": f"http://127.0.0.1:{port}",
            "REELYARD_JOB_REQUESTS_PER_S": "100000",
            "REELYARD_LOG_LEVEL": "WARNING",
        }
        scheduler = stack.enter_context(child(["scheduler"], environment, folder / "scheduler.log"))
        tasks = [
            stack.enter_context(child([*TASKS, "-n", f"tasks{n}@bench"], environment, folder / f"tasks{n}.log"))
            for n in range(workers)
        ]
        yield Bench(database, folder / ASKED, scheduler.pid, [one.pid for one in tasks], postgres.pid), appid
        for name, process in (("scheduler", scheduler), *(("tasks worker", one) for one in tasks)):
            if process.poll() is not None:
                raise RuntimeError(f"the {name} has left by itself")


# -- the measurement --------------------------------------------------------------------------------------------


def lateness_ms(due: Iterable[Check], asked: Iterable[Check], from_ms: int, to_ms: int) -> list[int]:
    """How late each check was that was due in the window; one that did not come is late by the time until its end.

    `due` may hold a check several times (it was seen so often); a check that is put off counts from when it was due first.
    """
    came: dict[str, list[int]] = defaultdict(list)
    for at_ms, sid in sorted(asked):
        came[sid].append(at_ms)
    first: dict[tuple[str, int], int] = {}
    for at_ms, sid in due:
        if from_ms <= at_ms < to_ms:
            turn = bisect_right(came[sid], at_ms)
            first[sid, turn] = min(at_ms, first.get((sid, turn), at_ms))
    late = []
    for (sid, turn), at_ms in first.items():
        arrived_ms = came[sid][turn] if turn < len(came[sid]) else to_ms
        late.append(min(arrived_ms, to_ms) - at_ms)
    return sorted(late)


def cores(before: Spent, after: Spent) -> tuple[float, float, float]:
    """Of the scheduler, of its tasks, of the database."""
    took_s = after.at_s - before.at_s
    return (
        (after.scheduler_s - before.scheduler_s) / took_s,
        (after.tasks_s - before.tasks_s) / took_s,
        (after.db_s - before.db_s) / took_s,
    )


def measure(found: Bench, count: int, seconds: float) -> Figures:
    due = set(found.due())
    begin = last = found.spent()
    counted = len(found.asked())
    print(f"{'s':>5} {'checks/s':>9} {'waits s':>8} {'scheduler':>10} {'tasks':>7} {'database':>9}   (cores)")
    while last.at_s - begin.at_s < seconds - 0.5:
        time.sleep(min(PROGRESS_S, max(0.1, begin.at_s + seconds - time.time())))
        due |= set(found.due())
        now, so_far = found.spent(), len(found.asked())
        rate = (so_far - counted) / (now.at_s - last.at_s)
        used = "{:>10.2f} {:>7.2f} {:>9.2f}".format(*cores(last, now))
        print(f"{now.at_s - begin.at_s:>5.0f} {rate:>9.1f} {found.waits_s():>8.2f} {used}", flush=True)
        last, counted = now, so_far
    from_ms, to_ms = round(begin.at_s * 1000), round(last.at_s * 1000)
    asked = found.asked()
    late = lateness_ms(due, asked, from_ms, to_ms)
    if not late:
        raise RuntimeError("no check was due")
    checks = sum(from_ms <= at_ms < to_ms for at_ms, _ in asked)
    scheduler, tasks, db = cores(begin, last)
    print(f"\n{'late':>12} p50 {_share(late, 50):.2f} s, p99 {_share(late, 99):.2f} s, most {late[-1] / 1000:.2f} s")
    print(f"{'cores':>12} scheduler {scheduler:.2f}, its tasks {tasks:.2f}, database {db:.2f}")
    return Figures(
        jobs=count,
        checks_per_s=round(checks / (last.at_s - begin.at_s), 1),
        late_p99_s=round(_share(late, 99), 3),
        scheduler_cores=round(scheduler + tasks, 2),
        db_cores=round(db, 2),
    )


def _share(ordered: Sequence[int], percent: int) -> float:
    """Seconds, of ms."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] / 1000


def main(arguments: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="python -m bench.jobs", description=__doc__)
    asked.add_argument("--jobs", type=int, default=10_000)
    asked.add_argument(
        "--seconds", type=float, default=120.0, help="of measuring; some 40 s of making jobs come before"
    )
    asked.add_argument("--workers", type=int, default=1, help="processes of the scheduler's tasks")
    args = asked.parse_args(arguments)
    with bench(args.workers) as (found, appid):
        begin_s = time.time() + 8 + args.jobs / SEEDED_A_S
        seed(found.database, appid, args.jobs, round(begin_s * 1000))
        time.sleep(max(0.0, begin_s + WARM_S - time.time()))
        figures = measure(found, args.jobs, args.seconds)
    print(json.dumps(asdict(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
