"""Back-off and fail-over, row by row of the best practices (contract §11), on a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import reelyard
from reelyard import Recording, Resource, Uploading
from reelyard.ladder import host
from tests.conftest import Speak, Time
from tests.service import RESET, Says, Service, free_url

RESOURCE = Resource("lesson-7", "527841", "r")
RECORDING = Recording("r", "5" * 32, "lesson-7", "527841")
IDENTITY = {"cname": "lesson-7", "uid": "527841", "resourceId": "r", "sid": "5" * 32}

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "acquire": ("lesson-7", "527841"),
    "start": (RESOURCE, {"storageConfig": {}}),
    "query": (RECORDING,),
    "update": (RECORDING, {}),
    "update_layout": (RECORDING, {}),
    "stop": (RECORDING,),
    "recordings": (),
    "recording": ("5" * 32,),
    "whip_token": ("lesson-7", "ada"),
    "pull": ("lesson-7", "ada", "rtsp://h/x"),
    "pulled": ("lesson-7",),
    "unpull": ("lesson-7", "ada"),
}
GOOD = Says(body=IDENTITY | {"token": "t", "users": [], "serverResponse": {"status": 5, "uploadingStatus": "uploaded"}})
AGAIN = Says(201, {"code": 7, "reason": "already started", "sid": "5" * 32})
BUSY = Says(500, {"code": 502, "reason": "Failed to allocate worker"})
LATE = Says(504, {"code": 62, "reason": "request timeout"})
BARE = Says(503, b"<html>unavailable</html>")
UNDONE = Says(206, {"code": 65, "reason": "request not completed"})
EMPTY = Says(206, {"code": 435, "reason": "no recorded data"})
WRONG = Says(400, {"code": 2, "reason": "bad parameter"})
CONFLICT = Says(400, {"code": 53, "reason": "task conflict"})
EXPIRED = Says(400, {"code": 433, "reason": "resource expired"})
FULL = Says(400, {"code": 406, "reason": "vendor_over_load"})
ENDING = Says(400, {"code": 49, "reason": "invalid operation"})
GONE = Says(404, {"code": 404, "reason": "failed to find worker"})
DENIED = Says(401, {"message": "Invalid authentication credentials"})
LIMITED = Says(429, {"message": "API rate limit exceeded"})
MOVED = Says(307, {}, {"Location": "http://127.0.0.1:9/"})

#: verb, what the service says, the pauses in s, and what comes of it (None: an answer).
LADDER: list[tuple[str, list[Says], list[float], type[Exception] | None]] = [
    # start: 50x and 206/65 after 3, 6, 9 s with the same parameters; 201 is success; 40x is final
    ("start", [GOOD], [], None),
    ("start", [AGAIN], [], None),
    ("start", [BUSY, GOOD], [3], None),
    ("start", [BUSY, LATE, BARE, GOOD], [3, 6, 9], None),
    ("start", [BUSY, BUSY, BUSY, BUSY], [3, 6, 9], reelyard.ServerError),
    ("start", [UNDONE, AGAIN], [3], None),
    ("start", [UNDONE, BUSY, UNDONE, AGAIN], [3, 6, 9], None),
    ("start", [UNDONE], [3, 6, 9], reelyard.NotCompleted),
    ("start", [WRONG], [], reelyard.BadRequest),
    ("start", [CONFLICT], [], reelyard.TaskConflict),
    ("start", [EXPIRED], [], reelyard.ResourceExpired),
    ("start", [BUSY, WRONG], [3], reelyard.BadRequest),
    ("start", [DENIED], [], reelyard.Unauthorized),
    ("start", [MOVED], [], reelyard.ApiError),
    # acquire
    ("acquire", [BUSY, GOOD], [3], None),
    ("acquire", [FULL], [], reelyard.TooManyRecordings),
    # query: 50x after 5, 10, 15, 30 s; 404 is an answer
    ("query", [BUSY, BUSY, BUSY, BUSY, GOOD], [5, 10, 15, 30], None),
    ("query", [LATE], [5, 10, 15, 30], reelyard.ServerError),
    ("query", [GONE], [], reelyard.NotFound),
    ("query", [UNDONE, GOOD], [5], None),
    # update and updateLayout replace, so they are repeated
    ("update", [UNDONE, LATE, GOOD], [3, 6], None),
    ("update_layout", [LATE, GOOD], [3], None),
    ("update_layout", [GONE], [], reelyard.NotFound),
    # stop: 65 and 435 are the callers'
    ("stop", [UNDONE], [], reelyard.NotCompleted),
    ("stop", [EMPTY], [], reelyard.NoRecordedData),
    ("stop", [ENDING], [], reelyard.InvalidOperation),
    ("stop", [LATE, GOOD], [3], None),
    ("stop", [LATE, ENDING], [3], None),
    ("stop", [LATE, GONE], [3], reelyard.NotFound),
    ("stop", [LIMITED, ENDING], [1], reelyard.InvalidOperation),
    # no answer: the only host again, after 1, 3, 6 s
    ("start", [RESET, GOOD], [1], None),
    ("start", [RESET, RESET, RESET, GOOD], [1, 3, 6], None),
    ("start", [RESET], [1, 3, 6], reelyard.TransportError),
    ("query", [RESET, GOOD], [1], None),
    ("stop", [RESET, ENDING], [1], None),
    ("whip_token", [RESET, BARE, GOOD], [1, 3], None),
    # each kind of trouble has its own ladder
    ("start", [RESET, BUSY, LIMITED, RESET, UNDONE, AGAIN], [1, 3, 1, 3, 6], None),
    # 429: as long as is asked, else 1, 3, 6 s
    ("query", [LIMITED, LIMITED, LIMITED, GOOD], [1, 3, 6], None),
    ("query", [LIMITED], [1, 3, 6], reelyard.RateLimited),
    ("start", [Says(429, {}, {"Retry-After": "17"}), GOOD], [17], None),
    ("start", [Says(429, {}, {"Retry-After": "0"}), GOOD], [0], None),
    ("start", [Says(503, {}, {"Retry-After": "11"}), GOOD], [11], None),
    ("start", [Says(503, {}, {"Retry-After": "1"}), GOOD], [3], None),
    (
        "recordings",
        [
            Says(429, {}, {"Retry-After": "Wed, 21 Oct 2026 07:28:20 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}),
            GOOD,
        ],
        [20],
        None,
    ),
    ("recordings", [Says(429, {}, {"Retry-After": "soon"}), GOOD], [1], None),
    # longer than the whole call may take: not waited for
    ("start", [Says(429, {}, {"Retry-After": "3600"})], [], reelyard.RateLimited),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "says", "pauses_s", "ends"), LADDER)
def test_the_ladder_is_walked_to_the_second(
    speak: Speak,
    service: Service,
    time: Time,
    verb: str,
    says: list[Says],
    pauses_s: list[float],
    ends: type[Exception] | None,
) -> None:
    service.says(*says)
    if ends is None:
        speak(verb, *ARGUMENTS[verb])
    else:
        with pytest.raises(reelyard.ReelyardError) as raised:
            speak(verb, *ARGUMENTS[verb])
        assert type(raised.value) is ends
    assert time.pauses_s == pauses_s
    assert len(service.asked) == 1 + len(pauses_s)
    first = service.asked[0]
    assert all((a.method, a.path, a.body) == (first.method, first.path, first.body) for a in service.asked)


@pytest.mark.parametrize("verb", ARGUMENTS)
def test_every_verb_outlives_one_reset(speak: Speak, service: Service, time: Time, verb: str) -> None:
    service.says(RESET, Says(body={**(GOOD.body), "recordings": []}))
    speak(verb, *ARGUMENTS[verb])
    assert time.pauses_s == [1]


def test_a_stop_whose_answer_got_lost_has_stopped_and_knows_no_files(speak: Speak, service: Service) -> None:
    service.says(RESET, ENDING)
    got = speak("stop", RECORDING)
    assert (got.uploading, got.files) == (Uploading.UNKNOWN, ())


def test_a_stop_that_never_left_and_then_is_refused_is_refused(
    speaker: Callable[..., Speak], service: Service, time: Time
) -> None:
    service.says(ENDING)
    with pytest.raises(reelyard.InvalidOperation) as refused:
        speaker(free_url(), fallback_urls=[service.url])("stop", RECORDING)
    assert time.pauses_s == [1, 3]
    assert not refused.value.repeated


def test_a_dead_host_is_asked_twice_and_then_the_other(
    speaker: Callable[..., Speak], service: Service, time: Time
) -> None:
    service.says(GOOD)
    speak = speaker(free_url(), fallback_urls=[service.url])
    speak("query", RECORDING)
    assert time.pauses_s == [1, 3]
    speak("query", RECORDING)
    assert time.pauses_s == [1, 3], "the host that answered is asked first from then on"


def test_a_host_that_refuses_has_answered_and_is_asked_first_too(
    speaker: Callable[..., Speak], service: Service, time: Time
) -> None:
    service.says(GONE)
    speak = speaker(free_url(), fallback_urls=[service.url])
    for _ in range(2):
        with pytest.raises(reelyard.NotFound):
            speak("query", RECORDING)
    assert time.pauses_s == [1, 3]


def test_hosts_that_are_all_dead_are_given_up_after_the_third_pause(speaker: Callable[..., Speak], time: Time) -> None:
    dead, dead_too = free_url(), free_url()
    with pytest.raises(reelyard.TransportError) as lost:
        speaker(dead, fallback_urls=[dead_too])("query", RECORDING)
    assert time.pauses_s == [1, 3, 6]
    assert lost.value.url == dead_too
    assert isinstance(lost.value.__cause__, Exception)


@pytest.mark.parametrize(
    ("hosts", "order"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 0, 1, 2]), (5, [0, 0, 1, 2])]
)
def test_the_preferred_host_gets_two_tries_before_the_others(hosts: int, order: list[int]) -> None:
    assert [host(lost, hosts) for lost in range(4)] == order


def test_a_host_that_refuses_is_alive_and_is_stayed_with(
    speaker: Callable[..., Speak], service: Service, other: Service
) -> None:
    service.says(BUSY, GONE)
    other.says(GOOD)
    with pytest.raises(reelyard.NotFound):
        speaker(service.url, fallback_urls=[other.url])("query", RECORDING)
    assert other.asked == []


def test_no_call_outlasts_its_deadline(speaker: Callable[..., Speak], service: Service, time: Time) -> None:
    service.says(BUSY)
    with pytest.raises(reelyard.ServerError):
        speaker(service.url, deadline_s=8)("start", *ARGUMENTS["start"])
    assert time.pauses_s == [3], "after 3 s, 6 more would be past it"


def test_slow_answers_use_the_deadline_up(speaker: Callable[..., Speak], service: Service, time: Time) -> None:
    service.says(BUSY)

    def slowly() -> None:
        time.s += 20

    service.meanwhile = slowly
    with pytest.raises(reelyard.ServerError):
        speaker(service.url, deadline_s=45)("start", *ARGUMENTS["start"])
    assert time.pauses_s == [3]


def test_an_answer_that_comes_after_the_deadline_is_lost(
    speaker: Callable[..., Speak], service: Service, time: Time
) -> None:
    service.says(GOOD)

    def slowly() -> None:
        time.s += 60

    service.meanwhile = slowly
    with pytest.raises(reelyard.TransportError, match="too slowly"):
        speaker(service.url, deadline_s=45)("query", RECORDING)


def test_a_service_that_says_nothing_times_out(speaker: Callable[..., Speak], time: Time) -> None:
    import socket

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(reelyard.TransportError, match="ReadTimeout"):
            speaker(url, timeout_s=0.05)("query", RECORDING)
    assert time.pauses_s == [1, 3, 6]


def test_a_pause_that_takes_too_long_ends_in_the_last_trouble(service: Service, time: Time) -> None:
    service.says(BUSY)

    def oversleep(seconds_s: float) -> None:
        time.sleep(seconds_s + 100)

    client = reelyard.Client(service.url, "a", "k", "s", deadline_s=50, now_s=time.now, sleep=oversleep, verify=False)
    with client, pytest.raises(reelyard.ReelyardError):
        client.start(*ARGUMENTS["start"])
    assert len(service.asked) <= 2


@pytest.mark.parametrize("limits", [{"timeout_s": 0}, {"deadline_s": -1}])
def test_limits_are_above_nought(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        reelyard.Client(
            "http://127.0.0.1:9",
            "a",
            "k",
            "s",
            timeout_s=limits.get("timeout_s", 1),
            deadline_s=limits.get("deadline_s", 1),
        )
