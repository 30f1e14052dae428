"""The channel of WHIP rooms: reads events and encoded units from an ingest's unit server.

Address `whip:HOST:PORT`, credentials `{"token": …}` with the audience "units". The ingest counts time on its host's
monotonic clock; on the same host that is ours too, from another the offset is the least delay seen lately. A broken
connection is made again for as long as the recording wants it; the recording's clock goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from models.vocabulary.channel import Anchor, Caps, ChannelClock, ChannelEvent, Closing, EventKind, Layer, Room, Sink
from models.vocabulary.errors import ChannelAddressInvalid, ChannelRefused, ChannelTokenExpired, ChannelUnreachable
from models.vocabulary.timing import Clock
from models.vocabulary.units import (
    Auth,
    Carried,
    Frame,
    Happened,
    Hello,
    Keyframe,
    Now,
    Refused,
    Subscribe,
    Unsubscribe,
)
from workers.recorder.capture.backoff import steps
from workers.recorder.capture.news import News
from workers.recorder.capture.presence import Presence
from workers.recorder.capture.unitwire import CONNECT_WITHIN_S, IngestTime, UnitWire

#: The ingest says Now every second.
_SILENT_AFTER_S: Final = 5.0
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(slots=True)
class _Subscription:
    number: int
    sink: Sink
    gap: bool = False  # the connection broke since its last unit


class WhipChannel:
    caps = Caps(
        joinable_many=True,
        hidden=True,
        encoded=True,
        keyframe_request=True,
        mute_events=False,
        layers=False,
        clock=ChannelClock.SHARED,
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time = IngestTime(clock)
        self._presence = Presence()
        self._news = News()
        self._subscriptions: dict[str, _Subscription] = {}
        self._tracks: dict[int, str] = {}  # by number
        self._numbers = 0
        self._wire: UnitWire | None = None
        self._run: asyncio.Task[None] | None = None
        self._units = self._gaps = self._reconnects = 0

    async def open(self, room: Room) -> None:
        """Returns when the snapshot is complete. Raises ChannelAddressInvalid, ChannelRefused, ChannelUnreachable."""
        host, port = _host_port(room.address)
        token = room.credentials.get("token", "")
        wire = await self._connect(host, port, token)
        self._run = asyncio.create_task(self._stay(wire, host, port, token))

    def events(self) -> AsyncIterator[ChannelEvent]:
        return self._news.events()

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        """There is one layer: what the publisher sends."""
        if not self._presence.has_track(track_id):
            return
        await self.unsubscribe(track_id)
        subscription = _Subscription(0, sink)
        self._subscriptions[track_id] = subscription
        self._ask_for(track_id, subscription)

    async def unsubscribe(self, track_id: str) -> None:
        subscription = self._subscriptions.pop(track_id, None)
        if subscription is not None:
            self._tracks.pop(subscription.number, None)
            self._send(Unsubscribe(subscription.number))

    async def request_keyframe(self, track_id: str) -> bool:
        subscription = self._subscriptions.get(track_id)
        return subscription is not None and self._send(Keyframe(subscription.number))

    def anchor(self, t: float) -> Anchor:
        return self._time.anchor(t)

    def time_of(self, anchor: Anchor) -> float | None:
        return self._time.time_of(anchor)

    def stats(self) -> Mapping[str, float]:
        return {
            "units": self._units,
            "gaps": self._gaps,
            "reconnects": self._reconnects,
            "clock_offset_s": self._time.offset_s,
        }

    async def close(self) -> None:
        if self._run is not None:
            self._run.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # our own cancellation
                await self._run
            self._run = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._end("closed by the recorder")

    # -- the connection

    async def _connect(self, host: str, port: int, token: str) -> UnitWire:
        """A connection whose snapshot has been taken in."""
        wire = await UnitWire.dial(host, port)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                wire.send(Auth(token))
                await self._greet(wire)
        except TimeoutError as error:
            wire.close()
            raise ChannelUnreachable("the ingest does not answer") from error
        except BaseException:
            wire.close()
            raise
        self._wire = wire
        return wire

    async def _greet(self, wire: UnitWire) -> None:
        """HELLO, then the snapshot up to SYNCED, compared with what was there before the connection broke."""
        self._presence.begin()
        while True:
            for frame in await wire.frames():
                match frame:
                    case Refused(reason) as refused:
                        raise ChannelTokenExpired(reason) if refused.expired else ChannelRefused(reason)
                    case Hello(clock_id, now):
                        self._time.greeted(clock_id, now)
                    case Happened(event) if event.kind is EventKind.SYNCED:
                        for missed in self._presence.end():
                            self._happened(missed, self._clock.now())
                        if not self._reconnects:
                            self._happened(event, self._time.here(event.t))
                    case _:
                        self._take(frame)
            if self._presence.synced:
                return

    async def _stay(self, wire: UnitWire, host: str, port: int, token: str) -> None:
        """Read until the connection breaks, make it again, and so on; ends only with a refusal."""
        try:
            while True:
                self._broken(wire, await self._read(wire))
                wire = await self._reconnect(host, port, token)
                self._news.tell(ChannelEvent(self._clock.now(), 0, EventKind.CONNECTED))
                for track_id, subscription in self._subscriptions.items():
                    self._ask_for(track_id, subscription)
        except ChannelRefused as error:
            self._end(error.text, Closing.EXPIRED if isinstance(error, ChannelTokenExpired) else Closing.CLOSED)
        except Exception as error:
            self._end(f"the recorder failed: {type(error).__name__}")
            raise

    async def _read(self, wire: UnitWire) -> str:
        """Take in what comes until the connection breaks; why it did."""
        while True:
            try:
                async with asyncio.timeout(_SILENT_AFTER_S):
                    frames = await wire.frames()
                for frame in frames:
                    self._take(frame)
            except TimeoutError:
                return "the ingest fell silent"
            except ChannelUnreachable as error:
                return error.text

    def _broken(self, wire: UnitWire, why: str) -> None:
        wire.close()
        self._wire = None
        self._reconnects += 1
        self._tracks.clear()
        for subscription in self._subscriptions.values():
            subscription.gap = True
        self._news.tell(ChannelEvent(self._clock.now(), 0, EventKind.RECONNECTING, detail=why))

    async def _reconnect(self, host: str, port: int, token: str) -> UnitWire:
        """Raises ChannelRefused only."""
        for backoff_s in steps(_BACKOFF_S):
            await self._clock.sleep_until(self._clock.now() + backoff_s)
            with contextlib.suppress(ChannelUnreachable):  # the next try is the answer
                return await self._connect(host, port, token)
        raise AssertionError("endless")

    # -- what comes in

    def _take(self, frame: Frame) -> None:
        match frame:
            case Carried(number, unit):
                track_id = self._tracks.get(number)
                subscription = self._subscriptions.get(track_id) if track_id is not None else None
                if track_id is None or subscription is None:
                    return  # it crossed with our unsubscribing
                unit.track = track_id
                unit.t = self._time.here(unit.t)
                unit.gap = unit.gap or subscription.gap
                subscription.gap = False
                self._units += 1
                self._gaps += unit.gap
                subscription.sink(unit)
            case Now(now):
                self._time.heard(now)
            case Happened(event):
                if self._presence.apply(event):
                    self._happened(event, self._time.here(event.t))
            case Refused(reason):
                raise ChannelUnreachable(reason)
            case _:
                raise ChannelUnreachable(f"the ingest sent {type(frame).__name__} out of turn")

    def _happened(self, event: ChannelEvent, t: float) -> None:
        if event.kind is EventKind.TRACK_REMOVED and event.track is not None:
            gone = self._subscriptions.pop(event.track.id, None)
            if gone is not None:
                self._tracks.pop(gone.number, None)
        self._news.tell(replace(event, t=t))

    def _ask_for(self, track_id: str, subscription: _Subscription) -> None:
        self._numbers += 1
        subscription.number = self._numbers
        self._tracks[subscription.number] = track_id
        self._send(Subscribe(subscription.number, track_id))

    def _send(self, frame: Frame) -> bool:
        if self._wire is None:
            return False
        self._wire.send(frame)
        return True

    def _end(self, why: str, closing: Closing = Closing.CLOSED) -> None:
        self._news.close(self._clock.now(), why, closing)


def _host_port(address: str) -> tuple[str, int]:
    scheme, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    if scheme != "whip" or not host or not port.isdigit():
        raise ChannelAddressInvalid(f"{address!r} is not whip:HOST:PORT")
    return host.strip("[]"), int(port)
