"""MP4s of recordings that change tenures, with real recorders: one film of all that the playlist shows, whoever made which part
and lost what.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from models.database import Database
from models.repositories import films, tenures, timeline
from models.tables import Tenure
from models.vocabulary.states import Role, TenureState
from tests.workers.rig import SID, Rig
from tests.workers.test_films import BOTH, assert_films_equal_playlist

Make = Callable[..., Rig]


def tenure(rig: Rig, epoch: int) -> Tenure:
    with rig.database.unit() as session:
        return next(t for t in tenures.of(session, SID) if t.epoch == epoch)


def stored_by(rig: Rig, epoch: int) -> int:
    with rig.database.unit() as session:
        return sum(s.epoch == epoch and s.state == "stored" for s in timeline.rows(session, SID, "mix")[0])


def holes(rig: Rig) -> list[str]:
    with rig.database.unit() as session:
        return [hole.cause for hole in timeline.rows(session, SID, "mix")[1]]


@pytest.mark.slow  # tests/farm/test_hand_over.py has it in every run, with a farm
def test_a_recording_that_is_handed_over_has_one_film_without_a_seam(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording(av_file_type=BOTH)
    first = it.dispatch()
    it.slices(1)
    second = it.dispatch(Role.SUCCESSOR)

    def could_carry() -> bool:
        other = tenure(it, second)
        return other.state is TenureState.LIVE and other.ready

    it.until(could_carry, "the second one could carry it alone")
    with sqlite.unit() as session:
        assert tenures.relieve(session, SID, first)
    it.until(lambda: tenure(it, first).state is TenureState.ENDED, "the first one leaves")
    it.until(lambda: stored_by(it, second) >= 2, "the second one goes on")
    it.stop()
    assert holes(it) == []
    assert [path.name for path in assert_films_equal_playlist(it)] == [f"{SID}_room_0.mp4"]
    with sqlite.unit() as session:
        (row,) = films.of(session, SID)
    assert (row.error, row.start_90k, row.duration_90k) == ("", 0, row.end_90k)


def test_a_tenure_that_is_gone_with_its_disk_leaves_a_hole_in_film_and_playlist(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording(av_file_type=BOTH)
    first = it.dispatch()
    it.slices(2)
    it.node._running[SID, first]._done = True  # the host is gone: nobody restarts its recorder, or brings its spool in
    it.until(lambda: not it.threads[0].is_alive(), "the first one's task ends")
    shutil.rmtree(it.folder / "spools" / SID)
    with sqlite.unit() as session:
        tenures.revoke(session, SID, first, "its lease ran out")
    second = it.dispatch()
    it.until(lambda: stored_by(it, second) >= 2, "the second one goes on")
    it.stop()
    assert len(holes(it)) == 1
    assert [path.name for path in assert_films_equal_playlist(it)] == [f"{SID}_room_0.mp4"]
    with sqlite.unit() as session:
        (row,) = films.of(session, SID)
    assert row.error == ""
    assert 0 < row.duration_90k < row.end_90k
