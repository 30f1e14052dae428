"""The error tree. Everything that the package raises on purpose is a `ReelyardError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


class ReelyardError(Exception):
    """Something failed."""


class TransportError(ReelyardError):
    """No answer: not connected, cut, or too late. Whether the request took effect is not known."""

    def __init__(self, url: str, text: str) -> None:
        self.url = url
        self.text = text
        super().__init__(url, text)

    def __str__(self) -> str:
        return f"no answer from {self.url}: {self.text}"


class ProtocolError(ReelyardError):
    """The answer is none of the contract's: no JSON object, too long, or without what it must have."""


class ApiError(ReelyardError):
    """The service refused.

    `http`    the status.
    `code`    the contract's code, None where the body has none.
    `reason`  the service's own words, at most 500 characters.
    `retry_after_s`  how long it asks to wait, if it does.
    `repeated`  an earlier try of the same call got lost, or failed on the service's side, and may have taken effect.
    """

    def __init__(
        self,
        http: int,
        code: int | None,
        reason: str,
        *,
        retry_after_s: float | None = None,
        repeated: bool = False,
    ) -> None:
        self.http = http
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.repeated = repeated
        super().__init__(http, code, reason)

    def __str__(self) -> str:
        code = "" if self.code is None else f", code {self.code}"
        return f"HTTP {self.http}{code}: {self.reason}"


class BadRequest(ApiError):
    """40x: the request is wrong; repeating it changes nothing."""


class TaskConflict(BadRequest):
    """Code 53: this cname and uid are being recorded already, under another resourceId."""


class InvalidOperation(BadRequest):
    """Code 49: the recording is ending already."""


class ResourceExpired(BadRequest):
    """Code 433: more than five minutes since acquire. Acquire again."""


class TooManyRecordings(BadRequest):
    """Code 406: the app records as many channels at once as it may."""


class Unauthorized(ApiError):
    """401, 403: the customer key or secret is wrong, or may not use this app."""


class NotFound(ApiError):
    """404: no recording of that sid is running; it ended, died, or never was."""


class NotCompleted(ApiError):
    """206 with code 65: the service works on it and has no result yet."""


class NoRecordedData(ApiError):
    """206 with code 435: nobody published anything, so there is no file."""


class RateLimited(ApiError):
    """429: too many requests for this app."""


class ServerError(ApiError):
    """50x: the service failed."""


class NoticeError(ReelyardError):
    """A notice that cannot be trusted or read."""


class SignatureMismatch(NoticeError):
    """The notice is not signed, or not with this secret. Answer 401 and drop it."""


class NoticeMalformed(NoticeError):
    """The notice is signed and still not of the contract's shape."""


#: The contract's codes that have a class of their own, whatever status below 500 carries them.
_BY_CODE: Final[Mapping[int, type[ApiError]]] = {
    49: InvalidOperation,
    53: TaskConflict,
    65: NotCompleted,
    406: TooManyRecordings,
    433: ResourceExpired,
    435: NoRecordedData,
}
_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    429: RateLimited,
}
_MAX_REASON: Final = 500


def error_of(
    http: int, body: Mapping[str, Any], *, retry_after_s: float | None = None, repeated: bool = False
) -> ApiError | None:
    """What an answer's status and body mean; None: success. 201 (already started) is one."""
    if http in (200, 201, 202):
        return None
    code = _code(body.get("code"))
    found = body.get("reason") or body.get("message") or "no reason given"
    reason = str(found)[:_MAX_REASON]
    return _class(http, code)(http, code, reason, retry_after_s=retry_after_s, repeated=repeated)


def _class(http: int, code: int | None) -> type[ApiError]:
    if http >= 500:
        return ServerError
    if http in _BY_STATUS:
        return _BY_STATUS[http]
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    return BadRequest if http >= 400 else ApiError


def _code(value: object) -> int | None:
    """A code; older answers have it in quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else None
