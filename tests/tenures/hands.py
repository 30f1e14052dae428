"""Schedulers and workers of a farm in which nothing is real but the state: its code, its threads, its races.

A worker's recorder is a list of slots, its store a dictionary; its ledger, journal and claims are the product's.
"""

from __future__ import annotations

import queue
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from models.database import Database
from models.repositories import nodes, recordings, tenures
from models.settings import Settings
from models.vocabulary import journal, pipe
from models.vocabulary.errors import NameTaken
from models.vocabulary.states import Role, Status
from scheduler.leader import Leadership
from scheduler.reaper import Reaper
from workers.bookkeeping import Grantee
from workers.ledger import Ledger
from workers.spool import Spool

SLOT_90K = 10
NODE_TTL_MS = 12_000


@dataclass
class Clock:
    """What processes count with; the database's is another one."""

    s: float = 0.0

    def now(self) -> float:
        return self.s


class Post:
    """The broker: each node's messages, delivered when somebody wants, twice if somebody wants."""

    def __init__(self) -> None:
        self.queues: defaultdict[str, queue.SimpleQueue[tuple[str, int]]] = defaultdict(queue.SimpleQueue)

    def record(self, node: str, sid: str, epoch: int, shown: str = "") -> bool:
        self.queues[node].put((sid, epoch))
        return True

    def nudge(self, sid: str) -> bool:
        return False

    def task(self, name: str, *args: object) -> bool:
        return False

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """Nothing is held."""


class Scheduler:
    def __init__(self, name: str, database: Database, post: Post, clock: Clock, settings: Settings) -> None:
        ttl_ms, quiet_ms = settings.leader_ttl_ms, settings.tenure_ttl_ms
        self._leadership = Leadership(database, name, ttl_ms=ttl_ms, quiet_ms=quiet_ms, now_s=clock.now)
        self._reaper = Reaper(database, post, settings, now_s=clock.now)

    def tick(self) -> None:
        if self._leadership.hold():
            self._reaper.tick(may_reap=self._leadership.may_reap, leads=self._leadership.holds)
        else:
            self._reaper.rest()


class Store:
    """Objects by key. Never the same key with other bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}

    def put(self, key: str, md5: str) -> None:
        assert self.objects.setdefault(key, md5) == md5, f"{key} was written twice with different bytes"


@dataclass
class Tenancy:
    """One tenure's spool at a worker, with what its ledger was told about it."""

    database: Database
    who: Grantee
    role: Role
    spool: Spool
    clock: Clock
    capturing: bool = False
    settled: dict[str, bool] = field(default_factory=dict)  # key: may be uploaded, or is refused

    def __post_init__(self) -> None:
        self.take_up()

    def take_up(self) -> None:
        """As a new process, which knows what the spool says."""
        tag = {"sid": self.who.sid, "epoch": self.who.epoch}
        self._undecided: set[str] = set()
        self._stored = {e.key for _, e in self.spool.read() if isinstance(e, journal.Stored)}
        self._ledger = Ledger(self.database, self.who, self.spool, self._told, now=self.clock.now, tag=tag)

    def _told(self, message: pipe.Message) -> None:
        assert isinstance(message, pipe.Committed)
        self._undecided |= set(message.later)
        self._undecided -= {*message.granted, *message.refused}
        decided = [key for n, key in self._slices() if n <= message.n and key not in self._undecided]
        refused = set(message.refused)
        for key in decided:
            if key in refused:
                self.settled[key] = False
            else:
                self.settled.setdefault(key, True)

    def _slices(self) -> list[tuple[int, str]]:
        return [(n, e.key) for n, e in self.spool.entries() if isinstance(e, journal.Slice)]

    def capture(self, slot: int, first: bool) -> None:
        start = slot * SLOT_90K
        if first:
            self.spool.append(journal.First(track="mix", at_90k=start))
        key = f"{self.who.sid}-{self.who.epoch}-{slot}"
        file, md5 = f"{slot}.ts", f"{self.who.owner[:8]}-{slot}"
        self.spool.append(
            journal.Slice(track="mix", start_90k=start, end_90k=start + SLOT_90K, key=key, file=file, bytes=1, md5=md5)
        )

    def commit(self) -> None:
        self._ledger.grown_to(len(self.spool.entries()))
        if self._ledger.is_behind:
            self._ledger.commit(slot_90k=SLOT_90K, ending=False, last_user_90k=None, also=lambda _s, _o: None)
        self._ledger.ask_again(slot_90k=SLOT_90K)

    def upload(self, store: Store) -> None:
        for _, entry in self.spool.entries():
            if isinstance(entry, journal.Slice) and self.settled.get(entry.key) and entry.key not in self._stored:
                store.put(entry.key, entry.md5)
                self.spool.append(journal.Stored(key=entry.key))
                self._stored.add(entry.key)

    @property
    def is_done(self) -> bool:
        return all(self.settled.get(key) is False or key in self._stored for _, key in self._slices())


class Worker:
    """A node. `reachable`: the state answers it. A dead one has no processes; its spools may have outlived it."""

    def __init__(
        self, name: str, database: Database, post: Post, clock: Clock, store: Store, settings: Settings
    ) -> None:
        self.name, self.database, self.post, self.clock = name, database, post, clock
        self.store, self.settings = store, settings
        self.boot, self.alive, self.reachable = 1, True, True
        self.held: dict[tuple[str, int], Tenancy] = {}
        self.left: list[Tenancy] = []  # of tenures that are over
        self.claims: list[tuple[str, int, str]] = []
        self._folder = tempfile.TemporaryDirectory()

    # -- what threads do, if the worker can -----------------------------------------------------------------------

    def renew(self) -> None:
        said = [(t.who.sid, t.who.epoch, t.who.owner, 1) for t in self.held.values()]
        with self.database.unit() as session:
            answers = tenures.renew(session, self.name, said, self.settings.tenure_ttl_ms)
        held = {(a.sid, a.epoch) for a in answers}
        for key in [key for key in self.held if key not in held]:
            self._fenced(key)

    def _fenced(self, key: tuple[str, int]) -> None:
        tenancy = self.held.pop(key)
        tenancy.capturing = False
        self.left.append(tenancy)

    def beat(self) -> None:
        try:
            with self.database.unit() as session:
                nodes.beat(session, self.name, str(self.boot), 250, "1", "", "", False, NODE_TTL_MS)
        except NameTaken:
            return  # the run before this one is not over for the others yet

    def claim(self) -> None:
        try:
            sid, epoch = self.post.queues[self.name].get_nowait()
        except queue.Empty:
            return
        self._claim(sid, epoch)
        self._claim(sid, epoch)  # brokers deliver twice

    def _claim(self, sid: str, epoch: int) -> None:
        with self.database.unit() as session:
            claim = tenures.claim(session, sid, epoch, self.name, str(self.boot), ttl_ms=self.settings.tenure_ttl_ms)
        if claim is None:
            return
        self.claims.append((sid, epoch, claim.owner))
        spool = Spool.make(Path(self._folder.name), sid, claim.owner)
        who = Grantee(sid, epoch, claim.owner)
        self.held[sid, epoch] = Tenancy(self.database, who, claim.role, spool, self.clock)

    def live(self) -> None:
        for tenancy in self.held.values():
            if tenancy.role is not Role.FINALISER:
                with self.database.unit() as session:
                    tenures.live(session, tenancy.who.sid, tenancy.who.epoch, tenancy.who.owner)
                    sid, epoch = tenancy.who.sid, tenancy.who.epoch
                    recordings.advance(session, sid, expect=None, to=Status.READY, cause="ready", epoch=epoch)
                    recordings.zero(session, sid, t0_ms=1, anchor={"clock_id": "c", "zero_s": 0.0})
                tenancy.capturing = True

    def commit(self) -> None:
        for tenancy in (*self.held.values(), *self.left):
            tenancy.commit()

    def upload(self) -> None:
        for tenancy in (*self.held.values(), *self.left):
            tenancy.upload(self.store)

    # -- what happens to it ---------------------------------------------------------------------------------------

    def die(self) -> None:
        self.alive = False
        for key in list(self.held):
            self._fenced(key)

    def burn(self) -> None:
        """With its disk."""
        self.die()
        self.left.clear()

    def come_back(self) -> None:
        self.alive, self.reachable = True, True
        self.boot += 1
        for tenancy in self.left:
            tenancy.take_up()

    def close(self) -> None:
        self._folder.cleanup()
