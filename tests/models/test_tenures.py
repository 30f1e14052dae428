"""Tenures on real databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import event

from models.database import Database, now_ms, shift_time
from models.repositories import nodes, reaping, recordings, tenures, timeline
from models.vocabulary.errors import InvalidOperation, WorkerNotFound
from models.vocabulary.states import Role, Status, TenureState, Wanted
from tests.models import farm

TTL_MS = farm.TTL_MS


@pytest.fixture
def started(database: Database) -> Database:
    """One recording, one node."""
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)
        farm.node(session)
    return database


def _place(database: Database, role: Role = Role.PRIMARY, node: str = "n1") -> int:
    with database.unit() as session:
        return tenures.place(session, "s1", role=role, node=node, weight=100, deadline_ms=5_000)


def test_epochs_are_never_given_twice_and_only_a_primary_or_a_finaliser_becomes_the_writer(started: Database) -> None:
    assert [_place(started, role) for role in (Role.PRIMARY, Role.STANDBY, Role.SUCCESSOR, Role.FINALISER)] == [
        1,
        2,
        3,
        4,
    ]
    with started.unit() as session:
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert (recording.max_epoch, recording.writer_epoch) == (4, 4)
    assert _place(started, Role.STANDBY) == 5
    with started.unit() as session:
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert recording.writer_epoch == 4


def test_nothing_is_placed_for_an_unknown_or_an_ended_recording(started: Database) -> None:
    with pytest.raises(WorkerNotFound), started.unit() as session:
        tenures.place(session, "nobody", role=Role.PRIMARY, node="n1", weight=100, deadline_ms=5_000)
    with started.unit() as session:
        recordings.advance(session, "s1", expect=None, to=Status.FAILED, cause="broken")
    with pytest.raises(InvalidOperation):
        _place(started)


def test_a_claim_brings_all_that_a_worker_needs(started: Database) -> None:
    with started.unit() as session:
        recordings.zero(session, "s1", t0_ms=1_000, anchor={"clock_id": "c", "zero_s": 1.5})
        recordings.seen_user(session, "s1", 77)
    epoch = _place(started)
    with started.unit() as session:
        claim = tenures.claim(session, "s1", epoch, "n1", "b1", ttl_ms=TTL_MS)
        assert claim is not None
        assert claim.spec == farm.spec()
        assert claim.secrets == farm.SECRETS
        assert (claim.t0_ms, claim.anchor) == (1_000, {"clock_id": "c", "zero_s": 1.5})
        assert (claim.last_user_90k, claim.resume_at_90k, claim.spec_gen, claim.wanted) == (77, 0, 1, Wanted.RUN)
        assert len(claim.owner) == 32
        assert "in-the-clear" not in repr(claim)
        timeline.reserve(session, "s1", "mix", epoch, claim.owner, 0, 500, "k", 1, "m")
        again = farm.tenure(session)
        assert again.resume_at_90k == 500


def test_a_duplicate_a_stale_and_a_foreign_message_claim_nothing(started: Database) -> None:
    epoch = _place(started)
    with started.unit() as session:
        farm.node(session, "n2")
        assert tenures.claim(session, "s1", epoch, "n2", "b1") is None
        assert tenures.claim(session, "s1", epoch, "n1", "an older run") is None
        assert tenures.claim(session, "s1", epoch + 1, "n1", "b1") is None
        assert tenures.claim(session, "s1", epoch, "n1", "b1") is not None
        assert tenures.claim(session, "s1", epoch, "n1", "b1") is None


def test_of_many_claims_at_once_one_wins(postgresql: Database) -> None:
    with postgresql.unit() as session:
        farm.app(session)
        farm.recording(session)
        farm.node(session)
    epoch = _place(postgresql)
    won: list[tenures.Claim] = []
    gate = threading.Barrier(5)

    def contend() -> None:
        gate.wait()
        with postgresql.unit() as session:
            if (claim := tenures.claim(session, "s1", epoch, "n1", "b1")) is not None:
                won.append(claim)

    _all([threading.Thread(target=contend) for _ in range(5)])
    assert len(won) == 1


def _all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_a_dispatch_is_reaped_after_its_deadline_and_cannot_be_claimed_then(started: Database) -> None:
    epoch = _place(started)
    with started.unit() as session:
        assert reaping.reap(session) == []
    shift_time(started, 5_500)
    with started.unit() as session:
        (grant,) = reaping.reap(session)
        assert (grant.epoch, grant.state, grant.node) == (epoch, TenureState.DISPATCHED, "n1")
        (tenure,) = tenures.of(session, "s1")
        assert (tenure.state, tenure.cause) == (TenureState.ENDED, "nobody claimed it in time")
        assert tenures.claim(session, "s1", epoch, "n1", "b1") is None
        assert reaping.reap(session) == []


def test_a_deadline_that_nobody_reaped_is_no_hindrance_to_a_claim(started: Database) -> None:
    epoch = _place(started)
    shift_time(started, 5_500)
    with started.unit() as session:
        assert tenures.claim(session, "s1", epoch, "n1", "b1") is not None


def test_a_renewed_lease_lives_and_an_unrenewed_one_is_reaped(started: Database) -> None:
    with started.unit() as session:
        claim = farm.tenure(session)
    shift_time(started, 5_000)
    with started.unit() as session:
        (renewed,) = tenures.renew(session, "n1", [("s1", 1, claim.owner, 1)], TTL_MS)
        assert (renewed.for_ms, renewed.writer, renewed.spec, renewed.secrets) == (TTL_MS, True, None, None)
        assert reaping.renewals(session) == {("s1", 1): 1}
    shift_time(started, 10_000)
    with started.unit() as session:
        assert reaping.reap(session) == []
    shift_time(started, 11_500)
    with started.unit() as session:
        # Out of time, but nobody has taken it: it may go on.
        assert len(tenures.renew(session, "n1", [("s1", 1, claim.owner, 1)], TTL_MS)) == 1
        assert reaping.reap(session) == []
    shift_time(started, 18_000)
    with started.unit() as session:
        (grant,) = reaping.reap(session)
        assert grant.state == TenureState.WARMING
        assert tenures.renew(session, "n1", [("s1", 1, claim.owner, 1)], TTL_MS) == []


def test_a_renewal_brings_the_wish_and_the_new_spec_until_it_is_observed(started: Database) -> None:
    with started.unit() as session:
        claim = farm.tenure(session)
        recordings.respec(session, "s1", farm.spec(max_idle_s=99))
        recordings.want(session, "s1", Wanted.STOP, "stop called")
        (renewed,) = tenures.renew(session, "n1", [tenures.Alive("s1", 1, claim.owner, 1)], TTL_MS)
        assert (renewed.wanted, renewed.wanted_gen, renewed.wanted_cause) == (Wanted.STOP, 3, "stop called")
        assert renewed.spec is not None
        assert renewed.spec.max_idle_s == 99
        assert renewed.secrets == farm.SECRETS
        (renewed,) = tenures.renew(session, "n1", [("s1", 1, claim.owner, 3)], TTL_MS)
        assert (renewed.spec, renewed.secrets) == (None, None)


def test_a_renewal_answers_each_of_a_nodes_tenures_and_only_those_it_holds(started: Database) -> None:
    with started.unit() as session:
        first = farm.tenure(session)
        farm.recording(session, "s2", cname="other")
        second = farm.tenure(session, "s2")
        said = [
            ("s1", 1, first.owner, 1),
            ("s2", 1, second.owner, 1),
            ("s2", 1, "another owner", 1),
            ("s2", 2, second.owner, 1),
            ("s3", 1, first.owner, 1),
        ]
        assert {r.sid for r in tenures.renew(session, "n1", said, TTL_MS)} == {"s1", "s2"}
        assert tenures.renew(session, "n2", said, TTL_MS) == []
        assert tenures.renew(session, "n1", [], TTL_MS) == []


def test_a_node_renews_with_one_update_however_many_it_has(started: Database) -> None:
    with started.unit() as session:
        said = []
        for n in range(20):
            farm.recording(session, f"r{n}", cname=f"room {n}")
            said.append((f"r{n}", 1, farm.tenure(session, f"r{n}").owner, 1))
    statements: list[str] = []
    event.listen(started.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with started.unit() as session:
        assert len(tenures.renew(session, "n1", said, TTL_MS)) == 20
    # SQLite cannot return the recording's columns from the UPDATE and reads them in the same unit.
    work = [s for s in statements if s.startswith(("UPDATE", "WITH", "SELECT"))]
    assert len(work) == (1 if started.dialect == "postgresql" else 2)


def test_a_database_clock_that_went_back_does_not_make_the_dead_immortal(started: Database) -> None:
    with started.unit() as session:
        farm.tenure(session)
    shift_time(started, -3_600_000)
    with started.unit() as session:
        assert reaping.reap(session) == []
        (grant,) = reaping.reap(session, stuck=[("s1", 1)])
        assert grant.epoch == 1
        assert tenures.of(session, "s1")[0].state == TenureState.ENDED


def test_what_a_clock_that_went_back_would_keep_waiting_for_an_hour_is_seen(started: Database) -> None:
    _place(started)
    with started.unit() as session:
        farm.recording(session, "s2", cname="other").next_dispatch_ms = now_ms(session) + 8_000
        assert reaping.unheld(session) == []
        assert reaping.renewals(session, beyond_ms=TTL_MS) == {}
    shift_time(started, -3_600_000)
    with started.unit() as session:
        assert reaping.unheld(session) == ["s2"], "no back-off is that long"
        assert reaping.renewals(session, beyond_ms=TTL_MS) == {("s1", 1): 0}, "a dispatch that nobody may claim"


def test_live_and_proven_are_said_by_the_owner_and_may_be_repeated(started: Database) -> None:
    with started.unit() as session:
        claim = farm.tenure(session)
        assert not tenures.live(session, "s1", 1, "another owner")
        assert tenures.live(session, "s1", 1, claim.owner)
        assert tenures.live(session, "s1", 1, claim.owner)
        (tenure,) = tenures.of(session, "s1")
        assert (tenure.state, tenure.ready) == (TenureState.LIVE, False)
        tenures.proven(session, "s1", 1, "another owner")
        assert not tenures.of(session, "s1")[0].ready
        tenures.proven(session, "s1", 1, claim.owner)
        assert tenures.of(session, "s1")[0].ready, "it has closed a whole slot"
        assert tenures.end(session, "s1", 1, claim.owner, "finished")
        assert not tenures.live(session, "s1", 1, claim.owner)
        assert not tenures.end(session, "s1", 1, claim.owner, "finished")


def test_the_scheduler_takes_back_what_nobody_has_claimed(started: Database) -> None:
    epoch = _place(started)
    with started.unit() as session:
        assert tenures.revoke(session, "s1", epoch, "not wanted any more")
        assert not tenures.revoke(session, "s1", epoch, "not wanted any more")
        assert tenures.claim(session, "s1", epoch, "n1", "b1") is None


def test_a_recording_without_a_tenure_is_found_once_its_back_off_is_over(started: Database) -> None:
    with started.unit() as session:
        assert reaping.unheld(session) == ["s1"]
        recording = recordings.lock(session, "s1")
        assert recording is not None
        recording.next_dispatch_ms = recording.created_ms + 60_000
    with started.unit() as session:
        assert reaping.unheld(session) == []
    shift_time(started, 61_000)
    with started.unit() as session:
        assert reaping.unheld(session) == ["s1"]
        farm.node(session)
        claim = farm.tenure(session)
        assert reaping.unheld(session) == []
        tenures.end(session, "s1", claim.epoch, claim.owner, "fault")
        assert reaping.unheld(session) == ["s1"]


def test_a_node_that_is_full_leaving_cordoned_or_gone_has_no_room(started: Database) -> None:
    with started.unit() as session:
        farm.node(session, "n1", capacity=150)
        assert tenures.has_room(session, "n1", 150)
        farm.tenure(session)
        assert tenures.node_load(session, "n1") == 100
        assert tenures.has_room(session, "n1", 50)
        assert not tenures.has_room(session, "n1", 51)
        assert not tenures.has_room(session, "nowhere", 1)
        nodes.set_draining(session, "n1", True)
        assert not tenures.has_room(session, "n1", 1)
        nodes.set_draining(session, "n1", False)
        nodes.cordon(session, "n1", True, "disk")
        assert not tenures.has_room(session, "n1", 1)
        nodes.cordon(session, "n1", False)
    shift_time(started, 61_000)
    with started.unit() as session:
        assert not tenures.has_room(session, "n1", 1)


def test_racing_placements_never_fill_a_node_beyond_its_capacity(database: Database) -> None:
    wanted, threads_count, names = 24, 4, ("n1", "n2", "n3")
    with database.unit() as session:
        farm.app(session)
        for name in names:
            farm.node(session, name, capacity=600)  # 18 of 24 find room
        for n in range(wanted):
            farm.recording(session, f"r{n}", cname=f"room {n}")
    placed: list[tuple[str, int] | None] = []
    gate = threading.Barrier(threads_count)

    def place_some(mine: range) -> None:
        gate.wait()
        for n in mine:
            candidates = [names[(n + k) % 3] for k in range(3)]
            with database.unit() as session:
                placed.append(
                    tenures.place_first(
                        session, f"r{n}", candidates=candidates, role=Role.PRIMARY, weight=100, deadline_ms=5_000
                    )
                )

    _all(
        [
            threading.Thread(target=place_some, args=(range(start, wanted, threads_count),))
            for start in range(threads_count)
        ]
    )
    with database.unit() as session:
        assert tenures.loads(session) == dict.fromkeys(names, 600)
    assert len(placed) == wanted
    assert sum(place is not None for place in placed) == 18
