"""A cancelled recording: what is in the store stays and is listed, nothing else is ever uploaded."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from models.database import Database
from models.repositories import notices, recordings, tenures, timeline
from models.vocabulary import keys
from models.vocabulary.events import Event
from models.vocabulary.states import Role, Wanted
from tests.workers.rig import SID, Rig
from tests.workers.test_events import listen
from workers import conclusion
from workers.salvage import Salvage

Make = Callable[[Database], Rig]


@contextmanager
def store_down(rig: Rig) -> Iterator[None]:
    """A file stands where the store's folder was."""
    aside = rig.store.with_name("aside")
    rig.store.rename(aside)
    while True:
        try:
            rig.store.touch(exist_ok=False)
            break
        except FileExistsError:  # a put on its way has made the folder again
            shutil.copytree(rig.store, aside, dirs_exist_ok=True)
            shutil.rmtree(rig.store)
    yield
    rig.store.unlink()
    aside.rename(rig.store)


def unsent(rig: Rig) -> int:
    with rig.database.unit() as session:
        return timeline.unsent(session, SID)


def cancel(rig: Rig) -> None:
    with rig.database.unit() as session:
        assert recordings.want(session, SID, Wanted.CANCEL, "cancel called")


def listed(rig: Rig) -> set[str]:
    return {line for line in rig.playlist.read_text().splitlines() if line.endswith(".ts")}


def stored(rig: Rig) -> set[str]:
    return {path.name for path in rig.store.glob("*.ts")}


def ended_by_cancel(rig: Rig) -> None:
    row = rig.status(8)
    rig.until(lambda: not any(t.is_alive() for t in rig.threads), "its task ends")
    assert (row.status, row.reason, row.uploading, row.secrets) == (8, "cancel called", "unknown", None)
    assert rig.playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    assert listed(rig) == stored(rig)
    index = json.loads((rig.store / keys.index_key((), SID, "room")).read_text())
    assert (index["final"], index["cancelled"]) == (True, True)
    assert {segment["key"] for segment in index["segments"]} == stored(rig)
    assert not list((rig.folder / "spools").glob("*/*"))
    assert unsent(rig) == 0


def test_what_is_up_stays_listed_and_the_rest_is_thrown_away(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    listen(sqlite)
    it.dispatch()
    it.slices(1)
    with store_down(it):
        it.until(lambda: unsent(it) >= 2, "slices that wait for the store")
        cancel(it)
        time.sleep(1)
    ended_by_cancel(it)
    assert it.judge().violations == ()
    with sqlite.unit() as session:
        lost = [(h.state.value, h.cause) for h in timeline.rows(session, SID, "mix")[1]]
        told = [notice.event for notice in notices.of(session, SID)]
    assert lost and set(lost) == {("lost", "cancelled")}
    assert Event.UPLOADED not in told
    assert told[-1] == Event.SESSION_EXIT


def test_a_cancel_of_a_recording_on_hold_and_one_that_nobody_is_in(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    with sqlite.unit() as session:
        assert recordings.want(session, SID, Wanted.HOLD, "on hold")
    it.until(lambda: it.row().held_90k is not None, "on hold")
    cancel(it)
    ended_by_cancel(it)


def test_a_dead_workers_spool_of_a_cancelled_recording_is_removed_not_uploaded(sqlite: Database, rig: Make) -> None:
    it = rig(sqlite)
    it.recording()
    first = it.dispatch()
    it.slices(0)
    with store_down(it):
        it.until(lambda: unsent(it) >= 1, "a slice that waits for the store")
        (supervision,) = it.node._running.values()
        supervision._done = True
        it.until(lambda: not any(t.is_alive() for t in it.threads), "the worker is dead")
    kept = stored(it)
    with sqlite.unit() as session:
        tenures.revoke(session, SID, first, "its lease ran out")
    cancel(it)
    it.dispatch(Role.FINALISER)
    assert it.status(8).status == 8
    it.until(lambda: not any(t.is_alive() for t in it.threads), "its task ends")
    (spool,) = (it.folder / "spools").glob("*/*")
    Salvage(sqlite, it.node._nursery, it.folder / "spools", it.node.supervises).start()
    it.until(lambda: not spool.exists(), "the spool is removed")
    assert listed(it) == stored(it) == kept
    ended_by_cancel(it)


def test_a_stop_that_waits_for_a_store_which_never_answers_again_is_cancelled(
    sqlite: Database, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conclusion, "STORE_S", 3.0)
    it = rig(sqlite)
    it.recording()
    it.dispatch()
    it.slices(0)
    with store_down(it):
        with sqlite.unit() as session:
            assert recordings.want(session, SID, Wanted.STOP, "stop called")
        it.status(6)
        cancel(it)
        row = it.status(8, within_s=20)
        assert any("the playlist was not ended" in text for text in row.warnings)
        it.until(lambda: not any(t.is_alive() for t in it.threads), "its task ends")
    assert not list((it.folder / "spools").glob("*/*"))
