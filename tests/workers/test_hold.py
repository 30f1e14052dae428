"""A recording on hold, with real recorders: whoever dies or takes over meanwhile, the pause is one hole between two slots."""

from __future__ import annotations

import time
from collections.abc import Callable

from models.database import Database
from models.repositories import notices, recordings, tenures, timeline
from models.vocabulary.events import Event
from models.vocabulary.states import Role, Wanted
from models.vocabulary.ticks import TICKS_PER_S
from tests.workers.rig import SID, Rig
from tests.workers.test_events import listen

Make = Callable[[Database], Rig]
SLOT_90K = 2 * TICKS_PER_S


def want(rig: Rig, wanted: Wanted) -> None:
    with rig.database.unit() as session:
        assert recordings.want(session, SID, wanted, "")


def held(rig: Rig) -> int:
    rig.until(lambda: rig.row().held_90k is not None, "on hold")
    at_90k = rig.row().held_90k
    assert at_90k is not None and at_90k % SLOT_90K == 0
    return at_90k


def head(rig: Rig) -> int:
    with rig.database.unit() as session:
        return timeline.head(session, SID, "mix")


def holes(rig: Rig) -> list[tuple[int, int, str, str]]:
    with rig.database.unit() as session:
        return [(h.start_90k, h.end_90k, h.state.value, h.cause) for h in timeline.rows(session, SID, "mix")[1]]


def goes_on(rig: Rig, more: int = 1) -> None:
    want(rig, Wanted.RUN)
    before = head(rig)
    rig.until(lambda: rig.row().held_90k is None and head(rig) >= before + (1 + more) * SLOT_90K, "it goes on")


def test_a_hold_is_a_paused_hole_from_edge_to_edge_and_told_as_an_interruption(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    listen(sqlite)
    it.dispatch()
    it.slices(0)
    want(it, Wanted.HOLD)
    since = held(it)
    time.sleep(2.5)
    goes_on(it)
    row = it.stop()
    [(start, end, state, cause)] = holes(it)
    assert (start, state, cause, end % SLOT_90K) == (since, "paused", "paused", 0)
    assert end - start >= SLOT_90K
    assert (row.status, row.held_90k) == (8, None)
    verdict = it.judge()
    assert (verdict.violations, verdict.holes) == ((), ((start / TICKS_PER_S, end / TICKS_PER_S),))
    with sqlite.unit() as session:
        told = [n.details for n in notices.of(session, SID) if n.event == Event.SLICE_START]
    assert row.t0_ms is not None
    assert [(d["discontinueUtcMs"], d["startUtcMs"]) for d in told[1:]] == [
        (row.t0_ms + start // 90, row.t0_ms + end // 90)
    ]


def test_a_recorder_that_dies_on_hold_is_told_again(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    want(it, Wanted.HOLD)
    since = held(it)
    dead = it.kill()
    it.until(lambda: next(iter(it.node._running.values())).recorder_pid not in (None, dead), "another recorder")
    time.sleep(2.5)
    assert head(it) == since
    goes_on(it)
    it.stop()
    [(start, end, state, _)] = holes(it)
    assert (start, state, end % SLOT_90K) == (since, "paused", 0)
    assert it.judge().violations == ()


def test_another_tenure_stays_on_hold_and_the_hole_is_one(postgresql: Database, rig: Make) -> None:
    it = rig(postgresql)
    it.recording()
    first = it.dispatch()
    it.slices(0)
    want(it, Wanted.HOLD)
    since = held(it)
    with postgresql.unit() as session:
        tenures.revoke(session, SID, first, "its lease ran out")
    it.until(lambda: not any(t.is_alive() for t in it.threads), "the first one leaves")
    it.dispatch()
    time.sleep(2.5)
    assert head(it) == since
    goes_on(it, 2)
    it.stop()
    [(start, end, state, _)] = holes(it)
    assert (start, state, end % SLOT_90K) == (since, "paused", 0)
    assert it.judge().violations == ()


def test_a_stop_on_hold_ends_with_what_there_is(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    want(it, Wanted.HOLD)
    since = held(it)
    row = it.stop()
    assert head(it) == since
    assert (row.status, row.reason, holes(it)) == (8, "stop called", [])
    assert (it.judge().violations, it.judge().holes) == ((), ())


def test_two_that_hold_a_slot_apart_agree_on_one_pause(sqlite: Database, rig: Make) -> None:
    """The timeline and the row alone: A holds at 2 s, B at 4 s; A goes on at 8 s, B at 10 s."""
    from models.vocabulary import journal
    from workers import bookkeeping
    from workers.bookkeeping import Grantee

    it = rig(sqlite)
    it.recording()
    who = []
    with sqlite.unit() as session:
        recordings.zero(session, SID, t0_ms=0, anchor={})
        for role in (Role.PRIMARY, Role.STANDBY):
            epoch = tenures.place(session, SID, role=role, node="n1", weight=1, deadline_ms=60_000)
            claim = tenures.claim(session, SID, epoch, "n1", it.node._boot)
            assert claim is not None
            tenures.live(session, SID, epoch, claim.owner)
            who.append(Grantee(SID, epoch, claim.owner))

    def slice_(by: Grantee, start_s: int) -> journal.Slice:
        start, end = start_s * TICKS_PER_S, (start_s + 2) * TICKS_PER_S
        name = f"{start_s}-{by.epoch}.ts"
        return journal.Slice(track="mix", start_90k=start, end_90k=end, key=name, file=name, bytes=1, md5="0")

    def held_(at_s: int) -> journal.Held:
        return journal.Held(track="mix", at_90k=at_s * TICKS_PER_S)

    def paused(start_s: int, end_s: int) -> journal.Paused:
        return journal.Paused(track="mix", start_90k=start_s * TICKS_PER_S, end_90k=end_s * TICKS_PER_S)

    a, b = who
    said: list[tuple[Grantee, journal.AnyEntry]] = [
        (a, slice_(a, 0)), (b, slice_(b, 0)), (a, held_(2)), (b, slice_(b, 2)), (b, held_(4)),
        (a, paused(2, 8)), (b, paused(4, 10)), (a, slice_(a, 8)), (b, slice_(b, 10)), (a, slice_(a, 10)),
    ]  # fmt: skip
    for by, entry in said:
        with sqlite.unit() as session:
            bookkeeping.commit(session, by, [(1, entry)], slot_90k=SLOT_90K, ending=False)
    with sqlite.unit() as session:
        segments, found = timeline.rows(session, SID, "mix")
    assert [s.key for s in segments] == ["0-1.ts", "2-2.ts", "8-1.ts", "10-2.ts"]
    assert [(h.start_90k // TICKS_PER_S, h.end_90k // TICKS_PER_S, h.state) for h in found] == [(4, 8, "paused")]
    assert it.row().held_90k is None
