"""Events that a receiver is told of (contract §7): their numbers, names and service, and what a notice looks like. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from enum import IntEnum, IntFlag
from typing import Any, Final

from models.vocabulary import keys
from models.vocabulary.spec import Mode
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import TICKS_PER_S

PRODUCT_CLOUD_RECORDING: Final = 3


class Event(IntEnum):
    ERROR = 1
    WARNING = 2
    STATUS_UPDATE = 3
    FILE_INFOS = 4
    SESSION_EXIT = 11
    SESSION_FAILOVER = 12
    UPLOADER_STARTED = 30
    UPLOADED = 31
    BACKUPED = 32
    UPLOADING_PROGRESS = 33
    RECORDER_STARTED = 40
    RECORDER_LEAVE = 41
    SLICE_START = 42
    AUDIO_STREAM = 43
    VIDEO_STREAM = 44
    SNAPSHOT_FILE = 45


class Service(IntEnum):
    """serviceType, and `module` of events 1 and 2."""

    SERVICE = 0
    RECORDER = 1
    UPLOADER = 2


class Module(IntEnum):
    """`module` of events 1 and 2: numbered otherwise than serviceType."""

    RECORDER = 0
    UPLOADER = 1
    SERVICE = 2


class Leave(IntFlag):
    """leaveCode of event 41."""

    INIT_FAILED = 0
    SIGNAL = 2
    NO_USERS = 4
    TIMER = 8
    CLIENT_LEAVE = 16


#: errorLevel of event 1: 1 debug … 5 fatal.
FATAL: Final = 5
SERIOUS: Final = 4
#: warnCode of event 2, module uploader.
UPLOAD_AGAIN: Final = 31
UPLOAD_TO_BACKUP: Final = 32
#: errorCode of event 1, module service.
UPLOAD_TIMEOUT: Final = 50

_ROWS: Final[Mapping[Event, tuple[Service, str]]] = {
    Event.ERROR: (Service.SERVICE, "cloud_recording_error"),
    Event.WARNING: (Service.SERVICE, "cloud_recording_warning"),
    Event.STATUS_UPDATE: (Service.SERVICE, "cloud_recording_status_update"),
    Event.FILE_INFOS: (Service.SERVICE, "cloud_recording_file_infos"),
    Event.SESSION_EXIT: (Service.SERVICE, "session_exit"),
    Event.SESSION_FAILOVER: (Service.SERVICE, "session_failover"),
    Event.UPLOADER_STARTED: (Service.UPLOADER, "uploader_started"),
    Event.UPLOADED: (Service.UPLOADER, "uploaded"),
    Event.BACKUPED: (Service.UPLOADER, "backuped"),
    Event.UPLOADING_PROGRESS: (Service.UPLOADER, "uploading_progress"),
    Event.RECORDER_STARTED: (Service.RECORDER, "recorder_started"),
    Event.RECORDER_LEAVE: (Service.RECORDER, "recorder_leave"),
    Event.SLICE_START: (Service.RECORDER, "recorder_slice_start"),
    Event.AUDIO_STREAM: (Service.RECORDER, "recorder_audio_stream_state_changed"),
    Event.VIDEO_STREAM: (Service.RECORDER, "recorder_video_stream_state_changed"),
    Event.SNAPSHOT_FILE: (Service.RECORDER, "recorder_snapshot_file"),
}
_SCENES: Final = {Mode.MIX: "rtc_record", Mode.INDIVIDUAL: "rtc_record", Mode.WEB: "web_record"}
#: trackType of a file or slice, by streamTypes.
TRACK_TYPES: Final = {0: "audio", 1: "video", 2: "audio_and_video"}
#: recordingMode of event 3: the older, Chinese reading of the contract (§0).
RECORDING_MODES: Final = {Mode.MIX: 0, Mode.INDIVIDUAL: 1, Mode.WEB: 0}


def details(event: Event, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"msgName": _ROWS[event][1], **fields}


def error(module: Module, code: int, text: str, *, level: int = FATAL) -> dict[str, Any]:
    """Fields of event 1."""
    return {"module": int(module), "errorLevel": level, "errorCode": code, "stat": 0, "errorMsg": text}


def file_items(named: Iterable[tuple[str, int]], *, stream_types: int) -> list[dict[str, Any]]:
    """fileList of a mixed recording, as query, stop and event 31 give it: names and where they start (unix ms)."""
    item = {"trackType": TRACK_TYPES[stream_types], "uid": "0", "mixedAllUser": True, "isPlayable": True}
    return [{"fileName": name} | item | {"sliceStartTime": started_ms} for name, started_ms in named]


def stream_items(
    prefix: tuple[str, ...], sid: str, cname: str, streams: Iterable[tuple[str, int]], *, t0_ms: int
) -> list[dict[str, Any]]:
    """fileList of an individual recording: one playlist of each user's stream, from the tracks and their first ticks."""
    return [
        {
            "fileName": keys.stream_playlist_key(prefix, sid, cname, stream := Stream.of(track)),
            "trackType": stream.medium,
            "uid": stream.uid,
            "mixedAllUser": False,
            "isPlayable": stream.medium == "audio",  # as the contract's examples have it: pictures without sound
            "sliceStartTime": t0_ms + start_90k * 1000 // TICKS_PER_S,
        }
        for track, start_90k in streams
    ]


def envelope(
    *,
    notice_id: str,
    event: int,
    details: Mapping[str, Any],
    cname: str,
    uid: str,
    sid: str,
    sequence: int,
    mode: Mode,
    told_ms: int,
    notify_ms: int,
) -> dict[str, Any]:
    """The body of a notice; `notify_ms` is renewed at every try, all else stays."""
    known = event in _ROWS
    return {
        "noticeId": notice_id,
        "productId": PRODUCT_CLOUD_RECORDING,
        "eventType": event,
        "notifyMs": notify_ms,
        "payload": {
            "cname": cname,
            "uid": uid,
            "sid": sid,
            "sequence": sequence,
            "sendts": told_ms,
            "serviceType": int(_ROWS[Event(event)][0]) if known else int(Service.SERVICE),
            "serviceScene": _SCENES[mode],
            "details": dict(details),
        },
    }


def raw(body: Mapping[str, Any]) -> bytes:
    """The very bytes that are sent and signed."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def signatures(secret: str, body: bytes) -> dict[str, str]:
    """Both headers: HMAC-SHA1 and HMAC-SHA256 of the body, in hex."""
    key = secret.encode()
    return {
        "Agora-Signature": hmac.new(key, body, hashlib.sha1).hexdigest(),
        "Agora-Signature-V2": hmac.new(key, body, hashlib.sha256).hexdigest(),
    }
