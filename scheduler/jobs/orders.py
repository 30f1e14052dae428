"""What a caller orders of a job: the same shape by REST and by Celery, judged here for both."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models.vocabulary.errors import BadParameter
from net.http import address
from scheduler.jobs import waits
from scheduler.jobs.view import Terms

MAX_UID: Final = 2**32 - 1
MAX_IDLE_S: Final = 2_592_000
#: As much as the gateway takes; Celery's door has no other bound.
MAX_ORDER_CHARS: Final = 64 * 1024
#: "Until I say stop" ends some day: the contract's longest maxIdleTime.
LONGEST_MS: Final = 30 * 86_400_000
SLACK_MS: Final = 60_000

Name = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]
Uid = Annotated[str, StringConstraints(min_length=1, max_length=10, pattern=r"^[1-9][0-9]*$")]
UnixMs = Annotated[int, Field(ge=0, le=10**14)]


class Ordered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Credentials(Ordered):
    """Customer key and secret at the endpoint."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(repr=False)
    secret: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(repr=False)


class JobOrder(Ordered):
    """Keep this channel recorded, so, until I say stop."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]*$")]
    cname: Name
    uids: Annotated[
        tuple[Uid, ...], Field(max_length=8)
    ] = ()  # the main one and its spares; made up to two by random ones
    mode: Literal["mix", "individual", "web"] = "mix"
    start: dict[str, Any] = Field(default_factory=dict, repr=False)  # clientRequest of start
    acquire: dict[str, Any] = Field(default_factory=dict, repr=False)  # clientRequest of acquire
    not_before_ms: UnixMs | None = None
    until_ms: UnixMs | None = None
    for_s: Annotated[int, Field(ge=1, le=LONGEST_MS // 1000)] | None = None
    start_within_s: Annotated[int, Field(ge=10, le=86_400)] = 900
    max_rounds: Annotated[int, Field(ge=1, le=50)] = 6
    endpoints: Annotated[tuple[str, ...], Field(max_length=2)] = ()  # none: this farm
    remote_appid: Annotated[str, StringConstraints(max_length=64)] = ""
    credentials: Credentials | None = Field(None, repr=False)


def parse(found: Mapping[str, Any]) -> JobOrder:
    """Raises `BadParameter` naming the first field that is wrong; no value is repeated, it may be a secret."""
    try:
        order = JobOrder.model_validate(dict(found))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise BadParameter(f"{where}: {str(first['msg']).lower()}") from None
    _check_text(order)
    for url in order.endpoints:
        if address(url).query:
            raise BadParameter("endpoints: a base URL has no query")
    if any(int(uid) > MAX_UID for uid in order.uids) or len(set(order.uids)) != len(order.uids):
        raise BadParameter(f"uids: different numbers from 1 to {MAX_UID}")
    if order.until_ms is not None and order.for_s is not None:
        raise BadParameter("until_ms and for_s: one of them")
    return order


def _check_text(order: JobOrder) -> None:
    try:
        order.cname.encode()
        size = len(json.dumps([order.start, order.acquire], allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        raise BadParameter("cname, start and acquire: only what JSON and UTF-8 can hold") from None
    if size > MAX_ORDER_CHARS:
        raise BadParameter(f"start and acquire: at most {MAX_ORDER_CHARS} characters")


def check_times(order: JobOrder, now_ms: int) -> None:
    """Raises `BadParameter`."""
    begin_ms = max(now_ms, order.not_before_ms or 0)
    if begin_ms > now_ms + LONGEST_MS:
        raise BadParameter("not_before_ms: at most 30 days ahead")
    if order.until_ms is not None and not begin_ms < order.until_ms <= begin_ms + LONGEST_MS:
        raise BadParameter("until_ms: after now and not_before_ms, by 30 days at most")


def terms(order: JobOrder, now_ms: int) -> Terms:
    start_within_ms = order.start_within_s * 1000
    for_ms = None if order.for_s is None else order.for_s * 1000
    begin_ms = max(now_ms, order.not_before_ms or 0)
    length_ms = LONGEST_MS if for_ms is None else start_within_ms + for_ms
    last_ms = begin_ms + length_ms if order.until_ms is None else order.until_ms
    return Terms(
        cname=order.cname,
        mode=order.mode,
        uids=_two(order.uids),
        max_idle_ms=_max_idle_s(order.start) * 1000,
        file_prefix=_prefix(order.start),
        domains=max(1, len(order.endpoints)),
        farm=not order.endpoints,
        not_before_ms=order.not_before_ms or 0,
        until_ms=order.until_ms,
        for_ms=for_ms,
        start_within_ms=start_within_ms,
        max_rounds=order.max_rounds,
        deadline_ms=last_ms + waits.STOP_WITHIN_MS + SLACK_MS,
    )


def _two(uids: tuple[str, ...]) -> tuple[str, ...]:
    """Two at least: the same one is never in the channel twice, so an attempt after the first needs another."""
    made = list(uids)
    while len(made) < 2:
        made.append(str(1 + secrets.randbelow(MAX_UID)))
        made = list(dict.fromkeys(made))
    return tuple(made)


def _max_idle_s(start: Mapping[str, Any]) -> int:
    recording = start.get("recordingConfig")
    said = recording.get("maxIdleTime") if isinstance(recording, dict) else None
    known = isinstance(said, int) and not isinstance(said, bool) and 5 <= said <= MAX_IDLE_S
    return int(said) if known and said is not None else 30  # the contract's default; what is wrong, start refuses


def _prefix(start: Mapping[str, Any]) -> str:
    storage = start.get("storageConfig")
    parts = storage.get("fileNamePrefix") if isinstance(storage, dict) else None
    if not isinstance(parts, list):
        return ""
    return "".join(f"{str(part)[:128]}/" for part in parts[:16])
