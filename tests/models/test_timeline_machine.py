"""Any tenures, doing anything in any order: the timeline answers as a plain model does, and stays a partition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from models.database import Database, shift_time
from models.repositories import recordings, tenures, timeline
from models.repositories.timeline import Covered, Fenced, Reserved
from models.vocabulary.states import HoleState, Role
from tests.models import farm, partition

GRACE_MS = 30_000
_numbers = count()

picks = st.integers(0, 7)
offsets = st.integers(-40, 15)
lengths = st.integers(1, 12)
states = st.sampled_from([HoleState.LOST, HoleState.OWED, HoleState.PAUSED])


@dataclass
class Held:
    """A tenure, as the model knows it."""

    epoch: int
    owner: str
    role: Role
    from_90k: int
    until_90k: int | None = None
    ended_ms: int | None = None
    live: bool = False


class Timeline(RuleBasedStateMachine):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.sid = f"m{next(_numbers)}"
        self.held: list[Held] = []
        self.writer = 0
        self.ticks: list[str] = []  # of each tick below the head: "segment" or a hole's state
        self.reserved: list[tuple[Held, int, int, str]] = []
        self.proven: set[str] = set()
        self.ms = 0
        shift_time(database, 0)
        with database.unit() as session:
            farm.recording(session, self.sid, cname=self.sid)
        self.place(Role.PRIMARY, 0)

    # -- tenures ------------------------------------------------------------------------------------------------

    def place(self, role: Role, from_90k: int) -> None:
        with self.database.unit() as session:
            farm.node(session, ttl_ms=10**12)
            claim = farm.tenure(session, self.sid, role=role, from_90k=from_90k)
        self.held.append(Held(claim.epoch, claim.owner, role, from_90k))
        if role in tenures.WRITERS:
            self.writer = claim.epoch

    @precondition(lambda self: len(self.held) < 8)
    @rule(role=st.sampled_from([Role.PRIMARY, Role.STANDBY, Role.FINALISER]))
    def another(self, role: Role) -> None:
        self.place(role, len(self.ticks))

    @precondition(lambda self: len(self.held) < 8)
    @rule(pick=picks, ahead=st.integers(0, 20), switch=st.booleans())
    def hand_over(self, pick: int, ahead: int, switch: bool) -> None:
        old, cut = self.pick(pick), len(self.ticks) + ahead
        old.until_90k = cut
        with self.database.unit() as session:
            row = next(t for t in tenures.of(session, self.sid) if t.epoch == old.epoch)
            row.until_90k = cut
        self.place(Role.SUCCESSOR, cut)
        if switch:
            self.become_writer(self.held[-1])

    @rule(pick=picks)
    def promote(self, pick: int) -> None:
        self.become_writer(self.pick(pick))

    def become_writer(self, held: Held) -> None:
        self.writer = held.epoch
        with self.database.unit() as session:
            recording = recordings.lock(session, self.sid)
            assert recording is not None
            recording.writer_epoch = held.epoch

    @rule(pick=picks)
    def go_live(self, pick: int) -> None:
        held = self.pick(pick)
        with self.database.unit() as session:
            assert tenures.live(session, self.sid, held.epoch, held.owner) == (held.ended_ms is None)
        held.live = held.ended_ms is None

    @rule(pick=picks)
    def end(self, pick: int) -> None:
        held = self.pick(pick)
        with self.database.unit() as session:
            moved = tenures.end(session, self.sid, held.epoch, held.owner, "over")
        assert moved == (held.ended_ms is None)
        held.ended_ms = self.ms if moved else held.ended_ms
        held.live = False

    def pick(self, n: int) -> Held:
        return self.held[n % len(self.held)]

    # -- media --------------------------------------------------------------------------------------------------

    @rule(pick=picks, offset=offsets, length=lengths)
    def reserve(self, pick: int, offset: int, length: int) -> None:
        held, head = self.pick(pick), len(self.ticks)
        start = max(0, head + offset)
        end, key = start + length, f"k{next(_numbers)}"
        expected = self.expected(held, start, end)
        assert self.ask(held, start, end, key) == expected
        if expected == Reserved():
            self.reserved.append((held, start, end, key))
            self.write(start, end, "segment", "owed")

    def ask(self, held: Held, start: int, end: int, key: str) -> object:
        with self.database.unit() as session:
            return timeline.reserve(session, self.sid, "mix", held.epoch, held.owner, start, end, key, 1, "m")

    def fenced(self, held: Held, start: int, end: int) -> Fenced | None:
        if start < held.from_90k or (held.until_90k is not None and end > held.until_90k):
            return Fenced(for_good=True)
        if end > len(self.ticks) and self.superseded(held):
            return Fenced(for_good=False)
        return None

    def expected(self, held: Held, start: int, end: int) -> object:
        if (fenced := self.fenced(held, start, end)) is not None:
            return fenced
        if end > len(self.ticks) and self.brought(held, start):
            return Fenced(for_good=False)
        if set(self.ticks[start:end]) <= {"owed", "lost"}:
            return Reserved()
        return Fenced(for_good=False) if self.undecided(held, start, end) else Covered()

    def brought(self, held: Held, start: int) -> bool:
        head = len(self.ticks)
        others = [h for h in self.held if h is not held and h.live and h.role != Role.FINALISER]
        return start > head and any(h.from_90k <= head and (h.until_90k is None or h.until_90k > head) for h in others)

    def undecided(self, held: Held, start: int, end: int) -> bool:
        return any(h is not held and a < end and b > start and key not in self.proven for h, a, b, key in self.reserved)

    def superseded(self, held: Held) -> bool:
        later = [h for h in self.held if h.epoch > held.epoch and h.ended_ms is None and h.role != Role.FINALISER]
        return any(h.role == Role.PRIMARY or (h.epoch == self.writer and held.until_90k is None) for h in later)

    def write(self, start: int, end: int, word: str, jump: str) -> None:
        self.ticks += [jump] * (start - len(self.ticks))
        self.ticks[start:end] = [word] * (end - start)

    @precondition(lambda self: self.reserved)
    @rule(n=st.integers(0, 99))
    def ask_again(self, n: int) -> None:
        assert self.ask(*self.reserved[n % len(self.reserved)]) == Reserved()

    @precondition(lambda self: self.reserved)
    @rule(n=st.integers(0, 99), store=st.sampled_from(["primary", "primary", "backup"]))
    def store(self, n: int, store: str) -> None:
        key = self.reserved[n % len(self.reserved)][3]
        with self.database.unit() as session:
            timeline.stored(session, self.sid, "mix", key, store=store)
        self.proven.add(key)

    @rule(pick=picks, offset=offsets, length=lengths, state=states)
    def gap(self, pick: int, offset: int, length: int, state: HoleState) -> None:
        held, head = self.pick(pick), len(self.ticks)
        start = max(0, head + offset)
        end = start + length
        with self.database.unit() as session:
            said = timeline.gap(session, self.sid, "mix", held.epoch, held.owner, start, end, "why", state)
        if self.fenced(held, start, end) is not None:
            assert not said
            return
        now = self.read()
        assert said >= (end > head)
        assert len(now) == max(head, end)
        for tick, was in enumerate(self.ticks):
            given_up = said and start <= tick < end and was == "owed" and now[tick] == "lost"
            assert now[tick] == was or given_up
        allowed = {state.value, "owed"} if state == HoleState.LOST else {state.value}
        assert set(now[head:start]) <= {"owed"}
        assert set(now[max(head, start) : end]) <= allowed
        self.ticks = now

    @rule(later_ms=st.sampled_from([0, 10_000, 40_000]))
    def give_up(self, later_ms: int) -> None:
        self.ms += later_ms
        shift_time(self.database, self.ms)
        with self.database.unit() as session:
            before = [h for h in timeline.rows(session, self.sid, "mix")[1] if h.state == HoleState.OWED]
            owed = {tick: h.owed_epoch for h in before for tick in range(h.start_90k, h.end_90k)}
            timeline.give_up(session, grace_ms=GRACE_MS, sid=self.sid)
        now = self.read()
        for tick, was in enumerate(self.ticks):
            if now[tick] != was:
                assert (was, now[tick]) == ("owed", "lost")
                fillers = [h for h in self.held if h.epoch <= owed[tick]]
                # The real clock runs a little in a test, too.
                assert all(h.ended_ms is not None and h.ended_ms <= self.ms - GRACE_MS + 9_000 for h in fillers)
        self.ticks = now

    # -- what always holds ----------------------------------------------------------------------------------------

    def read(self) -> list[str]:
        with self.database.unit() as session:
            segments, holes = timeline.rows(session, self.sid, "mix")
            ticks = [""] * timeline.head(session, self.sid, "mix")
        for segment in segments:
            ticks[segment.start_90k : segment.end_90k] = ["segment"] * (segment.end_90k - segment.start_90k)
        for hole in holes:
            ticks[hole.start_90k : hole.end_90k] = [hole.state.value] * (hole.end_90k - hole.start_90k)
        return ticks

    @invariant()
    def it_is_a_partition_and_what_the_model_says(self) -> None:
        with self.database.unit() as session:
            partition.check(session, self.sid)
            rows = {(s.epoch, s.start_90k, s.end_90k, s.key) for s in timeline.rows(session, self.sid, "mix")[0]}
        assert rows == {(h.epoch, start, end, key) for h, start, end, key in self.reserved}
        assert self.read() == self.ticks


def test_whatever_tenures_do_the_timeline_stays_a_partition(sqlite: Database) -> None:
    with sqlite.unit() as session:
        farm.app(session)
        farm.node(session)
    run_state_machine_as_test(
        lambda: Timeline(sqlite),  # type: ignore[arg-type]  # any factory will do, it says
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
