"""The table of refusals, answer by answer."""

from __future__ import annotations

import httpcore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, NoCredentialsError
from botocore.parsers import ResponseParserError

from models.vocabulary.errors import (
    AddressRefused,
    ReelyardError,
    StorageError,
    StoreCorrupt,
    StoreRefused,
    StoreTokenExpired,
    StoreUnavailable,
)
from stores.refusals import REFUSED, translate

SECRET = "StringToSign: PUT AKEXAMPLE secret"


def told(error: Exception) -> ReelyardError:
    return translate(error, verb="write", bucket="lectures", region="eu-west-1", host="s3.example")


def answered(code: str, status: int) -> ReelyardError:
    response = {"Error": {"Code": code, "Message": SECRET}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return told(ClientError(response, "PutObject"))  # type: ignore[arg-type]  # as much of it as is read


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_what_waiting_does_not_heal_is_refused_in_words(code: str) -> None:
    error = answered(code, 403)
    assert type(error) is StoreRefused
    assert not error.retryable
    assert "{" not in error.text
    assert len(error.text.split()) > 6


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, StoreUnavailable),
        ("InternalError", 500, StoreUnavailable),
        ("InsufficientStorage", 507, StoreUnavailable),
        ("TooManyRequests", 429, StoreUnavailable),
        ("RequestTimeout", 400, StoreUnavailable),
        ("RequestTimeTooSkewed", 403, StoreUnavailable),
        ("Whatever", 502, StoreUnavailable),
        ("Whatever", 400, StoreRefused),
        ("BadDigest", 400, StoreCorrupt),
        ("ExpiredToken", 400, StoreTokenExpired),
        ("403", 403, StoreRefused),
        ("301", 301, StoreRefused),
        ("", 500, StoreUnavailable),
    ],
)
def test_an_answer_becomes(code: str, status: int, kind: type[StorageError]) -> None:
    assert type(answered(code, status)) is kind


@pytest.mark.parametrize("code", [*sorted(REFUSED), "BadDigest", "SlowDown", "Whatever"])
def test_a_vendors_own_words_are_never_passed_on(code: str) -> None:
    assert "AKEXAMPLE" not in str(answered(code, 403).body())


def test_a_code_cannot_carry_markup_or_length() -> None:
    assert "<script>" not in answered("<script>" + "x" * 10_000, 400).text
    assert len(answered("x" * 10_000, 400).text) < 300


def test_an_error_without_a_response_is_no_crash() -> None:
    broken = ConnectionClosedError(endpoint_url="http://s3.example")
    vars(broken)["response"] = None  # as met in the wild
    assert type(told(broken)) is StoreUnavailable


@pytest.mark.parametrize(
    "error",
    [
        httpcore.ReadTimeout(),
        httpcore.ConnectError(),
        httpcore.RemoteProtocolError(),
        ResponseParserError("half an XML"),
    ],
)
def test_what_breaks_on_the_way_may_be_tried_again(error: Exception) -> None:
    assert type(told(error)) is StoreUnavailable


def test_our_own_errors_pass_as_they_are() -> None:
    ours = AddressRefused()
    assert told(ours) is ours


def test_what_nobody_foresaw_is_still_a_storage_error() -> None:
    assert isinstance(told(NoCredentialsError()), StorageError)
    assert isinstance(told(RuntimeError(SECRET)), StorageError)
    assert SECRET not in told(RuntimeError(SECRET)).text
