"""Jobs on a real database against a service over real HTTP; only time is moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text, update

from models.database import shift_time
from models.repositories import jobs as rows
from models.tables import Job
from models.vocabulary.errors import BadParameter, JobNotFound
from scheduler.jobs import orders
from scheduler.jobs.due import Due
from scheduler.jobs.limiter import Limiter
from scheduler.jobs.orders import Credentials
from scheduler.jobs.runner import Runner
from scheduler.jobs.service import Jobs
from tests.scheduler.farm import APPID, Farm, Worker
from tests.scheduler.jobs.standin import Standin

CALLER = Credentials(key="customer", secret="planted-secret")


@dataclass
class Rig:
    farm: Farm
    standin: Standin
    jobs: Jobs
    runner: Runner
    shift_ms: int = 0
    worker: Worker = field(init=False)  # of a farm that has one

    def submit(self, key: str = "lesson", **changes: Any) -> str:
        said: dict[str, Any] = {"key": key, "cname": "lesson", "uids": ["1", "2"]} | changes
        return str(self.jobs.submit(APPID, orders.parse(said), CALLER)[0]["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self.jobs.get(APPID, job_id)

    def later(self, seconds: float, job_id: str) -> dict[str, Any]:
        """Bring the job on, round by round, for so long."""
        end_ms = self.farm.database.now_ms() + round(seconds * 1000)
        while True:
            self.runner.run([job_id])
            job = self.job(job_id)
            due_ms = job["next_check_ms"]
            if due_ms is None or due_ms > end_ms:
                self.move(end_ms - self.farm.database.now_ms())
                return job
            self.move(max(0, due_ms - self.farm.database.now_ms()))

    def move(self, ms: int) -> None:
        self.shift_ms += ms
        shift_time(self.farm.database, self.shift_ms)

    def verbs(self) -> list[tuple[str, str]]:
        return [(verb, uid) for verb, _, uid in self.standin.calls]


@pytest.fixture
def rig(farm: Farm, standin: Standin) -> Iterator[Rig]:
    settings = farm.settings.model_copy(update={"gateway_url": standin.url})
    limiter = Limiter(farm.settings.broker_url, 1_000)
    runner = Runner(farm.database, settings, limiter, chance=lambda: 0.5)
    yield Rig(farm, standin, Jobs(farm.database, farm.broker), runner)
    runner.close()


def test_a_job_starts_confirms_watches_and_stops(rig: Rig) -> None:
    job_id = rig.submit(start={"token": "T"}, acquire={"scene": 0})
    assert rig.later(0, job_id)["state"] == "confirming"
    job = rig.later(6, job_id)
    assert (job["state"], job["sid"]) == ("running", f"{0:032x}")
    assert job["files"] == [f"{0:032x}_lesson.m3u8"]
    assert rig.standin.bodies[0] == {"cname": "lesson", "uid": "1", "clientRequest": {"scene": 0}}
    assert rig.standin.bodies[1] == {"cname": "lesson", "uid": "1", "clientRequest": {"token": "T"}}
    assert rig.standin.headers[0]["Authorization"] == "Basic Y3VzdG9tZXI6cGxhbnRlZC1zZWNyZXQ="
    rig.later(200, job_id)
    assert [verb for verb, _ in rig.verbs()[2:]] == ["query"] * 5
    rig.jobs.stop(APPID, job_id)
    assert rig.later(6, job_id)["state"] == "done"
    assert not rig.standin.live()
    assert rig.job(job_id)["cause"] == "stop_called"
    assert rig.job(job_id)["next_check_ms"] is None


def test_what_died_is_started_again_with_the_other_uid_and_all_sids_are_kept(rig: Rig) -> None:
    job_id = rig.submit()
    rig.later(10, job_id)
    [first] = rig.standin.live()
    first.live, first.died = False, True
    job = rig.later(120, job_id)
    assert job["state"] == "running"
    assert [(attempt["uid"], attempt["sid"]) for attempt in job["attempts"]] == [("1", f"{0:032x}"), ("2", f"{1:032x}")]
    assert len(job["files"]) == 3, "two playlists, and what the record of the first one names"


def test_a_recording_that_was_idle_is_not_started_again(rig: Rig) -> None:
    job_id = rig.submit()
    rig.later(10, job_id)
    [first] = rig.standin.live()
    first.live, first.cause = False, "nobody was in the channel for maxIdleTime"
    job = rig.later(120, job_id)
    assert (job["state"], job["cause"]) == ("done", "idle")


def test_a_refusal_is_told_and_ends_the_job(rig: Rig) -> None:
    rig.standin.script = [(200, {"resourceId": "r"}), (400, {"code": 110, "reason": "token invalid"})]
    job = rig.later(0, rig.submit())
    assert (job["state"], job["cause"], job["reason"]) == ("failed", "refused", "start: 400/110 token invalid")


def test_the_same_key_is_the_same_job(rig: Rig) -> None:
    assert rig.submit("k") == rig.submit("k")
    assert rig.submit("other") != rig.submit("k")
    with pytest.raises(BadParameter, match="another channel"):
        rig.submit("k", cname="elsewhere")


def test_secrets_are_neither_readable_nor_kept_after_the_end(rig: Rig) -> None:
    job_id = rig.submit(start={"token": "planted-token"})
    with rig.farm.database.unit() as session:
        [row] = session.execute(text("select * from job")).mappings().all()
    for planted in ("planted-token", "planted-secret"):
        assert planted not in str(dict(row))
        assert planted not in str(rig.job(job_id))
    rig.jobs.stop(APPID, job_id)
    rig.later(1, job_id)
    with rig.farm.database.unit() as session:
        assert session.execute(text("select secrets from job")).scalar_one() is None


def test_stopping_twice_or_after_the_end_is_like_stopping_once(rig: Rig) -> None:
    job_id = rig.submit(not_before_ms=rig.farm.database.now_ms() + 60_000)
    first = rig.jobs.stop(APPID, job_id)
    assert first["stop_wanted"]
    assert rig.jobs.stop(APPID, job_id) == first
    ended = rig.later(0, job_id)
    assert (ended["state"], ended["cause"], rig.standin.calls) == ("done", "stop_called", [])
    assert rig.jobs.stop(APPID, job_id) == ended


def test_another_apps_job_is_not_found(rig: Rig) -> None:
    rig.farm.add_app("b" * 32)
    job_id = rig.submit()
    for act in (rig.jobs.get, rig.jobs.stop):
        with pytest.raises(JobNotFound):
            act("b" * 32, job_id)


def test_only_one_takes_a_job_and_only_the_latest_may_save(rig: Rig) -> None:
    job_id = rig.submit()
    with rig.farm.database.unit() as session:
        assert rows.take(session, [job_id], for_ms=1_000) == {job_id: 1}
    with rig.farm.database.unit() as session:
        assert rows.take(session, [job_id], for_ms=1_000) == {}
    rig.move(1_001)
    with rig.farm.database.unit() as session:
        assert rows.take(session, [job_id], for_ms=1_000) == {job_id: 2}, "the first taker is lost"
        said: dict[str, Any] = {"due_ms": 5, "saw_stop": False, "busy": False, "attempts": []}
        assert not rows.save(session, job_id, 1, **said)
        assert rows.save(session, job_id, 2, **said)


def test_a_stop_during_a_call_makes_the_job_due_when_that_is_saved(rig: Rig) -> None:
    job_id = rig.submit()
    with rig.farm.database.unit() as session:
        rows.take(session, [job_id], for_ms=1_000)
    rig.jobs.stop(APPID, job_id)
    far_ms = rig.farm.database.now_ms() + 60_000
    with rig.farm.database.unit() as session:
        assert rows.save(session, job_id, 1, due_ms=far_ms, saw_stop=False, busy=False, attempts=[])
    assert rig.job(job_id)["next_check_ms"] < far_ms


def test_due_jobs_are_sent_in_batches_once_and_again_when_the_message_is_lost(rig: Rig) -> None:
    made = [rig.submit(f"k{n}") for n in range(3)]
    due = Due(rig.farm.database, rig.farm.broker, now_s=lambda: 0.0)
    assert due.tick() == 3
    assert due.tick() == 0, "the message is under way"
    rig.move(30_001)
    assert due.tick() == 3
    rig.runner.run(made)
    assert due.tick() == 0, "they wait for their confirmation"


def test_an_address_that_a_user_named_is_guarded_and_the_farms_own_is_not(rig: Rig) -> None:
    credentials = {"key": "k", "secret": "s"}
    job = rig.later(0, rig.submit(endpoints=[rig.standin.url], credentials=credentials))
    assert (job["state"], job["cause"]) == ("failed", "refused")
    assert "REELYARD_ALLOW_NETWORKS" in job["reason"]
    assert rig.standin.calls == []


def test_a_job_elsewhere_needs_credentials(rig: Rig) -> None:
    with pytest.raises(BadParameter, match="credentials"):
        rig.submit(endpoints=["https://api.example.com"])


def test_what_the_limit_leaves_no_room_for_is_put_off(rig: Rig) -> None:
    tight = Limiter(rig.farm.settings.broker_url, 1)
    runner = Runner(rig.farm.database, rig.runner._settings, tight, chance=lambda: 0.5, sleep=lambda _s: None)
    made = [rig.submit(f"k{n}") for n in range(6)]
    runner.run(made)
    runner.close()
    assert 1 <= len(rig.standin.calls) <= 3
    assert {rig.job(job_id)["state"] for job_id in made} == {"starting"}
    assert all(rig.job(job_id)["next_check_ms"] for job_id in made)


def test_old_jobs_are_forgotten(rig: Rig) -> None:
    job_id = rig.submit()
    with rig.farm.database.unit() as session:
        session.execute(update(Job).values(keep_until_ms=1))
    Due(rig.farm.database, rig.farm.broker, now_s=lambda: 1.0).tick()
    with pytest.raises(JobNotFound):
        rig.job(job_id)
