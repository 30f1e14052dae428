"""Notices: the signature over the very bytes, and what they say."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reelyard
from reelyard import Event, RecordedFile, verify_notice

SECRET = "planted-notice-secret"
UPLOADED: dict[str, Any] = {
    "noticeId": "2000001428:4330:107",
    "productId": 3,
    "eventType": 31,
    "notifyMs": 1_611_566_412_672,
    "payload": {
        "cname": "lesson-7",
        "uid": "527841",
        "sid": "5" * 32,
        "sequence": 2,
        "sendts": 1_611_566_412_600,
        "serviceType": 2,
        "serviceScene": "rtc_record",
        "details": {
            "msgName": "uploaded",
            "status": 0,
            "fileList": [{"fileName": "x.m3u8", "trackType": "audio_and_video", "uid": "0", "mixedAllUser": True, "isPlayable": True, "sliceStartTime": 7}],
        },
    },
}  # fmt: skip


def v1(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha1).hexdigest()


def v2(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def signed(envelope: object) -> tuple[bytes, dict[str, str]]:
    raw = json.dumps(envelope).encode()
    return raw, {"Agora-Signature": v1(raw), "Agora-Signature-V2": v2(raw)}


def test_a_notice_of_an_upload_is_read() -> None:
    raw, headers = signed(UPLOADED)
    notice = verify_notice(raw, headers, SECRET)
    assert (notice.event, notice.message, notice.sid) == (Event.UPLOADED, "uploaded", "5" * 32)
    assert (notice.sequence, notice.sent_ms, notice.notify_ms) == (2, 1_611_566_412_600, 1_611_566_412_672)
    assert (notice.service_type, notice.service_scene, notice.product_id) == (2, "rtc_record", 3)
    assert notice.files == (RecordedFile("x.m3u8", "audio_and_video", "0", True, True, 7),)


def test_a_known_signature_holds() -> None:
    """The published example values of RFC 2202 §3 case 2 and RFC 4231 §4.3: key "Jefe"."""
    raw = b"what do ya want for nothing?"
    for headers in (
        {"agora-signature": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        {"agora-signature-v2": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    ):
        with pytest.raises(reelyard.NoticeMalformed):  # signed, and not JSON
            verify_notice(raw, headers, b"Jefe")


@pytest.mark.parametrize("keep", ["Agora-Signature", "Agora-Signature-V2", "agora-signature", "AGORA-SIGNATURE-V2"])
def test_either_signature_is_enough_in_any_case_of_its_name(keep: str) -> None:
    raw, headers = signed(UPLOADED)
    value = next(value for name, value in headers.items() if name.lower() == keep.lower())
    assert verify_notice(raw, {keep: f" {value.upper()} "}, SECRET).event == 31


def test_a_wrong_v2_is_not_saved_by_a_right_v1() -> None:
    raw, headers = signed(UPLOADED)
    with pytest.raises(reelyard.SignatureMismatch):
        verify_notice(raw, headers | {"Agora-Signature-V2": v2(raw, "another")}, SECRET)


def test_a_right_v2_needs_no_v1() -> None:
    raw, headers = signed(UPLOADED)
    assert verify_notice(raw, headers | {"Agora-Signature": "0" * 40}, SECRET).event == 31


@pytest.mark.parametrize(
    "headers", [{}, {"Agora-Signature": ""}, {"Agora-Signature-V2": "ü\udc80"}, {"X-Signature": "0"}]
)
def test_what_is_not_signed_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(reelyard.SignatureMismatch):
        verify_notice(signed(UPLOADED)[0], headers, SECRET)


def test_the_signature_is_over_the_raw_bytes_not_over_what_they_mean() -> None:
    raw, headers = signed(UPLOADED)
    again = json.dumps(json.loads(raw), indent=1).encode()
    with pytest.raises(reelyard.SignatureMismatch):
        verify_notice(again, headers, SECRET)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_noticed(at: int, by: int) -> None:
    raw, headers = signed(UPLOADED)
    changed = bytearray(raw)
    changed[at % len(raw)] ^= by
    with pytest.raises(reelyard.SignatureMismatch) as refused:
        verify_notice(bytes(changed), headers, SECRET)
    assert SECRET not in str(refused.value)
    assert headers["Agora-Signature-V2"] not in str(refused.value)


def test_an_empty_secret_is_refused() -> None:
    raw = b"{}"
    with pytest.raises(ValueError, match="empty"):
        verify_notice(raw, {"Agora-Signature": v1(raw, "")}, "")


@pytest.mark.parametrize(
    "envelope",
    [
        [],
        "x",
        {},
        {"eventType": 1},
        {"payload": {}},
        {"eventType": "x", "payload": {}},
        {"eventType": 1, "payload": []},
    ],
)
def test_a_signed_body_of_another_shape_is_malformed(envelope: object) -> None:
    raw, headers = signed(envelope)
    with pytest.raises(reelyard.NoticeMalformed):
        verify_notice(raw, headers, SECRET)


def test_a_notice_that_is_too_long_is_not_even_hashed() -> None:
    with pytest.raises(reelyard.NoticeMalformed, match="more than"):
        verify_notice(b" " * (1024 * 1024 + 1), {}, SECRET)


def test_a_repetition_has_the_same_key_and_another_notice_another() -> None:
    def key(**changes: Any) -> str:
        changed = UPLOADED | {k: v for k, v in changes.items() if k in UPLOADED}
        payload = UPLOADED["payload"] | {k: v for k, v in changes.items() if k not in UPLOADED}
        return verify_notice(*signed(changed | {"payload": payload}), SECRET).dedupe_key

    assert key(notifyMs=5, sendts=6) == key()
    assert len({key(), key(noticeId="n"), key(sid="6"), key(sequence=3), key(eventType=32)}) == 5


def test_the_shape_of_2019_is_read() -> None:
    old = {
        "notificationId": "n-1",
        "eventMs": 5,
        "eventType": 4,
        "payload": {"sid": "s", "sequence": "7", "details": {"fileList": "x.m3u8"}},
    }
    notice = verify_notice(*signed(old), SECRET)
    assert (notice.notice_id, notice.notify_ms, notice.sequence) == ("n-1", 5, 7)
    assert notice.files == (RecordedFile("x.m3u8"),)
