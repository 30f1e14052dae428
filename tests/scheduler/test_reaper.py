"""What the leader makes of the dead: on PostgreSQL, where rows are locked, time moved by hand."""

from __future__ import annotations

import pytest

from models.database import shift_time
from models.repositories import nodes, recordings, timeline
from models.vocabulary.states import HoleState, Role, Status, TenureState, Wanted
from scheduler import backoff
from scheduler.leader import Leadership
from scheduler.reaper import Reaper
from tests.scheduler.farm import Farm, Time, Worker

TTL_MS = 6_000


class Ward:
    """A farm whose leader is called by hand and whose database clock is moved by hand."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.time = Time()
        self.reaper = Reaper(farm.database, farm.broker, farm.settings, now_s=self.time.now)
        self.shifted_ms = 0

    def later(self, ms: int) -> None:
        self.shifted_ms += ms
        shift_time(self.farm.database, self.shifted_ms)
        self.time.s += ms / 1000

    def round(self) -> None:
        self.reaper.tick(may_reap=True)

    def kill(self, sid: str, worker: Worker) -> int:
        """The worker is gone; returns the epoch of the tenure that follows, once somebody can have it."""
        self.later(TTL_MS + 1)
        self.round()
        if self.farm.tenures(sid)[-1].state is TenureState.ENDED:
            self.later(backoff.LONGEST_MS)
            self.round()
        return self.farm.tenures(sid)[-1].epoch


@pytest.fixture
def ward(postgres_farm: Farm) -> Ward:
    return Ward(postgres_farm)


def states(farm: Farm, sid: str) -> list[tuple[int, str, str, str]]:
    return [(t.epoch, t.node, t.role.value, t.state.value) for t in farm.tenures(sid)]


def test_a_dispatch_that_nobody_claims_goes_elsewhere_with_the_next_epoch(ward: Ward) -> None:
    farm = ward.farm
    farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    farm.worker("node-b", ttl_ms=600_000)
    ward.round()
    assert len(farm.tenures(sid)) == 1, "its deadline has not passed"
    ward.later(5_001)
    ward.round()
    assert states(farm, sid) == [(1, "node-a", "primary", "ended"), (2, "node-b", "primary", "dispatched")]
    assert farm.messages("node-b")[-1][1] == [sid, 2]
    assert farm.recording(sid).deaths == 0
    with farm.database.unit() as session:
        assert [(node.name, node.missed) for node in nodes.live(session)] == [("node-a", 1), ("node-b", 0)]


def test_a_node_that_claims_again_is_forgiven_what_it_missed(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    ward.later(5_001)
    ward.round()
    worker.claim(sid, 2)
    ward.later(2_000)
    ward.round()
    with farm.database.unit() as session:
        assert [node.missed for node in nodes.live(session)] == [0]


def test_a_recording_whose_worker_died_goes_on_elsewhere_from_its_head(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    farm.worker("node-b", ttl_ms=600_000)
    worker.claim(sid)
    worker.ready(sid)
    worker.slice(sid)
    ward.later(TTL_MS + 1)
    ward.round()
    assert states(farm, sid) == [(1, "node-a", "primary", "ended"), (2, "node-b", "primary", "dispatched")]
    assert farm.tenures(sid)[1].from_90k == 6 * 90_000
    recording = farm.recording(sid)
    assert (recording.writer_epoch, recording.status, recording.deaths) == (2, Status.IN_PROGRESS, 0)


def test_nothing_is_reaped_while_it_is_renewed_or_while_the_leader_is_new(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    for _ in range(3):
        ward.later(TTL_MS - 1_000)
        worker.renew(sid)
        ward.round()
    assert states(farm, sid) == [(1, "node-a", "primary", "warming")]
    ward.later(TTL_MS + 1)
    ward.reaper.tick(may_reap=False)
    assert states(farm, sid) == [(1, "node-a", "primary", "warming")]


def test_a_clock_that_is_set_forward_after_the_leader_took_its_lease_fails_nothing_over(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    leads = Leadership(farm.database, "me", ttl_ms=3_000, quiet_ms=TTL_MS, now_s=ward.time.now)
    assert leads.hold()
    ward.later(3_600_000)
    ward.reaper.tick(may_reap=True, leads=leads.holds)
    assert states(farm, sid) == [(1, "node-a", "primary", "warming")]
    assert leads.hold()
    ward.reaper.tick(may_reap=True, leads=leads.holds)
    assert states(farm, sid)[0][3] == "ended"


def test_a_database_clock_that_goes_back_does_not_make_the_dead_immortal(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=36_000_000)
    sid = farm.begin()
    worker.claim(sid)
    shift_time(farm.database, -3_600_000)
    for _ in range(20):
        ward.time.s += 1
        ward.round()
    assert states(farm, sid)[0][3] == "ended"
    assert len(farm.tenures(sid)) == 2


def test_a_stop_while_nobody_holds_it_is_finalised_by_a_tenure_of_its_own(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    worker.slice(sid)
    with farm.database.unit() as session:
        recordings.want(session, sid, Wanted.STOP, "stop called")
    ward.later(TTL_MS + 1)
    ward.round()
    last = farm.tenures(sid)[-1]
    assert (last.role, last.state, last.weight) == (Role.FINALISER, TenureState.DISPATCHED, 1)
    assert farm.recording(sid).writer_epoch == 2


def test_a_stop_before_any_worker_had_it_ends_it_without_one(ward: Ward) -> None:
    farm = ward.farm
    farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    with farm.database.unit() as session:
        recordings.want(session, sid, Wanted.STOP, "stop called")
    ward.later(5_001)
    ward.round()
    recording = farm.recording(sid)
    assert (recording.status, recording.reason, recording.secrets) == (Status.EXITED, "stop called", None)


def test_a_recording_that_kills_its_workers_is_poisoned(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=36_000_000)
    sid = farm.begin()
    epoch = 1
    for n in range(backoff.POISONED_AFTER):
        assert farm.recording(sid).deaths == n
        worker.claim(sid, epoch)
        epoch = ward.kill(sid, worker)
    recording = farm.recording(sid)
    assert recording.status == Status.FAILED
    assert recording.fault is not None
    assert recording.fault["code"] == 9300
    assert len(farm.tenures(sid)) == backoff.POISONED_AFTER


def test_a_poisoned_recording_that_has_slices_is_finalised_and_at_last_given_up(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=36_000_000)
    sid = farm.begin()
    worker.claim(sid)
    worker.slice(sid)
    epoch = ward.kill(sid, worker)
    assert farm.recording(sid).deaths == 0, "it made a slice"
    for _ in range(backoff.POISONED_AFTER):
        worker.claim(sid, epoch)
        epoch = ward.kill(sid, worker)
    assert farm.tenures(sid)[-1].role is Role.FINALISER
    assert farm.recording(sid).wanted is Wanted.STOP
    while farm.recording(sid).status != Status.FAILED:
        worker.claim(sid, epoch)
        epoch = ward.kill(sid, worker)
    assert farm.recording(sid).deaths == backoff.GIVEN_UP_AFTER


def test_without_room_a_recording_waits_and_then_goes(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    worker.beat(capacity=1, ttl_ms=600_000)
    ward.later(TTL_MS + 1)
    ward.round()
    assert len(farm.tenures(sid)) == 1
    worker.beat(capacity=200, ttl_ms=600_000)
    ward.round()
    assert len(farm.tenures(sid)) == 1, "it asks again in a second, not at once"
    ward.later(backoff.NO_ROOM_MS + 1)
    ward.round()
    assert len(farm.tenures(sid)) == 2


def test_what_waits_for_room_is_placed_when_a_worker_comes(ward: Ward) -> None:
    from models.repositories import apps
    from tests.scheduler.farm import APPID

    farm = ward.farm
    with farm.database.unit() as session:
        apps.get(session, APPID).behaviour = apps.Behaviour(when_full="wait").model_dump()
    sid = farm.begin()
    ward.round()
    farm.worker("node-a", ttl_ms=600_000)
    ward.later(backoff.NO_ROOM_MS + 1)
    ward.round()
    assert states(farm, sid) == [(1, "node-a", "primary", "dispatched")]


def test_what_waits_for_room_is_given_up_after_a_minute_and_a_half(ward: Ward) -> None:
    from models.repositories import apps
    from tests.scheduler.farm import APPID

    farm = ward.farm
    with farm.database.unit() as session:
        apps.get(session, APPID).behaviour = apps.Behaviour(when_full="wait").model_dump()
    sid = farm.begin()
    farm.worker("node-a", capacity=1, ttl_ms=600_000)
    ward.later(89_000)
    ward.round()
    assert farm.recording(sid).status < Status.READY
    ward.later(2_000)
    ward.round()
    given_up = farm.recording(sid)
    assert given_up.status == Status.FAILED
    assert "no node had room within 90 s" in given_up.reason
    assert farm.tenures(sid) == []


def test_what_was_recorded_in_part_waits_for_room_as_long_as_it_takes(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    worker.slice(sid)
    worker.beat(capacity=1, ttl_ms=3_600_000)
    ward.later(TTL_MS + 1)
    ward.round()
    ward.later(600_000)
    ward.round()
    assert farm.recording(sid).status < Status.STOPPING


def test_an_owed_hole_is_given_up_when_nobody_can_fill_it(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    other = farm.worker("node-b", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    worker.slice(sid)
    ward.later(TTL_MS + 1)
    ward.round()
    other.claim(sid, 2)
    other.slice(sid, 12, 18)
    for seconds in (1, 40):
        ward.later(seconds * 1_000)
        other.renew(sid, 600_000)
        ward.round()
    with farm.database.unit() as session:
        _, holes = timeline.rows(session, sid, "mix")
    assert [(hole.start_90k, hole.end_90k, hole.state.value) for hole in holes] == [(540_000, 1_080_000, "lost")]


def test_an_old_record_is_forgotten(ward: Ward) -> None:
    farm = ward.farm
    worker = farm.worker("node-a", ttl_ms=600_000)
    sid = farm.begin()
    worker.claim(sid)
    worker.finish(sid)
    ward.later(31 * 86_400_000)
    ward.round()
    with farm.database.unit() as session:
        assert recordings.get(session, sid) is None


def test_one_recording_that_cannot_be_placed_does_not_keep_the_others_waiting(ward: Ward) -> None:
    farm = ward.farm
    farm.worker("node-a", ttl_ms=600_000)
    broken, sound = farm.begin("broken"), farm.begin("sound")
    with farm.database.unit() as session:
        found = recordings.get(session, broken)
        assert found is not None
        found.spec = {}
    ward.later(5_001)
    ward.round()
    assert len(farm.tenures(sound)) == 2


def test_a_live_playlist_goes_on_behind_what_died_with_its_host(ward: Ward) -> None:
    """Reserved, never uploaded, and the spool is gone: for the grace it may come back, then it is a hole."""
    farm = ward.farm
    one, two = farm.worker("node-a", ttl_ms=600_000), farm.worker("node-b", ttl_ms=600_000)
    sid = farm.begin()
    first = farm.tenures(sid)[-1].node
    dead, heir = (one, two) if first == "node-a" else (two, one)
    claim = dead.claim(sid)
    dead.ready(sid)
    dead.slice(sid)
    with farm.database.unit() as session:
        timeline.reserve(session, sid, "mix", 1, claim.owner, 540_000, 1_080_000, "never uploaded", 1, "0" * 32)
    epoch = ward.kill(sid, dead)
    heir.claim(sid, epoch)
    heir.ready(sid)
    heir.slice(sid, 12, 18)
    ward.round()
    assert listed(farm, sid) == [f"{sid}_0.ts"]
    heir.renew(sid, ttl_ms=600_000)
    ward.later(farm.settings.hole_grace_ms)
    ward.round()
    assert listed(farm, sid) == [f"{sid}_0.ts", f"{sid}_12.ts"]
    with farm.database.unit() as session:
        (hole,) = timeline.rows(session, sid, "mix")[1]
    assert (hole.start_90k, hole.end_90k, hole.state) == (540_000, 1_080_000, HoleState.LOST)
    assert hole.cause == "the worker was lost before its upload"


def listed(farm: Farm, sid: str) -> list[str]:
    with farm.database.unit() as session:
        return [entry.key for entry in timeline.publishable(session, sid, "mix", final=False)]
