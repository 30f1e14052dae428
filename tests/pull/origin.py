"""A web server of live streams: whoever asks for a user gets him from now on, as Matroska that never ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import av
from av.packet import Packet

from models.vocabulary.timing import Clock
from workers.recorder.individual.copied import _opus
from workers.recorder.individual.header import Headers
from workers.recorder.segment.encoding import TICK
from workers.synthetic.media import UNITS_PER_S, AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

_LIVE = {"live": "1", "flush_packets": "1", "cluster_time_limit": "1", "max_interleave_delta": "1000"}


@dataclass
class Camera:
    plan: MediaPlan
    zero_t: float
    muted: bool = False
    hangs: bool = False
    viewers: set[asyncio.StreamWriter] = field(default_factory=set)

    def drop(self) -> None:
        """As if the network were gone."""
        for viewer in list(self.viewers):
            viewer.transport.abort()


class _Pipe:
    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, piece: bytes) -> int:
        self.written += piece
        return len(piece)

    def take(self) -> bytes:
        piece, self.written = bytes(self.written), bytearray()
        return piece


class Origin:
    """`cameras` by uid; `asked` are the paths of all requests."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cameras: dict[str, Camera] = {}
        self.asked: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Origin]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for camera in self.cameras.values():
                camera.drop()

    def url(self, uid: str) -> str:
        return f"http://127.0.0.1:{self.port}/{uid}?key=s3cr3t"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ")[1].decode()
            self.asked.append(path)
            camera = self.cameras.get(path.strip("/").partition("?")[0])
            if camera is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            camera.viewers.add(writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-matroska\r\nConnection: close\r\n\r\n")
            await self._film(camera, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _film(self, camera: Camera, writer: asyncio.StreamWriter) -> None:
        plan, sound, pictures = camera.plan, AudioLoop(camera.plan), VideoLoop(camera.plan)
        at_s = self.clock.now() - camera.zero_t
        n, m = int(at_s * plan.fps) + 1, int(at_s * UNITS_PER_S) + 1
        run, first = pictures.run(n), n
        pipe = _Pipe()
        container = av.open(pipe, "w", format="matroska", options=_LIVE)
        header = Headers().of(plan.codec, run[0])
        assert header is not None
        video, audio = container.add_stream_from_template(header.stream), container.add_stream_from_template(_opus())
        was_muted = False
        while not writer.is_closing():
            is_video = n / plan.fps <= m / UNITS_PER_S
            due_s = n / plan.fps if is_video else m / UNITS_PER_S
            await self.clock.sleep_until(camera.zero_t + due_s)
            if camera.hangs:
                await asyncio.sleep(60)
            if is_video and (n - first >= len(run) or was_muted) and not camera.muted:
                run, first = pictures.run(n), n
            if is_video and camera.muted:
                was_muted, n = True, n + 1
                continue
            packet = Packet(run[n - first] if is_video else sound.unit(m).content)
            packet.time_base, packet.pts, packet.dts = TICK, round(due_s * 90_000), round(due_s * 90_000)
            packet.is_keyframe = n == first or not is_video
            packet.duration = 0 if is_video else 1800
            packet.stream = video if is_video else audio
            container.mux(packet)
            writer.write(pipe.take())
            if is_video:
                was_muted, n = False, n + 1
            else:
                m += 1
