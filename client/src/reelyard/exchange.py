"""One call as a conversation without a socket: a generator yields what to send and how long to pause, and is given answers.

The shells in `client` only carry: they send a `Send` and give back a `Reply` or a `Lost`, and sleep for a `Pause`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from reelyard.errors import ApiError, ProtocolError, ReelyardError, ServerError, TransportError, error_of
from reelyard.ladder import Climb, Ladder, host

T = TypeVar("T")

WARNING_HEADER: Final = "x-reelyard-warning"
#: A pause may take longer than was asked for; the try after it then has this, since a socket takes no less than nothing.
LEAST_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Send:
    """One HTTP request. It has `timeout_s` for each step of it, and must be over at `until_s` of the client's clock."""

    method: str
    url: str
    body: bytes | None = field(repr=False)
    timeout_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    seconds_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; header names in lower case."""

    http: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer. `sent` False: the request surely never left."""

    text: str
    sent: bool
    cause: BaseException | None = None


Flow: TypeAlias = Generator[Send | Pause, Reply | Lost | None, T]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no error."""

    http: int
    body: Mapping[str, Any]
    warnings: tuple[str, ...]
    repeated: bool


class Exchange:
    """Knows the hosts, the clock and the limits; asks until there is an answer, a final error, or no time.

    A host that answers after others did not is asked first from then on.
    """

    def __init__(self, urls: Sequence[str], *, timeout_s: float, deadline_s: float, now_s: Callable[[], float]) -> None:
        if timeout_s <= 0 or deadline_s <= 0:
            raise ValueError("timeout_s and deadline_s must be above 0")
        self._urls = [checked_url(url) for url in urls]
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._now_s = now_s
        self._preferred = 0

    def ask(self, method: str, path: str, ladder: Ladder, content: object = None) -> Flow[Answer]:
        """Raises whatever `reelyard.errors` has for the last answer, or `TransportError`."""
        body = None if content is None else json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
        first, climb = self._preferred, Climb(ladder)
        until_s = self._now_s() + self._deadline_s
        repeated = False
        while True:
            number = (first + host(climb.lost, len(self._urls))) % len(self._urls)
            timeout_s = min(self._timeout_s, max(LEAST_S, until_s - self._now_s()))
            got = yield Send(method, self._urls[number] + path, body, timeout_s, until_s)
            try:
                answer = _judged(got, self._urls[number], repeated)
            except ReelyardError as error:
                if isinstance(got, Reply):
                    self._preferred = number
                pause_s = climb.pause_s(error)
                if pause_s is None or self._now_s() + pause_s >= until_s:
                    raise
                repeated = repeated or isinstance(error, ServerError) or (isinstance(got, Lost) and got.sent)
            else:
                self._preferred = number
                return answer
            yield Pause(pause_s)


def _judged(got: Reply | Lost | None, url: str, repeated: bool) -> Answer:
    match got:
        case Lost():
            raise TransportError(url, got.text) from got.cause
        case Reply():
            return _answer(got, repeated)
    raise AssertionError("a Send is answered with a Reply or a Lost")


def _answer(reply: Reply, repeated: bool) -> Answer:
    body = _object(reply.body)
    error: ApiError | None = error_of(
        reply.http, body or {}, retry_after_s=retry_after_s(reply.headers), repeated=repeated
    )
    if error is not None:
        raise error
    if body is None:
        raise ProtocolError(f"HTTP {reply.http}: the answer is not a JSON object")
    said = reply.headers.get(WARNING_HEADER, "")
    return Answer(reply.http, body, tuple(said.split("; ")) if said else (), repeated)


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """RFC 9110 §10.2.3: seconds, or a date, which is held against the answer's own `Date`, not this machine's clock."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 10:
        return float(said)
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())


def checked_url(url: str) -> str:
    """A base URL without its last slash. Raises ValueError: credentials, query or fragment have no place in it."""
    parts = urlsplit(url)
    if (
        parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    ):  # a port out of range raises, too
        raise ValueError("a base URL is like https://recordings.example.org")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("a base URL has no user, query or fragment")
    return url.rstrip("/")
