"""Pre-encoded loops as aiortc tracks: packets leave when they are due, nothing is encoded for a user twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any, Final

import av
from aiortc import MediaStreamTrack

from workers.synthetic.media import AUDIO_UNIT_S, AudioLoop, VideoLoop

_VIDEO_BASE: Final = Fraction(1, 90_000)
_AUDIO_BASE: Final = Fraction(1, 48_000)
_AUDIO_UNIT_SAMPLES: Final = round(AUDIO_UNIT_S * 48_000)


class Start:
    """The instant both tracks of a user count from: the first that is asked for a packet sets it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.at: float | None = None

    def elapsed_s(self) -> float:
        return 0.0 if self.at is None else self.now() - self.at

    async def reach(self, media_s: float) -> None:
        """Return when that moment of the media is due. A track that is late is not slowed further."""
        if self.at is None:
            self.at = self.now() - media_s
        due_s = self.at + media_s - self.now()
        if due_s > 0:
            await asyncio.sleep(due_s)


class VideoTrack(MediaStreamTrack):
    """Sends the loop from frame `first_frame` on. A wanted key unit is made where the loop stands."""

    kind = "video"

    def __init__(self, loop: VideoLoop, start: Start, first_frame: int = 0) -> None:
        super().__init__()
        self._media = loop
        self._start = start
        self._next = first_frame
        self._run: tuple[bytes, ...] = ()  # what is left of the GOP
        self._key_wanted = False
        self._shown = asyncio.Event()
        self._shown.set()
        self.key_requests = 0
        self.sent: list[tuple[int, float]] = []  # (frame, monotonic time) of each flash: the first frame of each second

    def request_key(self) -> None:
        self.key_requests += 1
        self._key_wanted = True

    def mute(self) -> None:
        """Send nothing until `unmute`, as a camera that is switched off; time goes on."""
        self._shown.clear()

    def unmute(self) -> None:
        self._shown.set()

    async def recv(self) -> av.Packet[Any]:
        if not self._shown.is_set():
            await self._shown.wait()
            self._next = max(self._next, ceil(self._start.elapsed_s() * self._media.plan.fps))
            self._key_wanted = True
        n, fps = self._next, self._media.plan.fps
        key = not self._run or self._key_wanted
        if key:
            self._key_wanted = False
            self._run = await asyncio.to_thread(self._media.run, n)
        await self._start.reach(n / fps)
        payload, self._run = self._run[0], self._run[1:]
        self._next = n + 1
        if n % fps == 0:
            self.sent.append((n, self._start.now()))
        return _packet(payload, round(n * 90_000 / fps), _VIDEO_BASE, key)


class AudioTrack(MediaStreamTrack):
    kind = "audio"

    def __init__(self, loop: AudioLoop, start: Start, first_unit: int = 0) -> None:
        super().__init__()
        self._media = loop
        self._start = start
        self._next = first_unit

    async def recv(self) -> av.Packet[Any]:
        n = self._next
        await self._start.reach(n * AUDIO_UNIT_S)
        self._next = n + 1
        return _packet(self._media.unit(n).content, n * _AUDIO_UNIT_SAMPLES, _AUDIO_BASE, True)


def _packet(payload: bytes, pts: int, time_base: Fraction, key: bool) -> av.Packet[Any]:
    packet = av.Packet(payload)
    packet.pts = packet.dts = pts
    packet.time_base = time_base
    packet.is_keyframe = key
    return packet
