"""Three schedulers and five workers, as threads, on one state whose time jumps: the invariants of
docs/design/recording-clock.md ("The timeline and its tenures") hold after every step, and nothing captured is lost.

Short as it stands; `make soak-tenures` runs it for longer (REELYARD_MACHINE_EXAMPLES, REELYARD_MACHINE_STEPS).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from models.database import Database, now_ms, open_database, shift_time
from models.repositories import nodes, recordings, tenures, timeline
from models.settings import Settings
from models.tables import Leader, Node, Recording, Tenure
from models.vocabulary.states import HoleState, Role, SegmentState, TenureState, ended
from tests.models import farm, partition
from tests.tenures.hands import SLOT_90K, Clock, Post, Scheduler, Store, Worker

_numbers = count()
ACTS = ("beat", "renew", "claim", "live", "commit", "upload")
CONFIG = Settings.model_validate({})
SCHEDULERS, WORKERS = 3, 5
HOUR_MS = 3_600_000

moves = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(0, SCHEDULERS - 1)),
        st.tuples(st.sampled_from(ACTS), st.integers(0, WORKERS - 1)),
    ),
    min_size=2,
    max_size=8,
)
whose = st.integers(0, WORKERS - 1)


class Farm(RuleBasedStateMachine):
    def __init__(self, databases: list[Database]) -> None:
        super().__init__()
        self.databases = databases  # a process each
        self.database = databases[0]
        self.sid = f"t{next(_numbers)}"
        self.clock, self.post, self.store = Clock(), Post(), Store()
        self.shifted_ms = 0
        self._shift(0)
        self.schedulers = [Scheduler(f"s{n}", databases[n], self.post, self.clock, CONFIG) for n in range(SCHEDULERS)]
        self.workers = [
            Worker(f"w{n}", databases[n % len(databases)], self.post, self.clock, self.store, CONFIG)
            for n in range(WORKERS)
        ]
        self.slot = 0
        self.burned: set[str] = set()  # owners whose spool is gone
        self.head = 0
        self.stored: dict[str, tuple[int, int, int, str]] = {}
        self.played: list[str] = []
        self.epochs: dict[int, str | None] = {}
        self.owed: dict[tuple[int, int], int] = {}
        with self.database.unit() as session:
            session.execute(delete(Node))
            session.execute(delete(Leader))
            farm.recording(session, self.sid, cname=self.sid)
        self.want(1 + next(_numbers) % 2)
        for worker in self.workers:
            worker.beat()
            worker.beat()

    def teardown(self) -> None:
        try:
            self.everything_comes_back()
        finally:
            with self.database.unit() as session:
                session.execute(update(Tenure).where(Tenure.sid == self.sid).values(state=TenureState.ENDED))
                gone = update(Recording).where(Recording.sid == self.sid)
                session.execute(gone.values(live_key=None, status=20))
            for worker in self.workers:
                worker.close()
            self._shift(0)

    def want(self, redundancy: int) -> None:
        with self.database.unit() as session:
            recording = recordings.get(session, self.sid)
            assert recording is not None
            recording.spec = recording.spec | {"channel": "scripted:x", "redundancy": redundancy}

    def _shift(self, ms: int) -> None:
        self.shifted_ms = ms
        for database in self.databases:
            shift_time(database, ms)

    # -- what happens ---------------------------------------------------------------------------------------------

    @rule(moves=moves)
    def at_once(self, moves: list[tuple[str, int]]) -> None:
        """A worker is one thread; several of its acts are one after the other."""
        threads: dict[str, list[Callable[[], None]]] = {}
        for act, n in moves:
            if act == "tick":
                threads.setdefault(f"s{n}", []).append(self.schedulers[n].tick)
            elif self.workers[n].alive and self.workers[n].reachable:
                threads.setdefault(f"w{n}", []).append(getattr(self.workers[n], act))
        _together(list(threads.values()))

    @rule()
    def all_is_well(self) -> None:
        """A round in which everybody does what is due: without it few recordings would come to anything."""
        ready = [w for w in self.workers if w.alive and w.reachable]
        _together(
            [[w.beat, w.renew, w.commit, w.upload, w.commit] for w in ready] + [[s.tick] for s in self.schedulers]
        )
        _together([[w.claim, w.live] for w in ready])

    @rule(slots=st.integers(1, 3))
    def the_call_goes_on(self, slots: int) -> None:
        """Recorders record, whoever else can be reached or not."""
        for _ in range(slots):
            for worker in self.workers:
                for tenancy in worker.held.values():
                    if tenancy.capturing:
                        tenancy.capture(self.slot, first=tenancy.spool.n == 0)
            self.slot += 1

    @rule(ms=st.sampled_from([500, 2_500, 6_500, 31_000]))
    def time_passes(self, ms: int) -> None:
        self.clock.s += ms / 1000
        self._shift(self.shifted_ms + ms)

    @rule(ms=st.sampled_from([-HOUR_MS, HOUR_MS]))
    def the_databases_clock_steps(self, ms: int) -> None:
        self._shift(self.shifted_ms + ms)

    @rule(n=whose, with_its_disk=st.booleans())
    def dies(self, n: int, with_its_disk: bool) -> None:
        worker = self.workers[n]
        if with_its_disk:
            spools = [*worker.held.values(), *worker.left]
            self.burned |= {t.who.owner for t in spools}
            worker.burn()
        else:
            worker.die()

    @rule(n=whose)
    def is_cut_off(self, n: int) -> None:
        self.workers[n].reachable = False

    @rule(n=whose)
    def comes_back(self, n: int) -> None:
        worker = self.workers[n]
        if worker.alive:
            worker.reachable = True
        else:
            worker.come_back()

    @rule(n=whose, on=st.booleans())
    def drains(self, n: int, on: bool) -> None:
        with self.database.unit() as session:
            nodes.set_draining(session, f"w{n}", on)

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def the_invariants_hold(self) -> None:
        with self.database.unit() as session:
            self._timeline(session)
            self._tenures(session)

    def _timeline(self, session: Session) -> None:
        partition.check(session, self.sid)
        head = timeline.head(session, self.sid, "mix")
        segments, holes = timeline.rows(session, self.sid, "mix")
        assert head >= self.head, "T1: the head never goes back"
        stored = {s.key: (s.start_90k, s.end_90k, s.epoch, s.store) for s in segments if s.state is SegmentState.STORED}
        assert stored.items() >= self.stored.items(), "T2: what is stored stays, where it is"
        assert {s.key for s in segments if s.state is SegmentState.STORED} <= self.store.objects.keys(), "T3"
        assert all(s.start_90k % SLOT_90K == 0 for s in segments)
        played = [e.key for e in timeline.publishable(session, self.sid, "mix", final=False)]
        assert played[: len(self.played)] == self.played, "T5: a live playlist's past never changes"
        now = now_ms(session)
        all_ = tenures.of(session, self.sid)
        lost = [(h.start_90k, h.end_90k) for h in holes if h.state is HoleState.LOST]
        for (start, end), epoch in self.owed.items():
            if any(a < end and b > start for a, b in lost):
                able = [t for t in all_ if t.epoch <= epoch and t.role is not Role.FINALISER]
                dead = all(t.state is TenureState.ENDED for t in able)
                said = any(t.epoch == epoch and t.from_90k >= start for t in able)
                assert dead or said, "T4: owed becomes lost when nobody can fill it, or its debtor has nothing"
                assert said or all((t.ended_ms or 0) <= now - CONFIG.hole_grace_ms for t in able), "T4: … and the grace"
        self.head, self.stored, self.played = head, stored, played
        self.owed = {(h.start_90k, h.end_90k): h.owed_epoch for h in holes if h.state is HoleState.OWED}

    def _tenures(self, session: Session) -> None:
        all_ = tenures.of(session, self.sid)
        recording = recordings.get(session, self.sid)
        assert recording is not None
        claims = [claim for worker in self.workers for claim in worker.claims]
        assert len({(sid, epoch) for sid, epoch, _ in claims}) == len(claims), "T6: a tenure is claimed once"
        for tenure in all_:
            before = self.epochs.get(tenure.epoch)
            assert before in (None, tenure.owner), "T6: … and keeps its owner"
        assert self.epochs.keys() <= {t.epoch for t in all_}
        self.epochs = {t.epoch: t.owner for t in all_}
        assert max(self.epochs, default=0) == recording.max_epoch, "T6: epochs are counted"
        open_ = [t for t in all_ if t.state is not TenureState.ENDED]
        assert len([t for t in open_ if t.role in tenures.WRITERS]) <= 1, "T7: one writer at most"
        assert not open_ or any(t.epoch == recording.writer_epoch for t in open_) or ended(recording.status), (
            "T7: where somebody works, one of them writes"
        )
        for tenure in all_:
            if tenure.cause == "its lease ran out" and tenure.ended_ms is not None:
                assert tenure.ended_ms >= tenure.created_ms - HOUR_MS - 60_000
        names = [t.node for t in open_ if t.role is not Role.FINALISER]
        assert len(set(names)) == len(names), "T8: nobody stands in for himself"
        for node in {t.node for t in open_}:
            assert tenures.node_load(session, node) <= 250, "T8: no node takes more than it can"

    def everything_comes_back(self) -> None:
        """T9: when all spools have come back and are uploaded, only what nobody captured, or what burned, is missing."""
        for worker in self.workers:
            if not worker.alive:
                worker.come_back()
            worker.reachable = True
            for key in list(worker.held):
                worker._fenced(key)  # the end of the call
        with self.database.unit() as session:
            held = [t.epoch for t in tenures.of(session, self.sid) if t.state is not TenureState.ENDED]
            for epoch in held:
                tenures.revoke(session, self.sid, epoch, "the call is over")
        self.time_passes(CONFIG.hole_grace_ms + 1_000)
        with self.database.unit() as session:
            timeline.give_up(session, grace_ms=0, sid=self.sid)
            for sid, track in timeline.forsaken(session, grace_ms=0):
                timeline.abandon_forsaken(session, sid, track, grace_ms=0)
        for _ in range(4):
            self.clock.s += 3
            for worker in self.workers:
                worker.commit()
                worker.upload()
                worker.commit()
            self.the_invariants_hold()
        spools = [t for worker in self.workers for t in worker.left]
        assert all(t.is_done for t in spools), "T9: every spool comes to its end"
        captured = {n for t in spools for _, key in t._slices() for n in (int(key.rsplit("-", 1)[1]),)}
        with self.database.unit() as session:
            segments, _ = timeline.rows(session, self.sid, "mix")
        there = {s.start_90k // SLOT_90K for s in segments}
        assert captured <= there, f"T9: captured and not there: {sorted(captured - there)}"
        assert all(s.state is SegmentState.STORED for s in segments)


def _together(threads: list[list[Callable[[], None]]]) -> None:
    gate = threading.Barrier(max(1, len(threads)))
    failed: list[BaseException] = []

    def run(acts: list[Callable[[], None]]) -> None:
        gate.wait()
        try:
            for act in acts:
                act()
        except BaseException as error:
            failed.append(error)

    started = [threading.Thread(target=run, args=(acts,)) for acts in threads]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if failed:
        raise failed[0]


def _run(databases: list[Database], examples: int, steps: int) -> None:
    with databases[0].unit() as session:
        farm.app(session)
    examples = int(os.environ.get("REELYARD_MACHINE_EXAMPLES", examples))
    steps = int(os.environ.get("REELYARD_MACHINE_STEPS", steps))
    run_state_machine_as_test(
        lambda: Farm(databases),  # type: ignore[arg-type]  # any factory will do, it says
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_whatever_dies_the_invariants_hold_on_postgresql(postgresql: Database, postgres_url: str) -> None:
    others = [open_database(postgres_url) for _ in range(SCHEDULERS - 1)]
    try:
        _run([postgresql, *others], examples=5, steps=16)
    finally:
        for other in others:
            other.close()


def test_whatever_dies_the_invariants_hold_on_sqlite(sqlite: Database) -> None:
    _run([sqlite] * SCHEDULERS, examples=3, steps=12)
