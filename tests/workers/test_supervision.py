"""A node supervises real recorders: whatever dies, there is one recording and one playlist."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import recordings, tenures, timeline
from models.vocabulary.errors import StateUnavailable
from models.vocabulary.spec import FolderStore
from models.vocabulary.states import Role, TenureState, Wanted
from tests.recorder.virtual import user
from tests.workers.rig import SECRET, SID, Rig
from workers import incarnations
from workers.children import Child, Nursery
from workers.conclusion import Conclusion
from workers.ledger import Ledger
from workers.salvage import Salvage

Make = Callable[[Database], Rig]

BIRTH = Nursery.spawn


def ended_well(rig: Rig) -> None:
    row = rig.row()
    assert (row.status, row.fault, row.secrets, row.live_key) == (8, None, None, None)
    assert "#EXT-X-ENDLIST" in rig.playlist.read_text()
    assert not list((rig.folder / "spools").glob("*/*"))


def renewals_come_between(it: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal is answered when the tenure has just been ended, and its recorder has not left yet."""
    look = Conclusion.look

    def looked(*said: Any, **more: Any) -> bool:
        is_over = look(*said, **more)
        if is_over:
            it.node._renew()
        return is_over

    monkeypatch.setattr(Conclusion, "look", looked)


def test_a_recording_comes_up_is_stopped_and_ends(
    database: Database, rig: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    it = rig(database)
    renewals_come_between(it, monkeypatch)
    it.recording()
    it.dispatch()
    it.status(5)
    it.until(it.playlist.exists, "a playlist")
    pid = it.pid()
    for secret in (SECRET, "a-secret-of-the-worker-that-no-recorder-sees"):
        assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert it.stop().reason == "stop called"
    ended_well(it)
    assert (it.judge().violations, it.judge().holes) == ((), ())
    assert "the tenure is lost" not in caplog.text, "it was ended in order"


def test_a_killed_recorder_costs_3_s_at_most(postgresql: Database, rig: Make) -> None:
    it = rig(postgresql)
    it.recording()
    epoch = it.dispatch()
    it.slices(0)
    it.kill()
    it.slices(3)
    it.stop()
    ended_well(it)
    verdict = it.judge()
    (hole,) = verdict.holes
    assert verdict.violations == ()
    assert hole[1] - hole[0] <= 3.0
    with postgresql.unit() as session:
        assert [t.epoch for t in tenures.of(session, SID)] == [epoch]
        (row,) = timeline.rows(session, SID, "mix")[1]
    assert (row.start_90k, row.end_90k) == (round(hole[0] * 90_000), round(hole[1] * 90_000))


def test_a_frozen_recorder_is_killed_and_costs_6_s_at_most(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    frozen = it.kill(signal.SIGSTOP)
    it.until(lambda: not Path(f"/proc/{frozen}").exists(), "the frozen one is killed")
    it.slices(3)
    it.stop()
    ended_well(it)
    assert it.judge().violations == ()
    (hole,) = it.judge().holes
    assert hole[1] - hole[0] <= 6.0


def test_a_recorder_lives_also_while_its_supervision_waits_for_the_state(
    sqlite: Database, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    (supervision,) = it.node._running.values()
    waits = threading.Event()
    commit, begun = Ledger.commit, threading.Event()

    def slowly(*said: Any, **more: Any) -> Any:
        begun.set()
        waits.wait(10)
        return commit(*said, **more)

    monkeypatch.setattr(Ledger, "commit", slowly)
    assert begun.wait(10)
    lived = []
    with monkeypatch.context() as quick:
        quick.setattr(incarnations, "FROZEN_S", 1.0)  # … and a second more until it is not renewed
        for _ in range(28):
            time.sleep(0.1)
            lived.append(supervision.proves_itself)
    waits.set()
    assert all(lived), "its tenure is renewed"
    it.stop()
    ended_well(it)
    assert (it.judge().violations, it.judge().holes) == ((), ())


@contextmanager
def away(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    @contextmanager
    def gone() -> Iterator[Session]:
        raise StateUnavailable("the database does not answer")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(database, "unit", gone)
        yield


def test_while_the_database_is_away_the_recording_goes_on(
    sqlite: Database, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    it.until(it.playlist.exists, "its playlist")
    before = it.playlist.read_text()
    with away(sqlite, monkeypatch):
        time.sleep(4)
        assert it.playlist.read_text().count(".ts") <= before.count(".ts") + 1
    it.slices(3)
    it.stop()
    ended_well(it)
    assert (it.judge().violations, it.judge().holes) == ((), ())


def test_a_recorder_that_dies_while_the_database_is_away_is_started_again(
    sqlite: Database, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    with away(sqlite, monkeypatch):
        dead = it.kill()
        time.sleep(2)
        assert it.pid() != dead
    it.slices(3)
    it.stop()
    ended_well(it)
    assert it.judge().violations == ()
    assert sum(b - a for a, b in it.judge().holes) <= 3.0


def test_what_the_recorder_says_while_the_database_is_away_is_written_down_later(
    sqlite: Database, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = rig(sqlite)
    it.recording(user("a", (30, "join")))  # nobody publishes: no file will say that it is up
    gate: list[object] = []

    def when_away(nursery: Nursery) -> Child:
        if not gate:
            gate.append(outage.__enter__())
        return BIRTH(nursery)

    outage = away(sqlite, monkeypatch)
    monkeypatch.setattr(Nursery, "spawn", when_away)
    it.dispatch()
    it.until(lambda: gate, "the outage begins with the recorder")
    time.sleep(2.5)
    outage.__exit__(None, None, None)
    it.status(4)
    it.stop()


def test_a_recorder_that_keeps_dying_is_given_up_with_a_reason(
    database: Database, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nursery, "spawn", stillborn)
    it = rig(database)
    it.recording()
    it.dispatch()
    row = it.status(20)
    assert "died" in row.reason
    assert row.fault is not None
    assert (row.fault["code"], row.fault["fatal"]) == (9300, True)
    assert row.live_key is None


def stillborn(nursery: Nursery) -> Child:
    child = BIRTH(nursery)
    child.kill()
    child.wait(10)
    return child


def test_a_poisoned_recording_keeps_what_it_has(sqlite: Database, rig: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recorders die from some slice on; a finaliser of the same tenure brings that to its end, as failed."""
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)

    def sickly(nursery: Nursery) -> Child:
        return BIRTH(nursery) if it.row().fault else stillborn(nursery)

    monkeypatch.setattr(Nursery, "spawn", sickly)
    it.kill()
    row = it.status(20)
    assert row.fault is not None
    assert (row.fault["code"], row.fault["fatal"]) == (9300, True)
    assert "#EXT-X-ENDLIST" in it.playlist.read_text()
    assert it.judge().violations == ()


@pytest.mark.parametrize("fault", [None, {"code": 9300, "text": "poisoned", "fatal": True}])
def test_a_finaliser_ends_what_others_recorded(sqlite: Database, rig: Make, fault: dict[str, object] | None) -> None:
    it = rig(sqlite)
    it.recording()
    first = it.dispatch()
    it.slices(0)
    with sqlite.unit() as session:
        tenures.revoke(session, SID, first, "its lease ran out")
    it.until(lambda: not any(t.is_alive() for t in it.threads), "the first one leaves")
    assert "#EXT-X-ENDLIST" not in it.playlist.read_text()
    with sqlite.unit() as session:
        if fault is not None:
            recordings.set_fault(session, SID, fault)
        recordings.want(session, SID, Wanted.STOP, "stop called")
    it.dispatch(Role.FINALISER)
    row = it.status(8)
    assert row.status == (8 if fault is None else 20)
    assert row.reason == ("stop called" if fault is None else "poisoned")
    assert "#EXT-X-ENDLIST" in it.playlist.read_text()
    assert it.judge().violations == ()
    with sqlite.unit() as session:
        assert {t.state for t in tenures.of(session, SID)} == {TenureState.ENDED}


def test_refused_keys_fail_the_start_and_are_named(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    (it.folder / "stores").mkdir()
    (it.folder / "stores" / "file").touch()
    it.recording(store=FolderStore(path="file/calls"))
    it.dispatch()
    row = it.status(20)
    assert row.fault is not None and row.fault["scope"] == "caller" and row.fault["fatal"]
    assert row.fault["text"] == row.reason
    assert row.sliced is False


def test_what_a_dead_worker_left_in_its_spool_is_brought_in(sqlite: Database, rig: Make) -> None:
    """The worker died mid-slice: its next run on this node commits and uploads what lies there."""
    it = rig(sqlite)
    it.recording()
    first = it.dispatch()
    it.slices(0)
    time.sleep(1.5)
    (supervision,) = it.node._running.values()
    supervision._done = True  # nobody commits or uploads any more
    it.until(lambda: not any(t.is_alive() for t in it.threads), "the worker is dead")
    (spool,) = (it.folder / "spools").glob("*/*")
    assert list(spool.glob("*.part"))
    with sqlite.unit() as session:
        before = timeline.head(session, SID, "mix")
        tenures.revoke(session, SID, first, "its lease ran out")
    Salvage(sqlite, it.node._nursery, it.folder / "spools", it.node.supervises).start()
    it.until(lambda: not spool.exists(), "the spool is emptied")
    with sqlite.unit() as session:
        assert timeline.head(session, SID, "mix") > before
        assert timeline.unsent(session, SID) == 0
        recordings.want(session, SID, Wanted.STOP, "stop called")
    it.dispatch(Role.FINALISER)
    assert it.status(8).status == 8
    assert (it.judge().violations, it.judge().holes) == ((), ())
