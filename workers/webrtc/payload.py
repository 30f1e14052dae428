"""RTP payloads to encoded bytes, and what a whole unit is: key or not, how long, with its parameter sets. Pure.

The payload formats themselves are aiortc's parsers (RFC 6184 H.264, RFC 7741 VP8, RFC 7587 Opus).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.codecs.vpx import VpxPayloadDescriptor

_START: Final = b"\0\0\0\1"
_IDR, _SPS, _PPS, _AUD = 5, 7, 8, 9

#: Codecs the tap understands; a track of another is left out.
VIDEO_CODECS: Final = frozenset({"h264", "vp8"})
CODECS: Final = VIDEO_CODECS | {"opus"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one packet adds to its unit. `first`: surely the unit's first packet, whatever came before it."""

    payload: bytes
    first: bool


@dataclass(frozen=True, slots=True)
class Whole:
    payload: bytes
    key: bool
    duration_s: float | None = None


def depacketized(codec: str, payload: bytes) -> Piece:
    """Raises ValueError on a payload that is none of this codec."""
    if codec == "opus":
        return Piece(payload, True)
    try:
        if codec == "vp8":
            descriptor, rest = VpxPayloadDescriptor.parse(payload)
            return Piece(rest, bool(descriptor.partition_start) and descriptor.partition_id == 0)
        fragment, annex_b = H264PayloadDescriptor.parse(payload)
        return Piece(annex_b, fragment.first_fragment and annex_b[4] & 31 in (_SPS, _AUD))
    except IndexError as error:
        raise ValueError("a truncated payload") from error


class ParameterSets:
    """The last SPS and PPS of an H.264 stream, put before a key unit that came without them."""

    def __init__(self) -> None:
        self._sps: list[bytes] = []
        self._pps: list[bytes] = []

    def whole(self, annex_b: bytes) -> Whole | None:
        """The unit with its sets; None when it has no picture. Raises ValueError at a key picture whose sets never came."""
        nals = list(_nals(annex_b))
        kinds = {nal[0] & 31 for nal in nals}
        sps = [nal for nal in nals if nal[0] & 31 == _SPS]
        pps = [nal for nal in nals if nal[0] & 31 == _PPS]
        if sps and sps != self._sps:
            self._sps, self._pps = sps, []
        self._pps = pps or self._pps
        if not any(1 <= kind <= _IDR for kind in kinds):
            return None
        if _IDR not in kinds:
            return Whole(annex_b, False)
        if not (self._sps and self._pps):
            raise ValueError("a key picture without parameter sets")
        missing = (() if sps else self._sps, () if pps else self._pps)
        return Whole(b"".join(_START + nal for sets in missing for nal in sets) + annex_b, True)


def vp8_whole(frame: bytes) -> Whole | None:
    """RFC 6386 §9.1: the lowest bit of the first byte is 0 at a key frame."""
    return Whole(frame, not frame[0] & 1) if frame else None


def opus_whole(packet: bytes) -> Whole | None:
    return Whole(packet, True, opus_duration_s(packet)) if packet else None


def opus_duration_s(packet: bytes) -> float:
    """Length of an Opus packet from its table-of-contents byte (RFC 6716 §3.1)."""
    config, count_code = packet[0] >> 3, packet[0] & 3
    if config < 12:  # SILK
        frame_s = (0.01, 0.02, 0.04, 0.06)[config & 3]
    elif config < 16:  # hybrid
        frame_s = (0.01, 0.02)[config & 1]
    else:  # CELT
        frame_s = (0.0025, 0.005, 0.01, 0.02)[config & 3]
    if count_code < 3:
        return frame_s * (1, 2, 2)[count_code]
    frames = packet[1] & 63 if len(packet) > 1 else 0
    return min(frame_s * frames, 0.12)  # 120 ms is the most a packet may hold


def _nals(annex_b: bytes) -> Iterator[bytes]:
    """NAL units of a byte stream, without start codes (H.264 annex B)."""
    at = annex_b.find(b"\0\0\1")
    while at >= 0:
        start = at + 3
        at = annex_b.find(b"\0\0\1", start)
        # What precedes a four-byte start code is that code's first zero, not the unit's last byte.
        nal = annex_b[start:at].rstrip(b"\0") if at >= 0 else annex_b[start:]
        if nal:
            yield nal
