"""Scenes that chance finds late, played on the machine's own stage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.database import Database
from models.repositories import timeline
from tests.models import farm
from tests.tenures.hands import Worker
from tests.tenures.test_machine import HOUR_MS, Farm


@pytest.fixture
def stage(sqlite: Database) -> Iterator[Farm]:
    with sqlite.unit() as session:
        farm.app(session)
    stage = Farm([sqlite] * 3)
    stage.want(1)
    for _ in range(3):
        stage.all_is_well()
    yield stage
    stage.the_invariants_hold()
    stage.teardown()


def recorder(stage: Farm) -> Worker:
    (worker,) = [w for w in stage.workers if any(t.capturing for t in w.held.values()) and w.reachable]
    return worker


def goes_on(stage: Farm, slots: int = 1) -> None:
    stage.the_call_goes_on(slots)
    stage.all_is_well()
    stage.the_invariants_hold()


def time_passes(stage: Farm, s: int) -> None:
    """Not faster than leases are renewed."""
    for _ in range(s):
        stage.time_passes(1_000)
        stage.all_is_well()
        stage.the_invariants_hold()


def played(stage: Farm) -> list[str]:
    with stage.database.unit() as session:
        return [e.key for e in timeline.publishable(session, stage.sid, "mix", final=False)]


def somebody_else_goes_on(stage: Farm) -> Worker:
    """A worker that reserved two slots and uploaded none is cut off; another one carries the recording, far beyond."""
    first = recorder(stage)
    goes_on(stage, 2)
    stage.the_call_goes_on(2)
    first.commit()
    first.reachable = False
    time_passes(stage, 12)
    assert recorder(stage) is not first
    goes_on(stage, 2)
    time_passes(stage, 34)
    goes_on(stage, 2)
    return first


def test_a_live_playlist_passes_what_was_never_uploaded_and_never_changes_its_past(stage: Farm) -> None:
    first = somebody_else_goes_on(stage)
    before = played(stage)
    assert len(before) == 2 + 4, "what the dead one reserved is a hole, and the playlist goes on behind it"
    first.reachable = True
    for _ in range(3):
        time_passes(stage, 3)
    assert played(stage)[: len(before)] == before
    with stage.database.unit() as session:
        final = [e.key for e in timeline.publishable(session, stage.sid, "mix", final=True)]
        assert timeline.rows(session, stage.sid, "mix")[1] == [], "it brought what it had, so nothing is missing"
    assert len(final) == 2 + 2 + 4, "the final playlist has all that came late"
    assert set(before) < set(final)


def test_what_a_store_had_all_along_has_its_place_again_when_its_worker_can_say_so(stage: Farm) -> None:
    first = recorder(stage)
    goes_on(stage, 1)
    stage.the_call_goes_on(1)
    first.commit()
    first.upload()
    first.reachable = False  # uploaded, and nobody was told
    time_passes(stage, 12)
    goes_on(stage, 2)
    time_passes(stage, 34)
    with stage.database.unit() as session:
        assert [h.cause for h in timeline.rows(session, stage.sid, "mix")[1]] == [
            "the worker was lost before its upload"
        ]
    first.reachable = True
    time_passes(stage, 4)
    with stage.database.unit() as session:
        segments, holes = timeline.rows(session, stage.sid, "mix")
    assert holes == []
    assert len(segments) == 4


@pytest.mark.parametrize("hours", [1, -1])
def test_when_the_databases_clock_steps_nothing_fails_over_and_the_dead_still_do(stage: Farm, hours: int) -> None:
    first = recorder(stage)
    goes_on(stage, 2)
    stage.the_databases_clock_steps(hours * HOUR_MS)
    time_passes(stage, 15)
    goes_on(stage, 1)
    assert recorder(stage) is first
    assert len(stage.epochs) == 1
    first.reachable = False
    time_passes(stage, 14)
    assert recorder(stage) is not first, "an outage of leases for an hour is no protection for the dead"
    goes_on(stage, 1)


def test_whose_worker_dies_while_the_databases_clock_goes_back_goes_on_elsewhere(stage: Farm) -> None:
    first = recorder(stage)
    goes_on(stage, 2)
    first.reachable = False
    stage.the_databases_clock_steps(-HOUR_MS)
    time_passes(stage, 26)
    assert recorder(stage) is not first, "by the leader's own clock it has not renewed for three TTL"
    goes_on(stage, 1)
