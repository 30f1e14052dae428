"""What is answered, in one shape whatever version of the contract spoke (§0): names, types and spellings made one.

What the service said is never lost: every answer has it as `raw`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

from reelyard.errors import ProtocolError
from reelyard.requests import Mode

Json: TypeAlias = Mapping[str, Any]


class Status(IntEnum):
    """Where a recording stands. 4 and 5 mean that it records; UNKNOWN is what this package does not know."""

    UNKNOWN = -1
    NOT_STARTED = 0
    INITIALISED = 1
    STARTING = 2
    PARTLY_READY = 3
    READY = 4
    IN_PROGRESS = 5
    STOPPING = 6
    STOPPED = 7
    EXITED = 8
    FAILED = 20

    @property
    def recording(self) -> bool:
        return self in (Status.READY, Status.IN_PROGRESS)

    @property
    def ended(self) -> bool:
        return self in (Status.EXITED, Status.FAILED)


class Uploading(StrEnum):
    """`BACKUPED`: all is uploaded, some of it to the vendor's own store, from where it goes on to yours."""

    UPLOADED = "uploaded"
    BACKUPED = "backuped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Resource:
    """The right to start one recording, good for five minutes. Persist it before start: a start is repeated with it."""

    cname: str
    uid: str
    resource_id: str = field(repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording's identity: all that query, update and stop need. `Recording(**row)` makes it from a table's row.

    `already_started`: this start came after one with the same resource. A service may then leave out the sid ("").
    """

    resource_id: str = field(repr=False)
    sid: str
    cname: str
    uid: str
    mode: Mode = Mode.MIX
    already_started: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """`uid` "0" is all users mixed; `track_type` audio, video, audio_and_video or "" where it was not told."""

    name: str
    track_type: str = ""
    uid: str = "0"
    mixed_all_user: bool = False
    is_playable: bool = True
    slice_start_ms: int = 0


@dataclass(frozen=True, slots=True)
class ExtensionState:
    """How an extension service of mode web stands: `state` init, inProgress or exit."""

    name: str
    state: str
    payload: Json


@dataclass(frozen=True, slots=True)
class RecordingState:
    """The answer of query."""

    recording: Recording
    status: Status
    files: tuple[RecordedFile, ...]
    slice_start_ms: int
    extensions: tuple[ExtensionState, ...]
    raw: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer of stop. Without files and UNKNOWN: not waited for, or the first answer got lost on its way."""

    recording: Recording
    files: tuple[RecordedFile, ...]
    uploading: Uploading
    extensions: tuple[ExtensionState, ...]
    raw: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """A line of the list of recordings; times are Unix ms, None where it has not come to that."""

    sid: str
    cname: str
    uid: str
    mode: str
    status: Status
    reason: str
    created_ms: int | None
    started_ms: int | None
    ended_ms: int | None
    raw: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordingPage:
    """`next` is the `before` of the following page; "" ends the list."""

    recordings: tuple[RecordingSummary, ...]
    next: str


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """Everything the farm knows of a recording, kept 30 days from its end. The lists hold the farm's own objects."""

    summary: RecordingSummary
    resource_id: str = field(repr=False)
    what_happened: str
    fault: Json | None
    warnings: tuple[str, ...]
    files: tuple[Json, ...]
    holes: tuple[Json, ...]
    segments: Json
    raw: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class WhipToken:
    """What a publisher needs: a bearer token, where to send its offer, and until when (Unix s) it is good."""

    token: str = field(repr=False)
    url: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class PulledUser:
    """A user of a channel that is a URL; `source` is its scheme and host, for the rest may be secret."""

    uid: str
    source: str


def resource(body: Json, cname: str, uid: str, warnings: tuple[str, ...]) -> Resource:
    return Resource(cname, uid, _must(body, "resourceId"), warnings)


def recording(body: Json, of: Resource, mode: Mode, *, already_started: bool, warnings: tuple[str, ...]) -> Recording:
    sid = text(body.get("sid")) if already_started else _must(body, "sid")
    return Recording(of.resource_id, sid, of.cname, of.uid, mode, already_started, warnings)


def state(body: Json, of: Recording) -> RecordingState:
    told = _object(body.get("serverResponse"))
    return RecordingState(
        recording=of,
        status=status(told.get("status")),
        files=file_list(told),
        slice_start_ms=whole(told.get("sliceStartTime")) or 0,
        extensions=_extensions(told),
        raw=body,
    )


def stopped(body: Json, of: Recording) -> Stopped:
    told = _object(body.get("serverResponse"))
    extensions = _extensions(told)
    said = told.get("uploadingStatus") or next(
        (e.payload["uploadingStatus"] for e in extensions if "uploadingStatus" in e.payload), ""
    )
    return Stopped(of, file_list(told), uploading(said), extensions, raw=body)


def summary(body: Json) -> RecordingSummary:
    return RecordingSummary(
        sid=_must(body, "sid"),
        cname=text(body.get("cname")),
        uid=text(body.get("uid")),
        mode=text(body.get("mode")),
        status=status(body.get("status")),
        reason=text(body.get("reason")),
        created_ms=whole(body.get("created_ms")),
        started_ms=whole(body.get("started_ms")),
        ended_ms=whole(body.get("ended_ms")),
        raw=body,
    )


def page(body: Json) -> RecordingPage:
    return RecordingPage(tuple(map(summary, objects(body.get("recordings")))), text(body.get("next")))


def record(body: Json) -> RecordingRecord:
    fault, warnings = body.get("fault"), body.get("warnings")
    return RecordingRecord(
        summary=summary(body),
        resource_id=text(body.get("resource_id")),
        what_happened=text(body.get("what_happened")),
        fault=fault if isinstance(fault, Mapping) else None,
        warnings=tuple(map(text, warnings)) if isinstance(warnings, list) else (),
        files=objects(body.get("files")),
        holes=objects(body.get("holes")),
        segments=_object(body.get("segments")),
        raw=body,
    )


def pulled_user(body: Json) -> PulledUser:
    return PulledUser(_must(body, "uid"), text(body.get("source")))


def pulled_users(body: Json) -> tuple[PulledUser, ...]:
    return tuple(map(pulled_user, objects(body.get("users"))))


def whip_token(body: Json) -> WhipToken:
    return WhipToken(_must(body, "token"), text(body.get("url")), whole(body.get("expires_s")) or 0)


def file_list(told: Json) -> tuple[RecordedFile, ...]:
    """The files of a serverResponse: a name (mode string), items (mode json), or items inside web's extensions."""
    start_ms = whole(told.get("sliceStartTime")) or 0
    found = list(_items(told.get("fileList"), start_ms))
    for extension in _extensions(told):
        found += _items(extension.payload.get("fileList"), start_ms)
    return tuple(found)


def _items(listed: object, start_ms: int) -> Iterator[RecordedFile]:
    match listed:
        case str():
            if listed:
                yield RecordedFile(listed, slice_start_ms=start_ms)
        case list():
            for item in listed:
                if isinstance(item, str) and item:
                    yield RecordedFile(item, slice_start_ms=start_ms)
                elif isinstance(item, Mapping):
                    yield file_item(item, start_ms)
        case _:
            return


def file_item(item: Json, start_ms: int = 0) -> RecordedFile:
    """One item. Older answers have everything in quotes; `filename` is web's spelling and that of 2021."""
    return RecordedFile(
        name=text(item.get("fileName") or item.get("filename")),
        track_type=text(item.get("trackType")),
        uid=text(item.get("uid")) or "0",
        mixed_all_user=truth(item.get("mixedAllUser"), default=False),
        is_playable=truth(item.get("isPlayable"), default=True),
        slice_start_ms=whole(item.get("sliceStartTime")) or start_ms,
    )


def _extensions(told: Json) -> tuple[ExtensionState, ...]:
    def one(item: Json) -> ExtensionState:
        payload = _object(item.get("payload") or item.get("playload"))  # the second is the reference's own typing error
        return ExtensionState(text(item.get("serviceName")), text(payload.get("state")), payload)

    return tuple(map(one, objects(told.get("extensionServiceState"))))


def status(value: object) -> Status:
    number = whole(value)
    return Status(number) if number in set(Status) else Status.UNKNOWN


def uploading(value: object) -> Uploading:
    said = text(value)
    return Uploading(said) if said in set(Uploading) else Uploading.UNKNOWN  # "unknow" is out there, too


def text(value: object) -> str:
    """A string, or a number as one; anything else is absent."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def whole(value: object) -> int | None:
    """A whole number, in quotes or not."""
    if isinstance(value, str) and len(value) <= 20:
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def truth(value: object, *, default: bool) -> bool:
    match value:
        case bool():
            return value
        case "true" | "True" | "1" | 1:
            return True
        case "false" | "False" | "0" | 0:
            return False
        case _:
            return default


def objects(value: object) -> tuple[Json, ...]:
    found: Sequence[object] = value if isinstance(value, list) else ()
    return tuple(item for item in found if isinstance(item, Mapping))


def _object(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _must(body: Json, name: str) -> str:
    found = text(body.get(name))
    if not found:
        raise ProtocolError(f"the answer has no {name}")
    return found
