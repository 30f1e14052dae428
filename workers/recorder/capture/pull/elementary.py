"""Elementary streams in the shape that everything behind a channel wants: AAC as ADTS, H.264 as Annex B. Pure: bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.vocabulary.errors import StreamUndecodable

#: ISO/IEC 14496-3 §1.6.3.4.
RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_EXPLICIT_RATE: Final = 15
_AAC_MAIN, _AAC_LTP, _SBR, _PS = 1, 4, 5, 29
_SAMPLES: Final = 1024
_SYNC: Final = 0xFFF1  # MPEG-4, no CRC
_MAX_FRAME: Final = (1 << 13) - 8
_SPS: Final = 7


@dataclass(frozen=True, slots=True)
class Adts:
    """The header that ISO/IEC 14496-3 §1.A.2.2 puts before each AAC frame, made from an AudioSpecificConfig."""

    profile: int
    rate_index: int
    channels: int

    @property
    def duration_s(self) -> float:
        return _SAMPLES / RATES[self.rate_index]

    def framed(self, frame: bytes) -> bytes:
        if len(frame) > _MAX_FRAME:
            raise StreamUndecodable("an AAC frame is too long")
        length = len(frame) + 7
        bits = _SYNC << 40 | self.profile << 38 | self.rate_index << 34 | self.channels << 30
        bits |= length << 13 | 0x7FF << 2  # buffer fullness: variable
        return bits.to_bytes(7, "big") + frame


def adts_of(config: bytes) -> Adts:
    """Of an AudioSpecificConfig (§1.6.2.1). SBR and PS are found by decoders without being told. Raises `StreamUndecodable`."""
    bits, at = int.from_bytes(config[:8].ljust(8, b"\0"), "big"), 64

    def take(n: int) -> int:
        nonlocal at
        at -= n
        return bits >> at & ((1 << n) - 1)

    kind, rate, channels = take(5), take(4), 0
    if rate != _EXPLICIT_RATE:
        channels = take(4)
    if kind in (_SBR, _PS) and rate != _EXPLICIT_RATE:
        if take(4) == _EXPLICIT_RATE:
            take(24)
        kind = take(5)
    if len(config) < 2 or not _AAC_MAIN <= kind <= _AAC_LTP or rate >= len(RATES) or not 1 <= channels <= 7:
        raise StreamUndecodable("that kind of AAC is not taken")
    return Adts(kind - 1, rate, channels)


def is_adts(frame: bytes) -> bool:
    return len(frame) > 7 and frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0


def adts_duration_s(frame: bytes) -> float:
    """Of a frame with its header: rate index and number of raw data blocks."""
    rate, blocks = frame[2] >> 2 & 15, (frame[6] & 3) + 1
    return blocks * _SAMPLES / RATES[rate] if rate < len(RATES) else 0.0


def has_parameters(unit: bytes) -> bool:
    """Whether an H.264 access unit in Annex B brings its parameter sets."""
    at = unit.find(b"\0\0\1")
    while at >= 0 and at + 3 < len(unit):
        kind = unit[at + 3] & 31
        if kind == _SPS:
            return True
        if 1 <= kind <= 5:
            return False  # the picture itself
        at = unit.find(b"\0\0\1", at + 3)
    return False


def is_annexb(extradata: bytes) -> bool:
    return extradata.startswith((b"\0\0\1", b"\0\0\0\1"))
