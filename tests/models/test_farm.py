"""Nodes, rooms, files, notices, the leader: on real databases."""

from __future__ import annotations

import threading

import pytest

from models.database import Database, shift_time
from models.repositories import files, leader, nodes, notices, rooms
from models.repositories.leader import Lead
from models.vocabulary.errors import NameTaken
from models.vocabulary.states import NoticeState
from tests.models import farm

URL = "https://example.org/notices"


# -- nodes ------------------------------------------------------------------------------------------------------


def test_a_node_lives_as_long_as_it_beats(database: Database) -> None:
    with database.unit() as session:
        node = nodes.beat(session, "n1", "b1", 400, "0.1.0", "http://127.0.0.1:1", "127.0.0.1:2", True, 6_000)
        assert (node.capacity, node.ingest_url, node.ingest_up, node.draining) == (
            400,
            "http://127.0.0.1:1",
            True,
            False,
        )
        farm.node(session, "n2")
        assert [n.name for n in nodes.live(session)] == ["n1", "n2"]
    shift_time(database, 5_000)
    with database.unit() as session:
        nodes.beat(session, "n1", "b1", 300, "0.1.0", "", "", False, 6_000)
    shift_time(database, 10_000)
    with database.unit() as session:
        assert [(n.name, n.capacity) for n in nodes.live(session)] == [("n1", 300), ("n2", 400)]
    shift_time(database, 62_000)
    with database.unit() as session:
        assert nodes.live(session) == []
        assert [n.name for n in nodes.known(session)] == ["n1", "n2"]


def test_a_name_belongs_to_one_run_until_its_time_is_out_or_it_leaves(database: Database) -> None:
    with database.unit() as session:
        farm.node(session, boot="b1", ttl_ms=6_000)
    with pytest.raises(NameTaken, match="n1"), database.unit() as session:
        farm.node(session, boot="b2")
    shift_time(database, 7_000)
    with database.unit() as session:
        assert farm.node(session, boot="b2").boot == "b2"
    with pytest.raises(NameTaken), database.unit() as session:
        farm.node(session, boot="b1")
    with database.unit() as session:
        nodes.leave(session, "n1", "b1")  # not its to give up
        assert len(nodes.live(session)) == 1
        nodes.leave(session, "n1", "b2")
        assert nodes.live(session) == []
        assert farm.node(session, boot="b3").boot == "b3"


def test_of_two_runs_at_once_one_has_the_name(database: Database) -> None:
    outcomes: list[str] = []
    gate = threading.Barrier(3)

    def start(boot: str) -> None:
        gate.wait()
        try:
            with database.unit() as session:
                farm.node(session, boot=boot)
            outcomes.append("up")
        except NameTaken:
            outcomes.append("taken")

    threads = [threading.Thread(target=start, args=(f"b{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["taken", "taken", "up"]


def test_a_new_run_starts_undrained_and_a_cordon_stays(database: Database) -> None:
    with database.unit() as session:
        farm.node(session)
        assert nodes.set_draining(session, "n1", True)
        assert nodes.cordon(session, "n1", True, "disk is low")
        nodes.missed(session, "n1")
        nodes.missed(session, "n1")
        node = farm.node(session)
        assert (node.draining, node.cordoned, node.cordon_cause, node.missed) == (True, True, "disk is low", 2)
        nodes.leave(session, "n1", "b1")
    shift_time(database, 1_000)
    with database.unit() as session:
        node = farm.node(session, boot="b2")
        assert (node.draining, node.cordoned, node.missed) == (False, True, 0)
        nodes.missed(session, "n1")
        nodes.missed(session, "n1", reset=True)
        assert nodes.cordon(session, "n1", False)
        found = nodes.get(session, "n1")
        assert found is not None
        assert (found.cordoned, found.cordon_cause, found.missed) == (False, "", 0)
        assert not nodes.cordon(session, "nowhere", True)
        assert not nodes.set_draining(session, "nowhere", True)
        assert nodes.lock(session, "nowhere") is None


# -- rooms ------------------------------------------------------------------------------------------------------


def test_a_room_stays_where_it_was_placed_first_unless_that_node_is_gone(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        assert rooms.find(session, farm.APPID, "room") is None
        assert rooms.place(session, farm.APPID, "room", "n1").node == "n1"
        assert rooms.place(session, farm.APPID, "room", "n2").node == "n1"
        assert rooms.place(session, farm.APPID, "room", "n2", instead_of="n1").node == "n2"
        assert rooms.place(session, farm.APPID, "room", "n3", instead_of="n1").node == "n2"
        found = rooms.find(session, farm.APPID, "room")
        assert found is not None
        assert found.node == "n2"


def test_a_room_that_nobody_uses_is_forgotten(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        rooms.place(session, farm.APPID, "idle", "n1")
        rooms.place(session, farm.APPID, "used", "n1")
    shift_time(database, 60_000)
    with database.unit() as session:
        rooms.touch(session, farm.APPID, "used")
        assert rooms.delete_old(session, idle_ms=30_000) == 1
        assert rooms.find(session, farm.APPID, "used") is not None
        assert rooms.find(session, farm.APPID, "idle") is None


# -- files ------------------------------------------------------------------------------------------------------


def test_a_file_goes_forward_in_its_revisions_and_ends_with_the_final_one(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)

        def wrote(rev: int, *, final: bool = False) -> bool:
            return files.wrote(session, "s1", "p.m3u8", "playlist", rev=rev, bytes_=rev, md5=f"{rev}", final=final)

        assert wrote(1)
        assert wrote(3)
        assert not wrote(2)
        assert wrote(4, final=True)
        assert not wrote(5)
        files.wrote(session, "s1", "a.mp4", "mp4", bytes_=9, md5="m", final=True, duration_90k=90_000, store="backup")
        kept = files.of(session, "s1")
        assert [(f.key, f.kind, f.rev, f.final) for f in kept] == [
            ("a.mp4", "mp4", 0, True),
            ("p.m3u8", "playlist", 4, True),
        ]
        assert (kept[0].duration_90k, kept[0].store) == (90_000, "backup")


# -- notices ----------------------------------------------------------------------------------------------------


def _told(database: Database, count: int) -> None:
    with database.unit() as session:
        farm.app(session, notice_url=URL)
        farm.recording(session)
        for n in range(count):
            assert notices.tell(session, "s1", 40, {"n": n}) == n


def test_a_notice_is_told_only_where_there_is_a_receiver(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)
        assert notices.tell(session, "s1", 40, {}) == notices.UNTOLD
        assert notices.tell(session, "nobody", 40, {}) == notices.UNTOLD
        assert notices.of(session, "s1") == []


def test_a_notice_is_told_in_the_transaction_of_its_change(database: Database) -> None:
    _told(database, 1)
    with pytest.raises(RuntimeError), database.unit() as session:
        notices.tell(session, "s1", 41, {})
        raise RuntimeError
    with database.unit() as session:
        assert notices.tell(session, "s1", 42, {}) == 1
        assert [(n.sequence, n.event) for n in notices.of(session, "s1")] == [(0, 40), (1, 42)]


def test_sequences_have_no_gap_when_many_tell_at_once(database: Database) -> None:
    _told(database, 0)

    def tell() -> None:
        for _ in range(5):
            with database.unit() as session:
                notices.tell(session, "s1", 40, {})

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.unit() as session:
        assert [n.sequence for n in notices.of(session, "s1")] == list(range(20))


def test_notices_are_due_one_at_a_time_in_order(database: Database) -> None:
    _told(database, 2)
    with database.unit() as session:
        (first,) = notices.due(session, 10)
        assert first.sequence == 0
        assert notices.failed(session, "s1", 0, "503", retry_ms=60_000)
        assert notices.due(session, 10) == []  # the second waits behind it
    shift_time(database, 61_000)
    with database.unit() as session:
        (first,) = notices.due(session, 10)
        assert notices.done(session, "s1", 0, "200")
        assert not notices.done(session, "s1", 0, "200")
        (second,) = notices.due(session, 10)
        assert second.sequence == 1
        assert notices.failed(session, "s1", 1, "timeout after 10 s", retry_ms=None)
        assert notices.due(session, 10) == []
        assert notices.pending(session) == 0
        assert [a.outcome for a in notices.attempts(session, "s1", 0)] == ["503", "200"]
    assert first.details == {"n": 0}
    with database.unit() as session:
        states = [(n.state, n.attempts) for n in notices.of(session, "s1")]
        assert states == [(NoticeState.DELIVERED, 2), (NoticeState.GIVEN_UP, 1)]
        assert notices.replay(session, "s1", 1)
        assert not notices.replay(session, "s1", 1)
        assert [n.sequence for n in notices.due(session, 10)] == [1]


def test_two_deliverers_do_not_take_the_same_notice(postgresql: Database) -> None:
    _told(postgresql, 1)
    with postgresql.unit() as one, postgresql.unit() as two:
        assert len(notices.due(one, 10)) == 1
        assert notices.due(two, 10) == []


# -- the leader -------------------------------------------------------------------------------------------------


def test_one_leads_until_it_does_not_renew(database: Database) -> None:
    def lead(owner: str) -> Lead | None:
        with database.unit() as session:
            return leader.lead(session, "scheduler", owner, 3_000)

    assert lead("a") == Lead(term=1, held_ms=0)
    assert lead("b") is None
    shift_time(database, 2_000)
    held = lead("a")
    assert held is not None
    assert held.term == 1
    assert 1_500 <= held.held_ms < 3_000
    shift_time(database, 4_000)
    assert lead("b") is None
    shift_time(database, 9_000)
    assert lead("b") == Lead(term=2, held_ms=0)
    assert lead("a") is None
    shift_time(database, 20_000)
    assert lead("b") == Lead(term=3, held_ms=0)  # the same one, but there was a break
    with database.unit() as session:
        leader.release(session, "scheduler", "a")
    assert lead("a") is None
    with database.unit() as session:
        leader.release(session, "scheduler", "b")
    shift_time(database, 20_100)
    assert lead("a") == Lead(term=4, held_ms=0)


def test_a_clock_that_goes_back_neither_ends_nor_prolongs_who_leads(database: Database) -> None:
    def lead(owner: str) -> Lead | None:
        with database.unit() as session:
            return leader.lead(session, "scheduler", owner, 3_000)

    assert lead("a") == Lead(term=1, held_ms=0)
    shift_time(database, -3_600_000)
    assert lead("a") == Lead(term=1, held_ms=0), "it counts from anew how long it leads"
    shift_time(database, -3_598_000)
    held = lead("a")
    assert held is not None and held.held_ms >= 1_500
    shift_time(database, -7_200_000)
    assert lead("b") == Lead(term=2, held_ms=0), "a lease for an hour is nobody's"


def test_a_clock_that_goes_back_keeps_no_name_for_a_dead_run(database: Database) -> None:
    with database.unit() as session:
        farm.node(session, boot="b1")
    shift_time(database, -3_600_000)
    with database.unit() as session:
        assert farm.node(session, boot="b2").boot == "b2"


def test_of_many_candidates_one_leads(database: Database) -> None:
    led: list[str] = []
    gate = threading.Barrier(4)

    def campaign(owner: str) -> None:
        gate.wait()
        with database.unit() as session:
            if leader.lead(session, "scheduler", owner, 30_000) is not None:
                led.append(owner)

    threads = [threading.Thread(target=campaign, args=(f"o{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(led) == 1
