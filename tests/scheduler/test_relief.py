"""A node that drains while nobody has published yet: the recording moves, and counts from one zero."""

from __future__ import annotations

import pytest

from models.repositories import nodes, recordings, timeline, zeros
from models.repositories.timeline import Fenced, Reserved
from models.settings import Settings
from models.vocabulary.states import TenureState, Wanted
from scheduler.relief import Relief
from tests.scheduler.farm import Farm, Worker

ZERO = {"t0_ms": 1_700_000_000_000, "anchor": {"clock_id": "c", "zero_s": 0.0}}
OTHER = {"t0_ms": 1_700_000_002_000, "anchor": {"clock_id": "d", "zero_s": 0.0}}


class Room:
    """A recording on a draining node, in whose room nobody is."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.old: Worker = farm.worker("node-a", ttl_ms=600_000)
        self.sid = farm.begin()
        self.old.claim(self.sid)
        self.old.ready(self.sid)
        self.relief = Relief(farm.database, farm.broker, Settings.model_validate({}))
        with farm.database.unit() as session:
            nodes.set_draining(session, "node-a", True)

    def states(self) -> list[tuple[str, str, TenureState]]:
        return [(t.node, t.role.value, t.state) for t in self.farm.tenures(self.sid)]

    def zero(self, worker: Worker, said: dict[str, object]) -> bool:
        claim = worker.claims[self.sid]
        with self.farm.database.unit() as session:
            return zeros.found(session, self.sid, claim.epoch, claim.owner, **said)  # type: ignore[arg-type]

    def reserve(self, worker: Worker, key: str) -> object:
        claim = worker.claims[self.sid]
        with self.farm.database.unit() as session:
            return timeline.reserve(session, self.sid, "mix", claim.epoch, claim.owner, 0, 90_000, key, 1, "0" * 32)


@pytest.fixture
def room(postgres_farm: Farm) -> Room:
    return Room(postgres_farm)


def test_a_drained_node_gives_an_unbegun_recording_to_another_one_at_once(room: Room) -> None:
    new = room.farm.worker("node-b", ttl_ms=600_000)
    (sent,) = room.relief.tick()
    assert (sent.node, sent.epoch) == ("node-b", 2)
    assert room.states() == [("node-a", "primary", TenureState.ENDED), ("node-b", "primary", TenureState.DISPATCHED)]
    assert room.farm.messages("node-b")[-1][1] == [room.sid, 2]
    assert room.relief.tick() == []
    new.claim(room.sid, 2)
    assert room.zero(new, ZERO)
    assert room.reserve(new, "new") == Reserved()


def test_without_room_elsewhere_it_stays_where_it_is(room: Room) -> None:
    assert room.relief.tick() == []
    assert room.states() == [("node-a", "primary", TenureState.LIVE)]
    assert room.zero(room.old, ZERO)
    assert room.reserve(room.old, "old") == Reserved()


def test_what_the_old_tenure_captured_in_that_moment_is_on_another_clock_and_has_no_place(room: Room) -> None:
    new = room.farm.worker("node-b", ttl_ms=600_000)
    room.relief.tick()
    new.claim(room.sid, 2)
    assert not room.zero(room.old, OTHER), "somebody works without having been told of it"
    assert room.reserve(room.old, "old") == Fenced(for_good=True)
    assert room.zero(new, ZERO)
    assert not room.zero(new, ZERO), "told again, nothing changes"
    assert room.reserve(new, "new") == Reserved()


def test_a_zero_told_twice_stays_the_recordings(room: Room) -> None:
    assert room.zero(room.old, ZERO)
    assert not room.zero(room.old, ZERO)
    assert room.reserve(room.old, "old") == Reserved()


@pytest.mark.parametrize("on_hold", [True, False])
def test_on_hold_being_live_is_enough_to_be_handed_over_to(room: Room, on_hold: bool) -> None:
    """Nobody closes a slot on hold, so nobody would ever be proven."""
    new = room.farm.worker("node-b", ttl_ms=600_000)
    assert room.zero(room.old, ZERO)
    with room.farm.database.unit() as session:
        if on_hold:
            recordings.want(session, room.sid, Wanted.HOLD, "on hold")
            recordings.hold_begins(session, room.sid, 180_000)
    assert [sent.node for sent in room.relief.tick()] == ["node-b"]
    claim = new.claim(room.sid, 2)
    assert claim is not None and claim.held_90k == (180_000 if on_hold else None)
    new.ready(room.sid)
    room.relief.tick()
    old = TenureState.DRAINING if on_hold else TenureState.LIVE
    assert [state for _, _, state in room.states()] == [old, TenureState.LIVE]
