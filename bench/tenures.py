"""`make bench-tenures`: what renewing, reaping and failing over cost on PostgreSQL, at two sizes of a farm.

10 000 recordings with segment rows, then 100 000 with renewals only, on 50 nodes. The rows are made in SQL; from then on the code is
the workers' (one renewal statement a node) and the scheduler's own, on PostgreSQL as the tests start it (without fsync) and with Valkey.
`renewals_per_s` is what four connections make of it when nobody waits; `needed_per_s` what the farm needs, recordings by renewal interval.
From then on all nodes renew as they would, three times in a TTL (6 s; 15 s in the larger farm). `reap_ms` is a whole round of a leader
that finds nothing dead. Then one node falls silent: `failover_s` is from its last renewal to the last of its recordings being dispatched
elsewhere, the TTL within it. The last line is JSON; its outer figures are the larger farm's. Fails when a tenure of a node that lives
is lost: then the machine is too slow for so many.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from celery import Celery
from sqlalchemy import func, select, text

from models import secrets
from models.database import Database, open_database
from models.repositories import apps, nodes, tenures, timeline
from models.schema import upgrade
from models.settings import Settings
from models.tables import Tenure
from models.vocabulary.spec import FolderStore, RecordingSpec
from models.vocabulary.states import TenureState
from scheduler.broker import CeleryBroker
from scheduler.reaper import Reaper
from tests import servers

NODES: Final = 50
THREADS: Final = 4
SEGMENTS: Final = 20  # rows a recording, where there are any
SLOT: Final = 540_000
ROUNDS: Final = 3
HOUR_MS: Final = 3_600_000
TTL_MS: Final = 6_000
LARGE_TTL_MS: Final = 15_000
FAILOVER_WITHIN_S: Final = 90.0
PROGRESS_S: Final = 5.0
APPID: Final = "b" * 32


@dataclass(frozen=True, slots=True)
class Figures:
    recordings: int
    segments: int
    ttl_s: float
    needed_per_s: int
    renewals_per_s: int
    segments_per_s: int
    reap_ms: float
    failover_s: float
    moved: int


def say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")


# -- the farm, as rows ------------------------------------------------------------------------------------------


def node(n: int) -> str:
    return f"node-{n:02d}"


def populate(database: Database, count: int, segments: int) -> None:
    """`count` recordings, each live on one of the nodes, with so many stored segments."""
    spec = RecordingSpec(appid=APPID, cname="c", uid="1", channel="scripted:x", store=FolderStore(path="x")).model_dump(
        mode="json"
    )
    with database.unit() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text("DELETE FROM recording"))
        session.execute(text("DELETE FROM node"))
        for n in range(NODES):
            nodes.beat(session, node(n), "boot", 10_000_000, "bench", "", "", False, 86_400_000)
    statements = [
        "INSERT INTO recording (sid, appid, cname, uid, resource_id, mode, live_key, spec, weight, warnings, wanted,"
        " wanted_gen, wanted_cause, status, reason, max_epoch, writer_epoch, next_dispatch_ms, deaths, t0_ms, sliced,"
        " uploading, notice_sequence, created_ms)"
        " SELECT 's' || n, :appid, 'c' || n, '1', 'r' || n, 'mix', md5(n::text), cast(:spec as jsonb), 100, '[]',"
        " 'run', 1, '', 5, '', 1, 1, 0, 0, 1700000000000, true, '', 0, 1700000000000 FROM generate_series(0, :last) n",
        "INSERT INTO tenure (sid, epoch, owner, node, role, state, weight, from_90k, expires_ms, renewed, observed_gen,"
        " ready, cut_ack, created_ms, cause)"
        " SELECT 's' || n, 1, md5('o' || n), 'node-' || lpad((n % :nodes)::text, 2, '0'), 'primary', 'live', 100, 0,"
        " (extract(epoch from clock_timestamp()) * 1000)::bigint + 3600000, 0, 1, true, false, 1700000000000, ''"
        " FROM generate_series(0, :last) n",
        "INSERT INTO track (sid, track, head_90k) SELECT 's' || n, 'mix', :segments * 540000"
        " FROM generate_series(0, :last) n",
        "INSERT INTO segment (sid, track, start_90k, end_90k, epoch, key, state, bytes, md5, store)"
        " SELECT 's' || n, 'mix', k * 540000, (k + 1) * 540000, 1, 's' || n || '_' || k || '.ts', 'stored', 1000000,"
        " md5(k::text), 'primary' FROM generate_series(0, :last) n, generate_series(0, :segments - 1) k",
    ]
    given = {"appid": APPID, "spec": json.dumps(spec), "last": count - 1, "nodes": NODES, "segments": segments}
    for statement in statements:
        with database.unit() as session:
            session.execute(text("SET LOCAL statement_timeout = 0"))
            session.execute(text(statement), {k: v for k, v in given.items() if f":{k}" in statement})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))


def holdings(database: Database) -> dict[str, list[tuple[str, int, str, int]]]:
    held: dict[str, list[tuple[str, int, str, int]]] = {}
    with database.unit() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        for t in session.execute(select(Tenure.node, Tenure.sid, Tenure.epoch, Tenure.owner)):
            held.setdefault(t.node, []).append((t.sid, t.epoch, t.owner or "", 1))
    return held


# -- what is measured -------------------------------------------------------------------------------------------


def threaded(work: Sequence[Callable[[], None]]) -> float:
    """Seconds that four threads take for all of it."""
    queue, lock, failed = list(work), threading.Lock(), list[BaseException]()

    def run() -> None:
        while True:
            with lock:
                if not queue or failed:
                    return
                mine = queue.pop()
            try:
                mine()
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return time.perf_counter() - began


def renew(database: Database, name: str, held: list[tuple[str, int, str, int]], ttl_ms: int) -> None:
    with database.unit() as session:
        assert len(tenures.renew(session, name, held, ttl_ms)) == len(held)


def slices(database: Database, held: list[tuple[str, int, str, int]], head_90k: int) -> None:
    """One new segment each: reserved in one unit of work, stored in the next, as a worker does."""
    for sid, epoch, owner, _ in held:
        key = f"{sid}_new_{head_90k}.ts"
        with database.unit() as session:
            timeline.reserve(session, sid, "mix", epoch, owner, head_90k, head_90k + SLOT, key, 1, "0" * 32)
        with database.unit() as session:
            timeline.stored(session, sid, "mix", key, store="primary")


class Renewals:
    """The nodes' own, three times in a TTL, until they are to stop; `silence` is a node's death."""

    def __init__(self, database: Database, held: Mapping[str, list[tuple[str, int, str, int]]], ttl_ms: int) -> None:
        self._database = database
        self._held = held
        self._ttl_ms = ttl_ms
        self._over = threading.Event()
        self._silent: dict[str, float | None] = {}
        self.late_s = 0.0
        names = sorted(held)
        self._threads = [threading.Thread(target=self._run, args=(names[n::THREADS],)) for n in range(THREADS)]
        self._failed: list[BaseException] = []

    def __enter__(self) -> Renewals:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        if self._failed:
            raise self._failed[0]

    def silence(self, name: str) -> float:
        """Returns when its last renewal was, once that is known."""
        self._silent[name] = None
        while (last_s := self._silent[name]) is None:
            self.check()
            time.sleep(0.01)
        return last_s

    def _run(self, names: Sequence[str]) -> None:
        every_s = self._ttl_ms / 3000
        due = {name: time.monotonic() + every_s * n / len(names) for n, name in enumerate(names)}
        try:
            while due and not self._over.is_set():
                name = min(due, key=due.__getitem__)
                self._over.wait(max(0.0, due[name] - time.monotonic()))
                self.late_s = max(self.late_s, time.monotonic() - due[name])
                renew(self._database, name, self._held[name], self._ttl_ms)
                if name in self._silent:
                    self._silent[name] = time.monotonic()
                    del due[name]
                else:
                    due[name] += every_s
        except BaseException as error:
            self._failed.append(error)


def failover(
    database: Database, reaper: Reaper, renewals: Renewals, wanted: int, last_renewal_s: float
) -> tuple[float, int]:
    """Seconds from the last renewal until everything is dispatched anew, and how many that were."""
    said_s = time.monotonic()
    while True:
        reaper.tick(may_reap=True)
        renewals.check()
        with database.unit() as session:
            again = select(func.count()).where(Tenure.epoch == 2, Tenure.state == TenureState.DISPATCHED)
            moved = session.scalar(again) or 0
        if moved >= wanted:
            return time.monotonic() - last_renewal_s, moved
        if time.monotonic() - last_renewal_s > FAILOVER_WITHIN_S:
            raise RuntimeError(f"{moved} of {wanted} were dispatched within {FAILOVER_WITHIN_S:.0f} s")
        if time.monotonic() - said_s > PROGRESS_S:
            said_s = time.monotonic()
            say(f"{moved} of {wanted} are dispatched elsewhere")
        time.sleep(0.05 if moved else 0.3)


def measure(
    database: Database, broker: CeleryBroker, settings: Settings, count: int, segments: int, ttl_ms: int
) -> Figures:
    say(f"{count} recordings with {segments} segments each …")
    populate(database, count, segments)
    held = holdings(database)
    settings = settings.model_copy(update={"tenure_ttl_ms": ttl_ms})
    needed_per_s = round(count / (ttl_ms / 3000))

    def all_renew(for_ms: int) -> float:
        return threaded([lambda n=n: renew(database, n, held[n], for_ms) for n in held])  # type: ignore[misc]  # bound by default

    all_renew(HOUR_MS)
    took_s = statistics.median(all_renew(HOUR_MS) for _ in range(ROUNDS))
    say(f"{count / took_s:.0f} renewals/s; {needed_per_s} are needed at a TTL of {ttl_ms / 1000:.0f} s")
    per_s = 0
    if segments:
        some = [rows[: max(1, 2_000 // NODES)] for rows in held.values()]
        took = threaded([lambda s=s: slices(database, s, segments * SLOT) for s in some])  # type: ignore[misc]
        per_s = round(sum(map(len, some)) / took)
        say(f"{per_s} segments/s")
    all_renew(ttl_ms)
    with Renewals(database, held, ttl_ms) as renewals:
        reaper = Reaper(database, broker, settings, now_s=time.monotonic)
        rounds = []
        for _ in range(7):
            began = time.perf_counter()
            reaper.tick(may_reap=True)
            rounds.append((time.perf_counter() - began) * 1000)
            time.sleep(0.3)
        say(f"a round of the leader: {', '.join(f'{ms:.0f}' for ms in rounds)} ms")
        dead = node(7)
        last_renewal_s = renewals.silence(dead)
        with database.unit() as session:
            nodes.leave(session, dead, "boot")
        took_s_, moved = failover(database, reaper, renewals, len(held[dead]), last_renewal_s)
        say(f"renewals were late by {renewals.late_s:.1f} s at most")
    renewals.check()
    if moved != len(held[dead]):
        raise RuntimeError(f"{moved} recordings went on elsewhere, and the node had {len(held[dead])}")
    say(f"{moved} recordings of one node went on {took_s_:.1f} s after its last renewal")
    return Figures(
        recordings=count,
        segments=count * segments,
        ttl_s=ttl_ms / 1000,
        needed_per_s=needed_per_s,
        renewals_per_s=round(count / took_s),
        segments_per_s=per_s,
        reap_ms=round(statistics.median(rounds), 1),
        failover_s=round(took_s_, 1),
        moved=moved,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-tenures", description=__doc__)
    parser.add_argument("--recordings", type=int, default=10_000, help="with segment rows")
    parser.add_argument("--renewals", type=int, default=100_000, help="recordings with renewals only; 0: none")
    chosen = parser.parse_args()
    logging.getLogger("scheduler").setLevel(logging.ERROR)  # two thousand reaped tenures are no news here
    with ExitStack() as stack:
        postgres = servers.PostgresServer(servers.find_postgres())
        stack.callback(postgres.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tenures-")))
        valkey, valkey_url = servers.start_redis(servers.find_redis(), folder)
        stack.callback(valkey.stop)
        key = secrets.generate_key()
        secrets.use_keys([key])
        url = postgres.url("postgres")
        upgrade(url)
        database = open_database(url)
        stack.callback(database.close)
        with database.unit() as session:
            apps.add(session, appid=APPID, name="", channel="scripted:x", store=None)
        # Nobody claims here, so a dispatch must not be given up meanwhile.
        said = {"database_url": url, "broker_url": valkey_url, "secret_keys": key, "dispatch_deadline_ms": 3_600_000}
        settings = Settings.model_validate(said)
        celery = Celery("bench")
        celery.config_from_object("models.celery_config")
        celery.conf.update(broker_url=valkey_url)
        broker = CeleryBroker(celery, valkey_url)
        stack.callback(broker.close)
        shapes = [measure(database, broker, settings, chosen.recordings, SEGMENTS, TTL_MS)]
        if chosen.renewals:
            shapes.append(measure(database, broker, settings, chosen.renewals, 0, LARGE_TTL_MS))
    last = shapes[-1]
    told = {
        "renewals_per_s": last.renewals_per_s,
        "needed_per_s": last.needed_per_s,
        "reap_ms": last.reap_ms,
        "failover_s": last.failover_s,
        "recordings": last.recordings,
        "shapes": [asdict(shape) for shape in shapes],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
