"""What a key unit says of its stream: how its pictures look, and the parameters that a container wants of it."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final

import av
from av.video.stream import VideoStream

#: Containers by codec: H.264 goes where HLS players take it; mpegts would swallow the others and bring none of them back.
SUFFIXES: Final = {"h264": ".ts", "vp8": ".webm", "vp9": ".webm", "av1": ".webm", "opus": ".webm"}
_FOURCC: Final = {"vp8": b"VP80", "vp9": b"VP90", "av1": b"AV01"}
#: Bytes at a key unit's start that differ wherever its size does.
_SIGNED_BYTES: Final = 24
_SPS, _PPS = 7, 8


@dataclass(frozen=True, slots=True)
class Header:
    """`stream` is a template: what is copied from it is its parameters."""

    width: int
    height: int
    reordered: bool  # its pictures are not sent in the order in which they are shown
    stream: VideoStream


class Headers:
    """Reads key units of one track; those that begin like the one before are not read again."""

    def __init__(self) -> None:
        self._signature = b""
        self._known: Header | None = None

    def of(self, codec: str, unit: bytes) -> Header | None:
        """None: this is no key unit that can be read."""
        signature = codec.encode() + (_parameters(unit) if codec == "h264" else unit[:_SIGNED_BYTES])
        if self._known is None or signature != self._signature:
            self._known, self._signature = _read(codec, unit), signature
        return self._known


def _parameters(unit: bytes) -> bytes:
    """H.264's parameter sets of an access unit in Annex B: its NAL units of type 7 and 8."""
    return b"".join(nal for nal in _nals(unit) if nal and nal[0] & 31 in (_SPS, _PPS))


def _nals(unit: bytes) -> list[bytes]:
    """Those before the first slice: a picture's megabyte need not be looked through."""
    found: list[bytes] = []
    at = unit.find(b"\0\0\1")
    while at >= 0:
        start = at + 3
        if start >= len(unit) or unit[start] & 31 in range(1, 6):
            break
        at = unit.find(b"\0\0\1", start)
        found.append(unit[start : at if at >= 0 else len(unit)].rstrip(b"\0"))
    return found


def _read(codec: str, unit: bytes) -> Header | None:
    form, wrapped = ("h264", unit) if codec == "h264" else ("ivf", _ivf(_FOURCC[codec], unit))
    try:
        container = av.open(io.BytesIO(wrapped), format=form)
        stream = container.streams.video[0]
    except (av.FFmpegError, IndexError):
        return None
    context = stream.codec_context
    if not context.width or not context.height:
        return None
    return Header(context.width, context.height, bool(context.has_b_frames), stream)


def _ivf(fourcc: bytes, unit: bytes) -> bytes:
    """The simplest container that libav reads a single picture of these codecs from."""
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, fourcc, 0, 0, 30, 1, 1, 0)
    return head + struct.pack("<IQ", len(unit), 0) + unit
