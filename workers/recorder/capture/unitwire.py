"""One TCP connection to an ingest's unit server: frames in and out, and the ingest's clock on ours."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from models.vocabulary.channel import Anchor
from models.vocabulary.errors import ChannelUnreachable
from models.vocabulary.offset import Floor, Slewed
from models.vocabulary.timing import Clock
from models.vocabulary.units import Decoder, Frame, WireError, encode

CONNECT_WITHIN_S: Final = 5.0
_READ_BYTES: Final = 1 << 18
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def host_clock() -> str:
    """The name of this host's monotonic clock, until it boots again."""
    return f"monotonic:{_BOOT_ID.read_text().strip()}"


class UnitWire:
    """OSErrors and torn streams become ChannelUnreachable."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()

    @classmethod
    async def dial(cls, host: str, port: int) -> UnitWire:
        try:
            opening = asyncio.open_connection(host, port, limit=_READ_BYTES)
            return cls(*await asyncio.wait_for(opening, CONNECT_WITHIN_S))
        except (OSError, TimeoutError) as error:
            raise ChannelUnreachable(f"the ingest at {host}:{port} does not answer") from error

    async def frames(self) -> list[Frame]:
        try:
            chunk = await self._reader.read(_READ_BYTES)
            if not chunk:
                self._decoder.finish()
                raise ChannelUnreachable("the ingest closed the connection")
            return self._decoder.feed(chunk)
        except (OSError, WireError) as error:
            raise ChannelUnreachable(f"the connection to the ingest broke: {error}") from error

    def send(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(frame))

    def close(self) -> None:
        self._writer.transport.abort()


class IngestTime:
    """The ingest's clock on ours."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ours = host_clock()
        self._clock_id = ""
        self._floor = Floor()
        self._offset = Slewed()

    @property
    def offset_s(self) -> float:
        """Ours minus the ingest's; 0 on the same host."""
        return self._offset.value or 0.0

    def greeted(self, clock_id: str, now: float) -> None:
        if clock_id != self._clock_id:
            self._clock_id, self._floor, self._offset = clock_id, Floor(), Slewed()
        self.heard(now)

    def heard(self, now: float) -> None:
        if self._clock_id != self._ours:
            here = self._clock.now()
            self._offset.follow(self._floor.see(here - now, here), here)

    def here(self, t: float) -> float:
        return t + self.offset_s

    def anchor(self, t: float) -> Anchor:
        return Anchor(self._clock_id, t - self.offset_s)

    def time_of(self, anchor: Anchor) -> float | None:
        return self.here(anchor.zero_s) if anchor.clock_id == self._clock_id else None
