"""The timeline's door, case by case, on real databases."""

from __future__ import annotations

import random
import threading

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.database import Database, shift_time
from models.repositories import recordings, tenures, timeline
from models.repositories.timeline import Covered, Fenced, Reserved
from models.tables import Hole
from models.vocabulary.errors import StateUnavailable
from models.vocabulary.states import HoleState, Role
from tests.models import farm, partition

GRACE_MS = 30_000
NOT_NOW = Fenced(for_good=False)
NEVER = Fenced(for_good=True)


@pytest.fixture
def started(database: Database) -> Database:
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)
        farm.node(session)
    return database


def reserve(session: Session, by: tenures.Claim, start: int, end: int, key: str = "", cause: str = "") -> object:
    key = key or f"{by.epoch}-{start}-{end}"
    return timeline.reserve(session, "s1", "mix", by.epoch, by.owner, start, end, key, 10, "md5", cause)


def gap(session: Session, by: tenures.Claim, start: int, end: int, state: HoleState = HoleState.LOST) -> bool:
    return timeline.gap(session, "s1", "mix", by.epoch, by.owner, start, end, "why", state)


def holes(session: Session) -> list[tuple[int, int, str, int]]:
    partition.check(session, "s1")
    return [(h.start_90k, h.end_90k, h.state.value, h.owed_epoch) for h in timeline.rows(session, "s1", "mix")[1]]


def segments(session: Session) -> list[tuple[int, int, int]]:
    partition.check(session, "s1")
    return [(s.start_90k, s.end_90k, s.epoch) for s in timeline.rows(session, "s1", "mix")[0]]


def test_slices_append_one_after_the_other(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        assert reserve(session, one, 0, 10) == Reserved()
        assert reserve(session, one, 10, 20) == Reserved()
        assert timeline.head(session, "s1", "mix") == 20
        assert segments(session) == [(0, 10, 1), (10, 20, 1)]
        assert holes(session) == []


def test_asked_again_the_door_answers_the_same_and_writes_nothing(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        assert reserve(session, one, 0, 10) == Reserved()
        assert reserve(session, one, 10, 20) == Reserved()
        assert reserve(session, one, 0, 10) == Reserved()
        assert segments(session) == [(0, 10, 1), (10, 20, 1)]
        # The same name for another range would be another object's: refused.
        assert reserve(session, one, 20, 30, key="1-0-10") == Covered()


def test_what_is_covered_is_covered_wholly_or_in_part(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        two = farm.tenure(session, role=Role.STANDBY)
        reserve(session, one, 0, 10)
        assert reserve(session, two, 0, 10) == NOT_NOW, "who reserved may die before the upload"
        timeline.stored(session, "s1", "mix", "1-0-10", store="primary")
        assert reserve(session, two, 0, 10) == Covered()
        assert reserve(session, two, 5, 15) == Covered()
        assert reserve(session, two, 2, 4) == Covered()
        assert reserve(session, two, 10, 20) == Reserved()
        assert reserve(session, one, 10, 20) == NOT_NOW
        assert segments(session) == [(0, 10, 1), (10, 20, 2)]


def test_a_standbys_copy_counts_when_who_reserved_dies_before_the_upload(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        two = farm.tenure(session, role=Role.STANDBY)
        assert reserve(session, one, 0, 10) == Reserved()
        assert reserve(session, two, 0, 10) == NOT_NOW
        tenures.revoke(session, "s1", 1, "its lease ran out")
        timeline.abandon(session, "s1", "mix", but_epoch=2, cause="lost")
        assert reserve(session, two, 0, 10) == Reserved()
        assert segments(session) == [(0, 10, 2)]


def test_a_jump_waits_for_a_live_tenure_and_not_for_a_dead_one(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        tenures.live(session, "s1", 1, one.owner)
        two = farm.tenure(session, role=Role.SUCCESSOR)
        assert reserve(session, two, 6, 10) == NOT_NOW
        assert reserve(session, one, 0, 10) == Reserved()
        assert reserve(session, two, 16, 20) == NOT_NOW
        tenures.revoke(session, "s1", 1, "its lease ran out")
        assert reserve(session, two, 16, 20) == Reserved()
        assert holes(session) == [(10, 16, "owed", 1)]


def test_what_nobody_had_before_the_first_frame_is_lost(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        two = farm.tenure(session, role=Role.STANDBY)
        reserve(session, one, 0, 10)
        assert gap(session, one, 10, 15)  # its recorder died; the standby might have it
        assert holes(session) == [(10, 15, "owed", 2)]
        timeline.begins(session, "s1", "mix", 2, two.owner, 12)
        assert holes(session) == [(10, 12, "lost", 2), (12, 15, "owed", 2)]
        assert reserve(session, two, 11, 15) == NEVER, "it has said that it has nothing from before"


def test_a_stranger_is_refused_for_good(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        args = (0, 10, "k", 1, "m")
        assert timeline.reserve(session, "s1", "mix", 1, "0" * 32, *args) == NEVER
        assert timeline.reserve(session, "s1", "mix", 2, one.owner, *args) == NEVER
        assert timeline.reserve(session, "nobody", "mix", 1, one.owner, *args) == NEVER
        assert not timeline.gap(session, "s1", "mix", 1, "0" * 32, 0, 10, "")
        assert segments(session) == []


def test_a_grant_is_kept_to_at_both_ends(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session, until_90k=30)
        new = farm.tenure(session, role=Role.SUCCESSOR, from_90k=30)
        assert reserve(session, old, 25, 31) == NEVER
        assert reserve(session, new, 29, 40) == NEVER
        # The successor is first: the old one's last slots are owed to it, and it still delivers them.
        assert reserve(session, new, 30, 40, cause="hand-over") == Reserved()
        assert holes(session) == [(0, 30, "owed", 1)]
        assert reserve(session, old, 0, 15) == Reserved()
        assert reserve(session, old, 15, 30) == Reserved()
        assert holes(session) == []
        assert segments(session) == [(0, 15, 1), (15, 30, 1), (30, 40, 2)]


def test_after_a_cut_the_old_tenure_still_appends_up_to_it(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session, until_90k=30)
        farm.tenure(session, role=Role.SUCCESSOR, from_90k=30)
        recording = recordings.lock(session, "s1")
        assert recording is not None
        recording.writer_epoch = 2
        session.flush()
        assert reserve(session, old, 0, 30) == Reserved()


def test_an_isolated_worker_does_not_append_while_another_has_taken_over(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session)
        reserve(session, old, 0, 10)
        tenures.revoke(session, "s1", 1, "its lease ran out")
        new = farm.tenure(session, from_90k=10)
        assert reserve(session, old, 10, 20) == NOT_NOW
        assert not gap(session, old, 10, 20)
        assert reserve(session, new, 25, 30, cause="worker lost") == Reserved()
        assert holes(session) == [(10, 25, "owed", 1)]
        # Now the head has passed its slices: they fill the hole, late.
        assert reserve(session, old, 10, 20) == Reserved()
        assert reserve(session, old, 20, 26) == NOT_NOW
        timeline.stored(session, "s1", "mix", "2-25-30", store="primary")
        assert reserve(session, old, 20, 26) == Covered()
        assert reserve(session, old, 30, 40) == NOT_NOW
        assert holes(session) == [(20, 25, "owed", 1)]


def test_when_all_later_tenures_are_over_an_old_spool_is_appended(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session)
        reserve(session, old, 0, 10)
        tenures.revoke(session, "s1", 1, "its lease ran out")
        new = farm.tenure(session, from_90k=10)
        tenures.end(session, "s1", 2, new.owner, "died too")
        assert reserve(session, old, 10, 20) == Reserved()


def test_a_finaliser_does_not_keep_an_old_spool_out(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session)
        reserve(session, old, 0, 10)
        tenures.revoke(session, "s1", 1, "its lease ran out")
        farm.tenure(session, role=Role.FINALISER, from_90k=10)
        assert reserve(session, old, 10, 20) == Reserved()


def test_a_standby_that_became_the_writer_supersedes_the_old_primary(started: Database) -> None:
    with started.unit() as session:
        primary = farm.tenure(session)
        standby = farm.tenure(session, role=Role.STANDBY)
        assert reserve(session, primary, 0, 10) == Reserved()
        recording = recordings.lock(session, "s1")
        assert recording is not None
        recording.writer_epoch = 2
        session.flush()
        assert reserve(session, primary, 10, 20) == NOT_NOW
        assert reserve(session, standby, 10, 20) == Reserved()


def test_a_restarted_recorder_owes_its_jump_to_itself(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        reserve(session, one, 0, 10)
        reserve(session, one, 15, 20, cause="recorder died")
        assert holes(session) == [(10, 15, "owed", 1)]
        # Its part file gave a little; the rest it never had.
        assert reserve(session, one, 10, 13) == Reserved()
        assert gap(session, one, 13, 15)
        assert holes(session) == [(13, 15, "lost", 1)]
        (hole,) = timeline.rows(session, "s1", "mix")[1]
        assert hole.cause == "why"
        filled = session.scalars(select(Hole).where(Hole.state == HoleState.FILLED)).one()
        assert (filled.start_90k, filled.end_90k, filled.cause) == (10, 13, "recorder died")


def test_a_slice_in_the_middle_of_a_hole_splits_it(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        reserve(session, one, 40, 50)
        assert reserve(session, one, 10, 20) == Reserved()
        assert holes(session) == [(0, 10, "owed", 1), (20, 40, "owed", 1)]
        assert reserve(session, one, 30, 40) == Reserved()
        assert reserve(session, one, 20, 30) == Reserved()
        assert reserve(session, one, 0, 10) == Reserved()
        assert holes(session) == []


def test_a_late_slice_may_lie_across_two_holes_and_past_the_head(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        assert gap(session, one, 0, 10)
        assert gap(session, one, 10, 20, HoleState.OWED)
        assert holes(session) == [(0, 10, "lost", 1), (10, 20, "owed", 1)]
        assert reserve(session, one, 5, 25) == Reserved()
        assert holes(session) == [(0, 5, "lost", 1)]
        assert timeline.head(session, "s1", "mix") == 25


def test_a_pause_is_nobodys_to_fill(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        reserve(session, one, 0, 10)
        assert gap(session, one, 10, 20, HoleState.PAUSED)
        assert reserve(session, one, 10, 20) == Covered()
        assert not gap(session, one, 10, 20)
        assert holes(session) == [(10, 20, "paused", 1)]


def test_giving_up_what_another_could_still_fill_leaves_it_owed_to_him(started: Database) -> None:
    with started.unit() as session:
        farm.tenure(session)
        standby = farm.tenure(session, role=Role.STANDBY)
        assert gap(session, standby, 0, 10)
        assert holes(session) == [(0, 10, "owed", 1)]
        assert not gap(session, standby, 0, 10)
        assert holes(session) == [(0, 10, "owed", 1)]


def test_a_successor_does_not_give_up_what_the_dead_ones_spool_may_hold(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session)
        reserve(session, old, 0, 10)
        tenures.revoke(session, "s1", 1, "its lease ran out")
        new = farm.tenure(session, from_90k=10)
        assert gap(session, new, 10, 20)
        assert holes(session) == [(10, 20, "owed", 1)]


def test_owed_is_lost_when_the_last_filler_is_dead_and_the_grace_is_over(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session)
        reserve(session, old, 0, 10)
        new = farm.tenure(session, from_90k=10)
        reserve(session, new, 20, 30)
        assert timeline.give_up(session, grace_ms=0) == 0  # the old one has not ended
        tenures.end(session, "s1", 1, old.owner, "gone")
        assert timeline.give_up(session, grace_ms=GRACE_MS) == 0  # it has, but the grace is not over
    shift_time(started, GRACE_MS + 1_000)
    with started.unit() as session:
        assert timeline.give_up(session, grace_ms=GRACE_MS, sid="another") == 0
        assert timeline.give_up(session, grace_ms=GRACE_MS) == 1
        assert holes(session) == [(10, 20, "lost", 1)]
        # A spool that nobody hoped for.
        assert reserve(session, old, 10, 20) == Reserved()
        assert holes(session) == []


def test_segments_that_were_never_stored_become_holes_and_can_be_filled_again(started: Database) -> None:
    with started.unit() as session:
        old = farm.tenure(session)
        reserve(session, old, 0, 10, key="stored")
        timeline.stored(session, "s1", "mix", "stored", store="primary")
        reserve(session, old, 20, 30)
        assert reserve(session, old, 10, 20, key="late") == Reserved()  # into a hole: leaves a filled one below it
        assert timeline.abandon(session, "s1", "mix", but_epoch=2, cause="spool lost") == 0  # not ended
        tenures.end(session, "s1", 1, old.owner, "gone")
        assert timeline.abandon(session, "s1", "mix", but_epoch=1, cause="spool lost") == 0
        assert timeline.abandon(session, "s1", "mix", but_epoch=2, cause="spool lost") == 2
        assert segments(session) == [(0, 10, 1)]
        assert holes(session) == [(10, 20, "lost", 1), (20, 30, "lost", 1)]
        assert reserve(session, old, 10, 20, key="late") == Reserved()
        assert not timeline.drop(session, "s1", "mix", 2, "late", "not its own")
        assert timeline.drop(session, "s1", "mix", 1, "late", "file lost")
        assert not timeline.drop(session, "s1", "mix", 1, "late", "file lost")
        assert not timeline.drop(session, "s1", "mix", 1, "stored", "it is stored")
        assert reserve(session, old, 5, 15) == Covered()
        assert reserve(session, old, 12, 24) == Reserved()
        assert holes(session) == [(10, 12, "lost", 1), (24, 30, "lost", 1)]


def test_the_playlist_lists_a_prefix_of_one_store_up_to_the_first_owed_hole(started: Database) -> None:
    def listed(session: Session, *, final: bool) -> list[str]:
        return [e.key for e in timeline.publishable(session, "s1", "mix", final=final)]

    with started.unit() as session:
        one = farm.tenure(session)
        for start in (0, 10, 20, 40, 50, 60):  # [30, 40) is owed
            reserve(session, one, start, start + 10, key=f"k{start}")
        assert timeline.unsent(session, "s1") == 6
        assert listed(session, final=True) == []
        for start in (10, 20, 40):
            assert timeline.stored(session, "s1", "mix", f"k{start}", store="primary")
        assert listed(session, final=True) == []
        assert timeline.stored(session, "s1", "mix", "k0", store="primary")
        assert not timeline.stored(session, "s1", "mix", "k0", store="backup")
        assert not timeline.stored(session, "s1", "mix", "unheard of", store="primary")
        assert listed(session, final=False) == ["k0", "k10", "k20"]
        assert listed(session, final=True) == ["k0", "k10", "k20", "k40"]
        assert timeline.stored(session, "s1", "mix", "k50", store="backup")
        assert timeline.stored(session, "s1", "mix", "k60", store="primary")
        assert listed(session, final=True) == ["k0", "k10", "k20", "k40"]
        assert gap(session, one, 30, 40)
        assert listed(session, final=False) == ["k0", "k10", "k20", "k40"]
        assert timeline.unsent(session, "s1") == 0
        partition.check(session, "s1")


def test_tracks_are_partitions_of_their_own(started: Database) -> None:
    with started.unit() as session:
        one = farm.tenure(session)
        timeline.reserve(session, "s1", "7/audio", 1, one.owner, 0, 10, "a", 1, "m")
        timeline.reserve(session, "s1", "7/video", 1, one.owner, 5, 20, "v", 1, "m")
        assert timeline.tracks(session, "s1") == ["7/audio", "7/video"]
        assert timeline.head(session, "s1", "7/audio") == 10
        partition.check(session, "s1", "7/audio")
        partition.check(session, "s1", "7/video")


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5)])
def test_a_range_that_is_none_is_an_error(started: Database, start: int, end: int) -> None:
    with pytest.raises(ValueError, match="no range"), started.unit() as session:
        reserve(session, farm.tenure(session), start, end)


def test_racing_tenures_never_overlap_and_leave_nothing_out(postgresql: Database) -> None:
    """Real threads, READ COMMITTED: each answer is kept, and the partition with it."""
    with postgresql.unit() as session:
        farm.app(session)
        farm.recording(session)
        farm.node(session, capacity=10_000)
        claims = [farm.tenure(session)] + [farm.tenure(session, role=Role.STANDBY) for _ in range(4)]
    answers: list[tuple[tuple[int, int, int], object]] = []
    checks: list[BaseException] = []
    gate = threading.Barrier(len(claims))

    def work(by: tenures.Claim) -> None:
        chance = random.Random(by.epoch)
        gate.wait()
        for turn in range(40):
            start = max(0, turn * 10 + chance.randint(-25, 15))
            end = start + chance.randint(1, 12)
            with postgresql.unit() as session:
                if chance.random() < 0.15:
                    gap(session, by, start, end, chance.choice([HoleState.LOST, HoleState.OWED, HoleState.PAUSED]))
                else:
                    answers.append(((start, end, by.epoch), reserve(session, by, start, end)))

    def guarded(by: tenures.Claim) -> None:
        try:
            work(by)
        except BaseException as error:  # into the main thread
            checks.append(error)

    threads = [threading.Thread(target=guarded, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.02)
        with postgresql.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            partition.check(Session(connection), "s1")  # one snapshot, in the middle of it all
    assert not checks
    with postgresql.unit() as session:
        reserved = sorted({what for what, answer in answers if answer == Reserved()})
        assert segments(session) == reserved
        assert len(reserved) > 20
        assert holes(session)


def test_a_door_that_loses_every_race_gives_up_with_a_retryable_error(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite.unit() as session:
        farm.app(session)
        farm.recording(session)
        farm.node(session)
        one = farm.tenure(session)

        def stale(*_: object) -> int:
            return 7  # never the head

        monkeypatch.setattr(timeline.segments, "head_of", stale)
        with pytest.raises(StateUnavailable):
            reserve(session, one, 10, 20)


def test_what_a_dead_tenure_never_stored_is_lost_after_the_grace_while_the_recording_goes_on(started: Database) -> None:
    with started.unit() as session:
        dead = farm.tenure(session)
        reserve(session, dead, 0, 10)
        timeline.stored(session, "s1", "mix", "1-0-10", store="primary")
        reserve(session, dead, 10, 20)
        tenures.revoke(session, "s1", 1, "its lease ran out")
        heir = farm.tenure(session, from_90k=20)
        assert tenures.live(session, "s1", 2, heir.owner)
        reserve(session, heir, 20, 30)
        timeline.stored(session, "s1", "mix", "2-20-30", store="primary")
        assert timeline.forsaken(session, grace_ms=GRACE_MS) == []
        assert timeline.abandon_forsaken(session, "s1", "mix", grace_ms=GRACE_MS) == 0
    shift_time(started, GRACE_MS + 1_000)
    with started.unit() as session:
        assert [e.key for e in timeline.publishable(session, "s1", "mix", final=False)] == ["1-0-10"]
        assert timeline.forsaken(session, grace_ms=GRACE_MS) == [("s1", "mix")]
        assert timeline.abandon_forsaken(session, "s1", "mix", grace_ms=GRACE_MS) == 1
        assert timeline.forsaken(session, grace_ms=GRACE_MS) == []
        assert holes(session) == [(10, 20, "lost", 1)]
        assert [e.key for e in timeline.publishable(session, "s1", "mix", final=False)] == ["1-0-10", "2-20-30"]
        # The spool comes back after all: too late for who watches live.
        assert reserve(session, dead, 10, 20) == Reserved()
        assert holes(session) == []
        timeline.stored(session, "s1", "mix", "1-10-20", store="primary")
        assert [e.key for e in timeline.publishable(session, "s1", "mix", final=False)] == ["1-0-10", "2-20-30"]
        assert len(timeline.publishable(session, "s1", "mix", final=True)) == 3


def test_a_dead_tenures_segment_gives_way_at_once_to_who_has_a_copy(started: Database) -> None:
    with started.unit() as session:
        dead = farm.tenure(session)
        beside = farm.tenure(session, role=Role.STANDBY)
        tenures.live(session, "s1", 2, beside.owner)
        reserve(session, dead, 0, 10)
        reserve(session, dead, 10, 20)
        assert reserve(session, beside, 0, 10) == NOT_NOW
        tenures.revoke(session, "s1", 1, "its lease ran out")
        assert timeline.forsaken(session, grace_ms=GRACE_MS) == []
        assert reserve(session, beside, 0, 10) == Reserved()
        assert reserve(session, beside, 12, 22) == NOT_NOW, "half of it would go, and leave a hole"
        assert reserve(session, beside, 10, 25) == Reserved()
        assert segments(session) == [(0, 10, 2), (10, 25, 2)]
        assert holes(session) == []
        timeline.stored(session, "s1", "mix", "2-0-10", store="primary")
        assert [e.key for e in timeline.publishable(session, "s1", "mix", final=False)] == ["2-0-10"]
        assert reserve(session, dead, 0, 10) == Covered()
