"""Recordings and resources on real databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from models.database import Database, shift_time
from models.repositories import apps, files, recordings, resources, timeline
from models.settings import settings
from models.vocabulary.errors import AlreadyStarted, ResourceExpired, TaskConflict, WorkerNotFound
from models.vocabulary.spec import Secrets
from models.vocabulary.states import STATUS, WANTED, Status, Wanted
from tests.models import farm

DAY_MS = 86_400_000


@pytest.fixture
def started(database: Database) -> Database:
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)
    return database


def test_a_resource_is_a_right_for_a_few_minutes(started: Database) -> None:
    with started.unit() as session:
        resource = resources.acquire(
            session, appid=farm.APPID, cname="c", uid="7", options={"scene": 0}, ttl_ms=300_000
        )
        again = resources.acquire(session, appid=farm.APPID, cname="c", uid="7", options={}, ttl_ms=300_000)
        assert resource.resource_id != again.resource_id
        assert 100 <= len(resource.resource_id) <= 512
        assert resource.expires_ms - resource.created_ms == 300_000
    with started.unit() as session:
        found = resources.get(session, resource.resource_id)
        assert found is not None
        assert (found.cname, found.uid, found.options, found.sid) == ("c", "7", {"scene": 0}, None)
        assert resources.get(session, "never issued") is None


def test_a_resource_starts_one_recording(started: Database) -> None:
    with started.unit() as session:
        first = recordings.get(session, "s1")
        assert first is not None
        resource = resources.get(session, first.resource_id)
        assert resource is not None
        assert resource.sid == "s1"
        with pytest.raises(AlreadyStarted):
            recordings.create(
                session, sid="s2", resource=resource, spec=farm.spec(), secrets=Secrets(), weight=1, warnings=[]
            )
        session.delete(resource)
        session.flush()
        with pytest.raises(ResourceExpired):
            recordings.create(
                session, sid="s2", resource=resource, spec=farm.spec(), secrets=Secrets(), weight=1, warnings=[]
            )


def test_the_same_instance_is_recorded_once_at_a_time(started: Database) -> None:
    with pytest.raises(TaskConflict), started.unit() as session:
        farm.recording(session, "s2")
    with started.unit() as session:
        farm.recording(session, "s3", uid="2")
        assert recordings.running(session) == recordings.running(session, farm.APPID) == 2
        assert recordings.advance(session, "s1", expect=None, to=Status.FAILED, cause="kicked out")
        farm.recording(session, "s4")
        assert recordings.running(session) == 2


def test_a_conflict_leaves_the_resource_unused(started: Database) -> None:
    with started.unit() as session:
        resource = resources.acquire(session, appid=farm.APPID, cname="room", uid="1", options={}, ttl_ms=1_000)
    with pytest.raises(TaskConflict), started.unit() as session:
        recordings.create(session, sid="s2", resource=resource, spec=farm.spec(), secrets=Secrets(), weight=1)
    with started.unit() as session:
        found = resources.get(session, resource.resource_id)
        assert found is not None
        assert found.sid is None


def test_of_two_starts_at_once_one_is_a_conflict(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
    outcomes: list[str] = []
    gate = threading.Barrier(3)

    def start(sid: str) -> None:
        gate.wait()
        try:
            with database.unit() as session:
                farm.recording(session, sid)
            outcomes.append("started")
        except TaskConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=start, args=(f"s{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["conflict", "conflict", "started"]


def test_names_that_look_alike_when_joined_are_different_instances() -> None:
    assert recordings.live_key("a", "b,c", "d") != recordings.live_key("a", "b", "c,d")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_status_moves_along_its_table_and_nowhere_else(started: Database) -> None:
    for before in Status:
        for to in Status:
            with started.unit() as session:
                session.execute(text("update recording set status = :s, live_key = null"), {"s": int(before)})
                moved = recordings.advance(session, "s1", expect=None, to=to, cause="")
                assert moved == ((before, to) in STATUS), (before, to)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_wish_moves_along_its_table_and_nowhere_else(started: Database) -> None:
    for before in Wanted:
        for to in Wanted:
            with started.unit() as session:
                session.execute(text("update recording set wanted = :w, wanted_gen = 1"), {"w": before.value})
                moved = recordings.want(session, "s1", to, "because")
                recording = recordings.get(session, "s1")
                assert recording is not None
                assert moved == ((before, to) in WANTED), (before, to)
                assert (recording.wanted, recording.wanted_gen) == ((to, 2) if moved else (before, 1))


def test_a_status_moves_only_from_what_was_expected_and_for_the_writer(started: Database) -> None:
    with started.unit() as session:
        farm.node(session)
        farm.tenure(session)
        assert not recordings.advance(session, "s1", expect={Status.READY}, to=Status.STOPPING, cause="x")
        assert not recordings.advance(session, "s1", expect=None, to=Status.READY, cause="", epoch=2)
        assert recordings.advance(session, "s1", expect=None, to=Status.READY, cause="", epoch=1)
        assert not recordings.advance(session, "nobody", expect=None, to=Status.READY, cause="")
        assert recordings.advance(session, "s1", expect={Status.READY}, to=Status.STOPPING, cause="stop called")
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert (recording.status, recording.reason, recording.ended_ms) == (6, "stop called", None)


def test_an_ended_recording_says_when_and_why_and_takes_no_more_wishes(started: Database) -> None:
    with started.unit() as session:
        recordings.advance(session, "s1", expect=None, to=Status.STOPPING, cause="idle for 30 s")
        recordings.advance(session, "s1", expect=None, to=Status.STOPPED, cause="recorder left")
        assert recordings.advance(session, "s1", expect=None, to=Status.EXITED, cause="all stored")
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert (recording.reason, recording.live_key) == ("idle for 30 s", None)
        assert recording.ended_ms is not None
        assert recording.keep_until_ms == pytest.approx(recording.ended_ms + settings().record_days * DAY_MS, abs=1_000)
        assert not recordings.want(session, "s1", Wanted.STOP, "late")
        with pytest.raises(WorkerNotFound):
            recordings.respec(session, "s1", farm.spec())


def test_a_new_spec_is_a_new_generation(started: Database) -> None:
    with started.unit() as session:
        assert recordings.respec(session, "s1", farm.spec(max_idle_s=5)) == 2
        assert recordings.respec(session, "s1", farm.spec(max_idle_s=6), Secrets(channel_token="new")) == 3
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert recording.spec["max_idle_s"] == 6
        assert recording.secrets is not None
        assert recording.secrets["channel_token"] == "new"


def test_the_zero_is_written_once(started: Database) -> None:
    with started.unit() as session:
        assert recordings.zero(session, "s1", t0_ms=5, anchor={"clock_id": "a", "zero_s": 1.0})
        assert not recordings.zero(session, "s1", t0_ms=9, anchor={"clock_id": "b", "zero_s": 2.0})
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert (recording.t0_ms, recording.anchor) == (5, {"clock_id": "a", "zero_s": 1.0})


def test_the_last_user_never_goes_back(started: Database) -> None:
    with started.unit() as session:
        for seen in (10, 30, 20):
            recordings.seen_user(session, "s1", seen)
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert recording.last_user_90k == 30


def test_warnings_are_bounded_and_each_is_said_once(started: Database) -> None:
    with started.unit() as session:
        for n in range(60):
            recordings.warn(session, "s1", f"warning {n} " + "x" * 1_000)
            recordings.warn(session, "s1", f"warning {n} " + "x" * 1_000)
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert len(recording.warnings) == len(set(recording.warnings)) == 50
        assert max(map(len, recording.warnings)) == 500


def test_fault_first_slice_and_uploading_are_kept(started: Database) -> None:
    with started.unit() as session:
        recordings.set_fault(session, "s1", {"code": 47, "text": "no"})
        recordings.set_uploading(session, "s1", "backuped")
        assert recordings.first_slice(session, "s1")
        assert not recordings.first_slice(session, "s1")
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert (recording.fault, recording.uploading, recording.sliced) == (
            {"code": 47, "text": "no"},
            "backuped",
            True,
        )


def test_an_apps_recordings_are_paged_newest_first(started: Database) -> None:
    for n in range(2, 8):
        shift_time(started, n // 2 * 1_000_000)  # pairs in the same millisecond, or near it
        with started.unit() as session:
            farm.recording(session, f"s{n}", uid=str(n))
    with started.unit() as session:
        recordings.advance(session, "s4", expect=None, to=Status.FAILED, cause="")
        everything = [r.sid for r in recordings.for_app(session, farm.APPID)]
        page = recordings.for_app(session, farm.APPID, limit=3)
        rest = recordings.for_app(session, farm.APPID, before=(page[-1].created_ms, page[-1].sid))
        assert [r.sid for r in (*page, *rest)] == everything
        assert sorted(everything) == [f"s{n}" for n in range(1, 8)]
        assert [r.sid for r in recordings.for_app(session, farm.APPID, live=False)] == ["s4"]
        assert len(recordings.for_app(session, farm.APPID, live=True)) == 6
        assert recordings.for_app(session, "another") == []


def test_a_record_is_forgotten_with_all_that_hangs_on_it_when_its_time_is_over(started: Database) -> None:
    with started.unit() as session:
        farm.node(session)
        one = farm.tenure(session)
        timeline.reserve(session, "s1", "mix", 1, one.owner, 5, 10, "k", 1, "m")
        files.wrote(session, "s1", "k.m3u8", "playlist", bytes_=1, md5="m", final=True)
        recordings.advance(session, "s1", expect=None, to=Status.FAILED, cause="")
        farm.recording(session, "s2")
        assert recordings.delete_old(session) == 0
        assert resources.delete_old(session) == 0
    shift_time(started, settings().record_days * DAY_MS + 60_000)
    with started.unit() as session:
        assert resources.delete_old(session) == 0  # their recordings are still on record
        assert recordings.delete_old(session) == 1
        assert resources.delete_old(session) == 1
        assert recordings.get(session, "s1") is None
        assert recordings.get(session, "s2") is not None
        for table in ("tenure", "track", "segment", "hole", "file"):
            assert session.scalar(text(f"select count(*) from {table}")) == 0


def test_an_app_goes_with_its_records(started: Database) -> None:
    with started.unit() as session:
        recordings.advance(session, "s1", expect=None, to=Status.FAILED, cause="")
        apps.remove(session, farm.APPID)
        assert recordings.get(session, "s1") is None
