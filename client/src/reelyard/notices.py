"""Notices (webhooks, §7): is it theirs, and what does it say."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from reelyard.answers import RecordedFile, file_list, text, whole
from reelyard.errors import NoticeMalformed, SignatureMismatch

MAX_NOTICE_BYTES: Final = 1024 * 1024

#: Header (lower case) and hash, the stronger first.
_SIGNATURES: Final = (("agora-signature-v2", hashlib.sha256), ("agora-signature", hashlib.sha1))


class Event(IntEnum):
    """The events a backend most often asks for; a notice's `event` may be any number."""

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
    AUDIO_STREAM_STATE = 43
    VIDEO_STREAM_STATE = 44
    SNAPSHOT_FILE = 45
    WEB_RECORDER_STARTED = 70
    WEB_RECORDER_STOPPED = 71


@dataclass(frozen=True, slots=True)
class Notice:
    """`sequence` orders the notices of one sid; `details` is the event's own part. `raw` is the whole envelope."""

    notice_id: str
    product_id: int
    event: int
    notify_ms: int
    cname: str
    uid: str
    sid: str
    sequence: int
    sent_ms: int
    service_type: int
    service_scene: str
    details: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def dedupe_key(self) -> str:
        """The same for a notice and its repetitions, for no other two.

        `notify_ms` is renewed on each repetition, so it is no part; sid, event and sequence are, for services that give
        one noticeId to several notices.
        """
        return f"{self.notice_id}:{self.sid}:{self.event}:{self.sequence}"

    @property
    def message(self) -> str:
        return text(self.details.get("msgName"))

    @property
    def files(self) -> tuple[RecordedFile, ...]:
        return file_list(self.details)


def verify_notice(raw_body: bytes, headers: Mapping[str, str], secret: str | bytes) -> Notice:
    """The notice in a request, once its signature is proven over the very bytes that came.

    `Agora-Signature-V2` (HMAC-SHA256) counts where it is present, else `Agora-Signature` (HMAC-SHA1). `headers` is any
    mapping; names in any case. Raises `SignatureMismatch`, `NoticeMalformed`. Answer 200 with a JSON body within 10 s.
    """
    if len(raw_body) > MAX_NOTICE_BYTES:
        raise NoticeMalformed(f"the notice has more than {MAX_NOTICE_BYTES} bytes")
    key = secret.encode() if isinstance(secret, str) else secret
    if not key:
        raise ValueError("the secret is empty: everybody could sign with it")
    given = {name.lower(): value for name, value in headers.items()}
    for name, digest in _SIGNATURES:
        if (signature := given.get(name)) is not None:
            expected = hmac.new(key, raw_body, digest).hexdigest()
            if not hmac.compare_digest(expected.encode(), signature.strip().lower().encode(errors="replace")):
                raise SignatureMismatch(f"{name} is not that of this body and secret")
            return _parse(raw_body)
    raise SignatureMismatch("the notice has no signature")


def _parse(raw_body: bytes) -> Notice:
    try:
        envelope = json.loads(raw_body)
    except (ValueError, RecursionError):
        raise NoticeMalformed("the notice is not JSON") from None
    if not isinstance(envelope, dict) or not isinstance(payload := envelope.get("payload"), dict):
        raise NoticeMalformed("the notice has no payload")
    event = whole(envelope.get("eventType"))
    if event is None:
        raise NoticeMalformed("the notice has no eventType")
    details = payload.get("details")
    return Notice(
        notice_id=text(envelope.get("noticeId") or envelope.get("notificationId")),  # the second: until 2019
        product_id=whole(envelope.get("productId")) or 0,
        event=event,
        notify_ms=whole(envelope.get("notifyMs") or envelope.get("eventMs")) or 0,
        cname=text(payload.get("cname")),
        uid=text(payload.get("uid")),
        sid=text(payload.get("sid")),
        sequence=whole(payload.get("sequence")) or 0,
        sent_ms=whole(payload.get("sendts")) or 0,
        service_type=whole(payload.get("serviceType")) or 0,
        service_scene=text(payload.get("serviceScene")),
        details=details if isinstance(details, dict) else {},
        raw=envelope,
    )
