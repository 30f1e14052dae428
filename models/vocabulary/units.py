"""The wire between an ingest and its recorders: length-prefixed binary frames over one TCP connection.

A frame is `u32 length | u8 type | body`, length counting type and body. The recorder speaks first (AUTH); the ingest
answers HELLO or REFUSED, then the room's snapshot as events, SYNCED, and what happens from there on. The recorder
chooses the number under which it subscribes to a track; units carry that number. All times are seconds on the
ingest's monotonic clock, which HELLO names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from models.vocabulary.channel import ChannelEvent, Unit

UNITS_VERSION: Final = 1
#: A 4K key unit at a generous rate is below 2 MiB.
MAX_UNIT_BYTES: Final = 4 << 20
#: Tokens, track ids, events and texts are all far smaller.
MAX_CONTROL_BYTES: Final = 16 << 10

_LENGTH: Final = struct.Struct("!I")
_UNIT: Final = struct.Struct("!IBBddB")  # number, flags, quarter turns, t, duration, bytes of the codec's name
_NUMBER: Final = struct.Struct("!I")
_NOW: Final = struct.Struct("!d")
_HELLO: Final = struct.Struct("!Hd")
_VERSION: Final = struct.Struct("!H")
_KEY: Final = 1
_GAP: Final = 2
_NO_DURATION: Final = -1.0

_AUTH_TYPE, _HELLO_TYPE, _REFUSED_TYPE, _EVENT_TYPE, _UNIT_TYPE, _NOW_TYPE = 1, 2, 3, 4, 5, 6
_SUBSCRIBE_TYPE, _UNSUBSCRIBE_TYPE, _KEYFRAME_TYPE = 16, 17, 18

_EVENT: Final = TypeAdapter(ChannelEvent)


class WireError(ValueError):
    """The bytes are no frame of ours: torn, too long, or of another version."""


@dataclass(frozen=True, slots=True)
class Auth:
    """First frame of a recorder. The token names the room."""

    token: str
    version: int = UNITS_VERSION


@dataclass(frozen=True, slots=True)
class Hello:
    clock_id: str
    now: float
    version: int = UNITS_VERSION


#: The reason of a token that was good once.
RAN_OUT: Final = "the token has expired"


@dataclass(frozen=True, slots=True)
class Refused:
    """Last frame of an ingest that will not serve this recorder."""

    reason: str

    @property
    def expired(self) -> bool:
        return self.reason == RAN_OUT


@dataclass(frozen=True, slots=True)
class Happened:
    event: ChannelEvent


@dataclass(frozen=True, slots=True)
class Now:
    """The ingest's clock, sent every second: a sign of life, and the clock's offset for a recorder on another host."""

    now: float


@dataclass(frozen=True, slots=True)
class Carried:
    """A unit under the number it was subscribed by. `unit.track` is empty: the reader knows it."""

    number: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Subscribe:
    number: int
    track: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    number: int


@dataclass(frozen=True, slots=True)
class Keyframe:
    number: int


Frame = Auth | Hello | Refused | Happened | Now | Carried | Subscribe | Unsubscribe | Keyframe


def encode(frame: Frame) -> bytes:
    """One frame's bytes. Raises `WireError` when it is longer than the reader takes."""
    match frame:
        case Carried(number, unit):
            return unit_head(number, unit, gap=unit.gap) + unit.data
        case Auth(token, version):
            return _framed(_AUTH_TYPE, _VERSION.pack(version) + token.encode())
        case Hello(clock_id, now, version):
            return _framed(_HELLO_TYPE, _HELLO.pack(version, now) + clock_id.encode())
        case Refused(reason):
            return _framed(_REFUSED_TYPE, reason.encode())
        case Happened(event):
            return _framed(_EVENT_TYPE, _EVENT.dump_json(event))
        case Now(now):
            return _framed(_NOW_TYPE, _NOW.pack(now))
        case Subscribe(number, track):
            return _framed(_SUBSCRIBE_TYPE, _NUMBER.pack(number) + track.encode())
        case Unsubscribe(number):
            return _framed(_UNSUBSCRIBE_TYPE, _NUMBER.pack(number))
        case Keyframe(number):
            return _framed(_KEYFRAME_TYPE, _NUMBER.pack(number))


def unit_head(number: int, unit: Unit, *, gap: bool) -> bytes:
    """All of a unit's frame but its payload, so that one payload is written to many recorders without a copy."""
    if len(unit.data) > MAX_UNIT_BYTES:
        raise WireError(f"a unit of {len(unit.data)} bytes")
    codec = unit.codec.encode()
    flags = (_KEY if unit.key else 0) | (_GAP if gap else 0)
    duration_s = _NO_DURATION if unit.duration_s is None else unit.duration_s
    head = _UNIT.pack(number, flags, unit.rotation // 90, unit.t, duration_s, len(codec)) + codec
    return _LENGTH.pack(1 + len(head) + len(unit.data)) + bytes([_UNIT_TYPE]) + head


def _framed(kind: int, body: bytes) -> bytes:
    if len(body) > MAX_CONTROL_BYTES:
        raise WireError(f"a control frame of {len(body)} bytes")
    return _LENGTH.pack(1 + len(body)) + bytes([kind]) + body


class Decoder:
    """Bytes in as they come, frames out. After a `WireError` the connection is of no more use.

    `units`: whether the other side may send units, which are large.
    """

    def __init__(self, units: bool = True) -> None:
        self._units = units
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        self._buffer += chunk
        frames: list[Frame] = []
        start = 0
        while (end := self._end_of_frame(start)) is not None:
            body = bytes(memoryview(self._buffer)[start + 5 : end])
            frames.append(_decoded(self._buffer[start + 4], body))
            start = end
        if start:
            del self._buffer[:start]
        return frames

    def finish(self) -> None:
        """The stream has ended. Raises `WireError` when it ended inside a frame."""
        if self._buffer:
            raise WireError("the stream ended inside a frame")

    def _end_of_frame(self, start: int) -> int | None:
        have = len(self._buffer) - start
        if have < 5:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, start)
        if length < 1:
            raise WireError("an empty frame")
        unit = self._units and self._buffer[start + 4] == _UNIT_TYPE
        if length > 1 + (MAX_UNIT_BYTES + _UNIT.size + 255 if unit else MAX_CONTROL_BYTES):
            raise WireError(f"a frame of {length} bytes")
        return start + 4 + length if have >= 4 + length else None


def _decoded(kind: int, body: bytes) -> Frame:
    try:
        return _decode(kind, body)
    except (struct.error, ValidationError, UnicodeDecodeError, IndexError) as error:
        raise WireError(f"a malformed frame of type {kind}") from error


def _decode(kind: int, body: bytes) -> Frame:
    match kind:
        case 5:  # _UNIT_TYPE: first, since nearly all are
            return _carried(body)
        case 1:  # _AUTH_TYPE
            return Auth(version=_version(body), token=body[_VERSION.size :].decode())
        case 2:  # _HELLO_TYPE
            version = _version(body)
            return Hello(body[_HELLO.size :].decode(), _HELLO.unpack_from(body)[1], version)
        case 3:  # _REFUSED_TYPE
            return Refused(body.decode())
        case 4:  # _EVENT_TYPE
            return Happened(_EVENT.validate_json(body))
        case 6:  # _NOW_TYPE
            return Now(*_NOW.unpack(body))
        case 16:  # _SUBSCRIBE_TYPE
            return Subscribe(_NUMBER.unpack_from(body)[0], body[_NUMBER.size :].decode())
        case 17:  # _UNSUBSCRIBE_TYPE
            return Unsubscribe(*_NUMBER.unpack(body))
        case 18:  # _KEYFRAME_TYPE
            return Keyframe(*_NUMBER.unpack(body))
        case _:
            raise WireError(f"a frame of unknown type {kind}")


def _version(body: bytes) -> int:
    (version,) = _VERSION.unpack_from(body)
    if version != UNITS_VERSION:
        raise WireError(f"the other side speaks version {version}, this one {UNITS_VERSION}")
    return int(version)


def _carried(body: bytes) -> Carried:
    fields: tuple[Any, ...] = _UNIT.unpack_from(body)
    number, flags, quarters, t, duration_s, codec_bytes = fields
    payload_at = _UNIT.size + codec_bytes
    if payload_at > len(body) or quarters > 3:
        raise WireError("a malformed unit")
    return Carried(
        number,
        Unit(
            track="",
            codec=body[_UNIT.size : payload_at].decode(),
            data=body[payload_at:],
            t=t,
            key=bool(flags & _KEY),
            gap=bool(flags & _GAP),
            duration_s=None if duration_s < 0 else duration_s,
            rotation=quarters * 90,
        ),
    )
