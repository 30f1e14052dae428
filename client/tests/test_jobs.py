"""Jobs over real HTTP: what goes out, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reelyard
from reelyard import Credentials, JobAttempt, JobState, Status, jobs
from tests.conftest import Speak
from tests.service import APPID, RESET, Says, Service

APP = f"/v1/apps/{APPID}"
ID = "a" * 32
STORAGE = reelyard.StorageConfig(vendor=1, region=0, bucket="b", access_key="AK", secret_key="planted-store-secret")
START = reelyard.StartRequest(storage_config=STORAGE, recording_config=reelyard.RecordingConfig(max_idle_time=300))
LINE: dict[str, Any] = {
    "job_id": ID, "key": "lesson 7", "cname": "lesson-7", "mode": "mix", "state": "running", "stop_wanted": False,
    "cause": "", "reason": "", "trouble": "start: 503", "sid": "5" * 32, "next_check_ms": 5, "deadline_ms": 9,
    "created_ms": 1, "ended_ms": None,
}  # fmt: skip
ATTEMPT = {
    "uid": "1", "sid": "5" * 32, "status": 5, "files": ["x.m3u8"], "begun_ms": 1, "started_ms": 2, "confirmed_ms": 3,
    "ended_ms": None, "ending": "",
}  # fmt: skip
JOB = LINE | {"uids": ["1", "2"], "files": ["x.m3u8"], "attempts": [ATTEMPT]}


def test_a_job_is_ordered_in_the_farms_names_and_its_start_in_the_contracts(speak: Speak, service: Service) -> None:
    service.says(Says(201, JOB, {"X-Reelyard-Warning": "start.fooBar is ignored"}))
    got = speak("submit_job", "lesson 7", "lesson-7", ["1", "2"], start=START, mode="individual", for_s=90)
    assert (got.new, got.warnings, got.job_id) == (True, ("start.fooBar is ignored",), ID)
    [asked] = service.asked
    assert (asked.method, asked.path) == ("POST", f"{APP}/jobs")
    storage = {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "AK", "secretKey": "planted-store-secret"}
    assert asked.body == {
        "key": "lesson 7", "cname": "lesson-7", "uids": ["1", "2"], "mode": "individual", "for_s": 90, "acquire": {},
        "start": {"storageConfig": storage, "recordingConfig": {"maxIdleTime": 300}},
    }  # fmt: skip


def test_a_job_elsewhere_names_the_service_and_who_asks_it(speak: Speak, service: Service) -> None:
    service.says(Says(201, JOB))
    speak(
        "submit_job", "k", "c", start={}, not_before_ms=0, until_ms=7, start_within_s=60, max_rounds=3,
        endpoints=["https://one.example.org", "https://two.example.org"], remote_appid="their-app",
        credentials=Credentials("their-key", "planted-secret"),
    )  # fmt: skip
    assert service.asked[0].body == {
        "key": "k", "cname": "c", "uids": [], "mode": "mix", "start": {}, "acquire": {}, "not_before_ms": 0,
        "until_ms": 7, "start_within_s": 60, "max_rounds": 3, "remote_appid": "their-app",
        "endpoints": ["https://one.example.org", "https://two.example.org"],
        "credentials": {"key": "their-key", "secret": "planted-secret"},
    }  # fmt: skip


def test_a_submission_whose_answer_got_lost_is_repeated_and_finds_the_job(speak: Speak, service: Service) -> None:
    service.says(RESET, Says(503), Says(200, JOB))
    got = speak("submit_job", "lesson 7", "lesson-7", start=START)
    assert (got.new, got.job_id) == (False, ID)
    first, *others = service.asked
    assert [asked.body for asked in others] == [first.body] * 2


def test_a_job_tells_everything_that_came_of_it(speak: Speak, service: Service) -> None:
    service.says(Says(body=JOB))
    got = speak("job", ID)
    assert (service.asked[0].method, service.paths) == ("GET", [f"{APP}/jobs/{ID}"])
    assert (got.state, got.ended, got.sid, got.trouble) == (JobState.RUNNING, False, "5" * 32, "start: 503")
    assert (got.uids, got.files, got.created_ms, got.ended_ms) == (("1", "2"), ("x.m3u8",), 1, None)
    assert got.attempts == (JobAttempt("1", "5" * 32, Status.IN_PROGRESS, ("x.m3u8",), 1, 2, 3, None, ""),)
    assert got.raw == JOB


def test_a_job_that_failed_says_why(speak: Speak, service: Service) -> None:
    service.says(Says(body=JOB | {"state": "failed", "cause": "refused", "reason": "400/2 vendor", "ended_ms": 8}))
    got = speak("job", ID)
    assert (got.ended, got.state, got.cause, got.reason) == (True, JobState.FAILED, "refused", "400/2 vendor")


def test_jobs_are_read_page_by_page(speak: Speak, service: Service) -> None:
    service.says(Says(body={"jobs": [LINE], "next": ID}), Says(body={"jobs": [], "next": None}))
    first = speak("jobs", limit=1, live=True)
    assert (first.next, first.jobs[0].key, first.jobs[0].attempts) == (ID, "lesson 7", ())
    assert speak("jobs", limit=1, before=first.next).next == ""
    assert service.paths == [f"{APP}/jobs?limit=1&live=true", f"{APP}/jobs?limit=1&before={ID}"]


def test_a_job_is_stopped_by_its_id(speak: Speak, service: Service) -> None:
    service.says(Says(body=JOB | {"state": "stopping", "stop_wanted": True}))
    got = speak("stop_job", ID)
    assert (got.state, got.stop_wanted) == (JobState.STOPPING, True)
    assert [(asked.method, asked.path) for asked in service.asked] == [("POST", f"{APP}/jobs/{ID}/stop")]


@pytest.mark.parametrize(
    ("verb", "last"), [("stop_job", f"POST {APP}/jobs/{ID}/stop"), ("job", f"GET {APP}/jobs/{ID}")]
)
def test_a_key_is_as_good_as_an_id(speak: Speak, service: Service, verb: str, last: str) -> None:
    service.says(Says(body={"jobs": [LINE], "next": None}), Says(body=JOB))
    assert speak(verb, key="lesson 7").job_id == ID
    assert [f"{asked.method} {asked.path}" for asked in service.asked] == [f"GET {APP}/jobs?key=lesson+7", last]


@pytest.mark.parametrize("found", [[], [LINE | {"key": "another"}]])
def test_a_key_without_a_job_is_not_found_and_stops_no_other(speak: Speak, service: Service, found: Any) -> None:
    service.says(Says(body={"jobs": found, "next": None}))
    with pytest.raises(reelyard.NotFound, match="no job of that key"):
        speak("stop_job", key="lesson 7")
    assert [asked.method for asked in service.asked] == ["GET"]


@pytest.mark.parametrize("named", [{}, {"job_id": ID, "key": "k"}])
def test_a_job_is_named_by_one_thing(speak: Speak, service: Service, named: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one of them"):
        speak("stop_job", **named)
    assert service.asked == []


def test_an_answer_without_a_job_is_no_job(speak: Speak, service: Service) -> None:
    service.says(Says(body={"state": "running"}))
    with pytest.raises(reelyard.ProtocolError, match="job_id"):
        speak("job", ID)


def test_no_repr_tells_a_secret() -> None:
    assert "planted" not in repr(Credentials("k", "planted-secret"))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ATTEMPT]), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*JOB]), ANY))
def test_whatever_is_told_of_a_job_is_read(told: dict[str, Any]) -> None:
    got = jobs.job(told | {"job_id": ID})
    assert got.state in set(JobState)
    assert all(isinstance(name, str) and name for name in got.files)
