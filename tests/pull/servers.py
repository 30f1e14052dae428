"""Servers of RTMP and RTSP, as small as a recorder lets them be: one stream each, paced as it is stamped."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count

from models.vocabulary.timing import Clock
from workers.synthetic.media import VideoLoop
from workers.synthetic.plan import MediaPlan

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """The port. Whoever leaves in the middle of something is let go."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


# -- RTMP (Adobe's RTMP specification 1.0, 2012) --------------------------------------------------------------------

_COMMAND, _SET_CHUNK_SIZE, _CHUNK = 20, 1, 65_536


class Rtmp:
    """Plays an FLV file to whoever asks; `asked` are the names of apps and streams."""

    def __init__(self, flv: bytes, clock: Clock) -> None:
        self._tags = list(_tags(flv))
        self._clock = clock
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.readexactly(1537)
        writer.write(b"\3" + bytes(1536) + hello[1:])
        await reader.readexactly(1536)
        writer.write(_message(_SET_CHUNK_SIZE, struct.pack(">I", _CHUNK), stream=0))
        async for kind, body in _messages(reader):
            if kind != _COMMAND:
                continue
            name, number, rest = body[3 : 3 + body[2]].decode(), body[3 + body[2] : 12 + body[2]], body[12 + body[2] :]
            match name:
                case "connect":
                    self.asked.append(_field(rest, b"tcUrl"))
                    writer.write(_message(_COMMAND, _string("_result") + number + b"\5\5", stream=0))
                case "createStream":
                    writer.write(_message(_COMMAND, _string("_result") + number + b"\5" + _number(1), stream=0))
                case "play":
                    self.asked.append(rest[4 : 4 + rest[3]].decode())
                    status = b"\3" + _key("level") + _string("status") + _key("code")
                    status += _string("NetStream.Play.Start") + b"\0\0\x09"
                    writer.write(_message(_COMMAND, _string("onStatus") + _number(0) + b"\5" + status))
                    await self._play(writer)
                    return

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        began = self._clock.now()
        for kind, at_ms, body in self._tags:
            await self._clock.sleep_until(began + at_ms / 1000)
            writer.write(_message(kind, body, at_ms))
        await writer.drain()


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    heads: dict[int, bytes] = {}
    bodies: dict[int, bytes] = {}
    while True:
        first = (await reader.readexactly(1))[0]
        chunk, length = first & 63, (11, 7, 3, 0)[first >> 6]
        heads[chunk] = await reader.readexactly(length) + heads.get(chunk, bytes(11))[length:]
        size, kind = int.from_bytes(heads[chunk][3:6], "big"), heads[chunk][6]
        body = bodies.get(chunk, b"")
        body += await reader.readexactly(min(128, size - len(body)))
        bodies[chunk] = body if len(body) < size else b""
        if len(body) == size:
            yield kind, body


def _message(kind: int, body: bytes, at_ms: int = 0, *, stream: int = 1) -> bytes:
    assert len(body) <= _CHUNK
    head = at_ms.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind]) + struct.pack("<I", stream)
    return b"\3" + head + body


def _tags(flv: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 13
    while at + 11 <= len(flv):
        size = int.from_bytes(flv[at + 1 : at + 4], "big")
        yield flv[at], int.from_bytes(flv[at + 4 : at + 7], "big"), flv[at + 11 : at + 11 + size]
        at += 15 + size


def _key(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _string(text: str) -> bytes:
    return b"\2" + _key(text)


def _number(value: float) -> bytes:
    return b"\0" + struct.pack(">d", value)


def _field(body: bytes, name: bytes) -> str:
    at = body.index(name) + len(name) + 1
    return body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2], "big")].decode()


# -- RTSP (RFC 2326), media in the same connection (§10.12) ---------------------------------------------------------

_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=-
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=control:pictures
m=audio 0 RTP/AVP 0
a=control:sound
"""


class Rtsp:
    """A camera with pictures in H.264 and sound in PCMU. `elsewhere`: it sends recorders there instead."""

    def __init__(self, plan: MediaPlan, clock: Clock, *, elsewhere: str = "") -> None:
        self._plan = plan
        self._clock = clock
        self._elsewhere = elsewhere
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = dict(line.split(": ", 1) for line in request.splitlines()[1:] if ": " in line)
            method = request.partition(" ")[0]
            self.asked.append(request)
            answer = f"RTSP/1.0 200 OK\r\nCSeq: {lines['CSeq']}\r\n"
            match method:
                case "DESCRIBE" if self._elsewhere:
                    answer = f"RTSP/1.0 302 Found\r\nCSeq: {lines['CSeq']}\r\nLocation: {self._elsewhere}\r\n\r\n"
                case "DESCRIBE":
                    sdp = _SDP.replace("\n", "\r\n")
                    answer += f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
                case "SETUP":
                    answer += f"Session: 1\r\nTransport: {lines['Transport']}\r\n\r\n"
                case _:
                    answer += "Session: 1\r\n\r\n"
            writer.write(answer.encode())
            if method == "PLAY":
                await self._play(writer)

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        began, loop, fps = self._clock.now(), VideoLoop(self._plan), self._plan.fps
        numbers = count(1)
        for n in count():
            if writer.is_closing():
                return
            await self._clock.sleep_until(began + n / fps)
            nals = [nal for nal in loop.unit(n).content.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal]
            for at, nal in enumerate(nals):
                writer.write(_rtp(0, next(numbers), 96, at == len(nals) - 1, n * 90_000 // fps, nal))
            writer.write(_rtp(2, n, 0, False, n * 8_000 // fps, b"\xff" * (8_000 // fps)))


def _rtp(channel: int, number: int, kind: int, last: bool, stamp: int, payload: bytes) -> bytes:
    packet = struct.pack(">BBHII", 0x80, kind | last << 7, number & 0xFFFF, stamp, channel + 7) + payload
    return struct.pack(">cBH", b"$", channel, len(packet)) + packet
