"""Refusals: their class, their words, and answers that are none."""

from __future__ import annotations

import pytest

import reelyard
from reelyard import Recording
from tests.conftest import Speak
from tests.service import SECRET, Says, Service

RECORDING = Recording("r", "5" * 32, "lesson-7", "527841")

REFUSALS: list[tuple[int, object, type[reelyard.ApiError], int | None]] = [
    (400, {"code": 2, "reason": "bad"}, reelyard.BadRequest, 2),
    (400, {"message": "appid is invalid"}, reelyard.BadRequest, None),
    (400, {"code": 49, "reason": "invalid operation"}, reelyard.InvalidOperation, 49),
    (400, {"code": "53", "reason": "task conflict"}, reelyard.TaskConflict, 53),
    (400, {"code": 406, "reason": "vendor_over_load"}, reelyard.TooManyRecordings, 406),
    (400, {"code": 432, "reason": "mismatch"}, reelyard.BadRequest, 432),
    (400, {"code": 433, "reason": "expired"}, reelyard.ResourceExpired, 433),
    (400, {"code": 401, "reason": "invalid_channel_name"}, reelyard.BadRequest, 401),
    (400, {"code": 404, "reason": "not a status"}, reelyard.BadRequest, 404),
    (401, {"message": "Unauthorized"}, reelyard.Unauthorized, None),
    (403, {}, reelyard.Unauthorized, None),
    (404, {"code": 404, "reason": "failed to find worker"}, reelyard.NotFound, 404),
    (404, {"message": "no Route matched with those values"}, reelyard.NotFound, None),
    (206, {"code": 435, "reason": "no recorded data"}, reelyard.NoRecordedData, 435),
    (206, {"code": 65, "reason": "request not completed"}, reelyard.NotCompleted, 65),
    (429, {"message": "API rate limit exceeded"}, reelyard.RateLimited, None),
    (500, {"code": 15, "sid": ""}, reelyard.ServerError, 15),
    (500, {"code": 65, "reason": "a code of another status"}, reelyard.ServerError, 65),
    (302, b"", reelyard.ApiError, None),
    (418, b"\xff not json", reelyard.BadRequest, None),
]  # fmt: skip


@pytest.mark.parametrize(("http", "body", "error", "code"), REFUSALS)
def test_a_refusal_is_its_class(
    speak: Speak, service: Service, http: int, body: object, error: type[reelyard.ApiError], code: int | None
) -> None:
    service.says(Says(http, body))
    with pytest.raises(reelyard.ApiError) as refused:
        speak("stop", RECORDING)
    assert type(refused.value) is error
    assert (refused.value.http, refused.value.code) == (http, code)
    assert str(refused.value).startswith(f"HTTP {http}")


def test_a_refusal_tells_the_services_words_and_no_more_than_500_characters_of_them(
    speak: Speak, service: Service
) -> None:
    service.says(Says(400, {"code": 2, "reason": "x" * 10_000}))
    with pytest.raises(reelyard.BadRequest) as refused:
        speak("query", RECORDING)
    assert refused.value.reason == "x" * 500


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"\xff", b"[" * 100_000, b'{"a":'])
def test_a_success_that_is_no_json_object_is_an_error(speak: Speak, service: Service, body: bytes) -> None:
    service.says(Says(200, body))
    with pytest.raises(reelyard.ProtocolError):
        speak("query", RECORDING)
    assert len(service.asked) == 1


def test_an_acquire_without_a_resource_id_is_an_error(speak: Speak, service: Service) -> None:
    service.says(Says(200, {"cname": "c"}))
    with pytest.raises(reelyard.ProtocolError, match="resourceId"):
        speak("acquire", "c", "1")


def test_an_answer_that_never_ends_is_cut(speak: Speak, service: Service) -> None:
    service.says(Says(200, b" " * (9 * 1024 * 1024)))
    with pytest.raises(reelyard.ProtocolError, match="more than"):
        speak("query", RECORDING)


def test_a_redirect_is_not_followed_with_the_keys(speak: Speak, service: Service, other: Service) -> None:
    service.says(Says(307, {}, {"Location": f"{other.url}/steal"}))
    other.says(Says(200, {}))
    with pytest.raises(reelyard.ApiError):
        speak("query", RECORDING)
    assert other.asked == []


def test_no_error_tells_a_secret(speak: Speak, service: Service) -> None:
    service.says(Says(400, {"code": 2, "reason": "bad"}))
    storage = reelyard.StorageConfig(vendor=1, region=0, bucket="b", access_key="AK", secret_key="planted-store-secret")
    with pytest.raises(reelyard.BadRequest) as refused:
        speak("start", reelyard.Resource("c", "1", "r"), reelyard.StartRequest(storage_config=storage))
    told = f"{refused.value!r} {refused.value}"
    assert SECRET not in told
    assert "planted-store-secret" not in told


def test_every_error_is_a_reelyard_error() -> None:
    named = [getattr(reelyard, name) for name in reelyard.__all__]
    errors = [thing for thing in named if isinstance(thing, type) and issubclass(thing, Exception)]
    assert len(errors) == 18
    assert all(issubclass(error, reelyard.ReelyardError) for error in errors)
