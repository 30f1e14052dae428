"""The unit server: recorders come by TCP and are served a room's events and the units they subscribe to.

A recorder that reads too slowly loses units, each track from there to its next key unit; it never delays another
recorder or a publisher. Events are never lost: one that cannot even take these is cut off and may come again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from models.tokens import Audience, verify_whip
from models.vocabulary.channel import ChannelEvent, Unit
from models.vocabulary.errors import Overloaded, Unauthorized
from models.vocabulary.units import (
    Auth,
    Decoder,
    Frame,
    Happened,
    Hello,
    Keyframe,
    Now,
    Refused,
    Subscribe,
    Unsubscribe,
    WireError,
    encode,
    unit_head,
)
from workers.ingest.room import Room, RoomName, Rooms
from workers.webrtc.payload import VIDEO_CODECS

log = logging.getLogger(__name__)

#: Some 4 s of 17 users at 1 Mb/s; a healthy recorder on the same host has next to nothing here.
MAX_UNSENT_BYTES: Final = 8 << 20
#: Beyond the units' share only events can grow it; so much of these means that nobody reads.
_CUT_OFF_BYTES: Final = MAX_UNSENT_BYTES + (5 << 20)
_AUTH_WITHIN_S: Final = 5.0
#: Camera, screen and sound of more users than a mix shows.
_MAX_SUBSCRIPTIONS: Final = 512
_MAX_RECORDERS: Final = 1000


def host_clock_id() -> str:
    """Names CLOCK_MONOTONIC of this boot of this host: whoever reads the same id reads the same clock."""
    return f"monotonic:{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"


@dataclass(slots=True)
class _Subscription:
    number: int
    track: str
    sink: Callable[[Unit], None]
    wait_for_key: bool
    gap: bool = False


class UnitServer:
    def __init__(
        self, rooms: Rooms, keys: Sequence[bytes], now: Callable[[], float], wall_s: Callable[[], float]
    ) -> None:
        self.rooms = rooms
        self.keys = keys
        self.now = now
        self.wall_s = wall_s
        self.clock_id = host_clock_id()
        self.links: set[RecorderLink] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """The port, chosen by the system when it was 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: RecorderLink(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def tick(self) -> None:
        """Every second: a sign of life to each recorder."""
        frame = encode(Now(self.now()))
        for link in list(self.links):
            link.send(frame)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            link.cut_off("the ingest ends")
        if self._server is not None:
            await self._server.wait_closed()


class RecorderLink(asyncio.Protocol):
    """One recorder's connection."""

    def __init__(self, server: UnitServer) -> None:
        self._server = server
        self._decoder = Decoder(units=False)
        self._transport: asyncio.Transport | None = None
        self._room: Room | None = None
        self._subscriptions: dict[int, _Subscription] = {}
        self._patience: asyncio.TimerHandle | None = None
        self.dropped_units = 0

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._server.links) >= _MAX_RECORDERS:
            self._refuse(f"this ingest serves {_MAX_RECORDERS} recorders already")
            return
        self._server.links.add(self)
        self._patience = asyncio.get_running_loop().call_later(_AUTH_WITHIN_S, self.cut_off, "no token came")

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except WireError as error:
            self.cut_off(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.links.discard(self)
        if self._patience is not None:
            self._patience.cancel()
        if self._room is not None:
            for number in list(self._subscriptions):
                self._unsubscribe(number)
            self._room.detach(self)
            self._server.rooms.tidy(self._room)
            self._room = None

    # -- the room's side

    def happened(self, event: ChannelEvent) -> None:
        self.send(encode(Happened(event)))

    def send(self, frame: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > _CUT_OFF_BYTES:
            self.cut_off("it does not read")

    def cut_off(self, why: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            log.info("recorder cut off: %s", why)
            self._transport.abort()

    def _take(self, frame: Frame) -> None:
        if self._room is None:
            self._admit(frame)
            return
        match frame:
            case Subscribe(number, track):
                self._subscribe(self._room, number, track)
            case Unsubscribe(number):
                self._unsubscribe(number)
            case Keyframe(number) if number in self._subscriptions:
                self._room.want_key(self._subscriptions[number].track)
            case Keyframe():
                pass  # it crossed with the end of the track
            case _:
                raise WireError(f"a recorder does not send {type(frame).__name__}")

    def _admit(self, frame: Frame) -> None:
        if not isinstance(frame, Auth):
            raise WireError("the first frame is no token")
        try:
            claims = verify_whip(self._server.keys, frame.token, Audience.UNITS, self._server.wall_s())
            self._room = self._server.rooms.enter(RoomName(claims.appid, claims.cname))
        except (Unauthorized, Overloaded) as error:
            self._refuse(error.text)
            return
        if self._patience is not None:
            self._patience.cancel()
        self.send(encode(Hello(self._server.clock_id, self._server.now())))
        for event in self._room.attach(self):
            self.happened(event)

    def _refuse(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.write(encode(Refused(reason)))
            self._transport.close()

    def _subscribe(self, room: Room, number: int, track: str) -> None:
        if number in self._subscriptions or len(self._subscriptions) >= _MAX_SUBSCRIPTIONS:
            raise WireError("a number subscribed twice, or too many")
        subscription = _Subscription(number, track, lambda unit: self._carry(subscription, unit), wait_for_key=True)
        if room.subscribe(track, subscription.sink):
            self._subscriptions[number] = subscription

    def _unsubscribe(self, number: int) -> None:
        subscription = self._subscriptions.pop(number, None)
        if subscription is not None and self._room is not None:
            self._room.unsubscribe(subscription.track, subscription.sink)

    def _carry(self, subscription: _Subscription, unit: Unit) -> None:
        assert self._transport is not None
        if subscription.wait_for_key and not unit.key:
            return
        if self._transport.get_write_buffer_size() + len(unit.data) > MAX_UNSENT_BYTES:
            self._drop(subscription, unit)
            return
        head = unit_head(subscription.number, unit, gap=unit.gap or subscription.gap)
        self._transport.writelines((head, unit.data))
        subscription.wait_for_key = subscription.gap = False

    def _drop(self, subscription: _Subscription, unit: Unit) -> None:
        self.dropped_units += 1
        subscription.gap = True
        subscription.wait_for_key = unit.codec in VIDEO_CODECS
        if subscription.wait_for_key and self._room is not None:
            self._room.want_key(subscription.track)
