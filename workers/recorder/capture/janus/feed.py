"""One publishing connection in a VideoRoom, as we receive it: a handle that subscribes to it, and a WebRTC connection.

A connection of its own for each: Janus reuses the media sections of a shared one for other users, and aiortc does not
learn of retransmissions there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from models.vocabulary.address import RoomId
from models.vocabulary.channel import Layer, Sink, Track, TrackKind, TrackSource, Unit, User
from models.vocabulary.errors import ChannelUnreachable
from workers.recorder.capture.janus.hostclock import HostClock
from workers.recorder.capture.janus.session import Handle, JanusRefusal, JanusSession, Json
from workers.webrtc import ice
from workers.webrtc.payload import CODECS
from workers.webrtc.tap import Drops, Tap

log = logging.getLogger(__name__)

#: Janus reports every second, whether or not media flows.
SILENT_AFTER_S: Final = 4.0
#: Janus 1.1 keeps no packets to send again for somebody whose round trip it measures as 0 ms.
_LEAST_RTT_S: Final = 0.004
_SUBSTREAMS: Final = {Layer.HIGH: 2, Layer.LOW: 0}


@dataclass(frozen=True, slots=True)
class Place:
    """Which room, and with what."""

    room: RoomId
    pin: str = ""


class Ear:
    """One media section of a feed."""

    def __init__(self, track: Track, heard: Callable[[], None], simulcast: bool) -> None:
        self.track = track
        self.simulcast = simulcast
        self.sink: Sink | None = None
        self.layer = Layer.HIGH
        self.gap = False  # the connection broke since the last unit
        self.tap: Tap | None = None
        self.asked: tuple[bool, Layer] = (True, Layer.HIGH)  # of Janus; a fresh subscription sends all it has
        self.heard = heard
        self._key_first = False
        self._fits = True

    def listen(self, sink: Sink | None, layer: Layer) -> None:
        """From a key unit on, unless it was listened to already: Janus changes layers at key units by itself."""
        goes_on = self.sink is not None
        self.sink, self.layer = sink, layer
        if goes_on:
            return
        self._key_first = self.track.kind is TrackKind.VIDEO
        if self.tap is not None:
            self.tap.want_key()

    def want_key(self) -> bool:
        """Whether anybody can be asked."""
        if self.tap is None or self.sink is None:
            return False
        self.tap.want_key()
        return True

    # -- the tap's owner

    def track_started(self, tap: Tap, codec: str) -> str:
        self._fits = codec == self.track.codec
        if not self._fits:
            log.warning("track %s comes as %s, not as %s", self.track.id, codec, self.track.codec)
        return self.track.id

    def track_ended(self, track: str) -> None:
        """Another codec follows; Janus does not change it without a new subscription."""

    def unit(self, unit: Unit) -> None:
        if self.sink is None or not self._fits or (self._key_first and not unit.key):
            return
        unit.gap = unit.gap or self.gap
        self.gap = self._key_first = False
        self.sink(unit)


class Feed:
    """`changed` is called when it has ended or broken: somebody is to look at the room."""

    def __init__(
        self,
        number: RoomId,
        user: User,
        place: Place,
        generation: int,
        time: HostClock,
        changed: Callable[[], None],
        drops: Drops | None = None,
    ) -> None:
        self.number = number
        self.user = user
        self._place = place
        self._generation = generation
        self._time = time
        self._changed = changed
        self._drops = drops
        self._handle: Handle | None = None
        self._offer = ""
        self._connection: RTCPeerConnection | None = None
        self._lock = asyncio.Lock()
        self._heard_at = 0.0
        self._why = ""
        self.ears: dict[str, Ear] = {}  # by mid
        self.ended = False  # the user has unpublished
        self.restarts = 0

    def ear_of(self, track_id: str) -> Ear | None:
        return next((ear for ear in self.ears.values() if ear.track.id == track_id), None)

    @property
    def broken(self) -> str:
        """Why the connection is to be made again; empty while it is well, or not wanted yet."""
        if self._why or self._connection is None:
            return self._why
        silent = self._time.now() - self._heard_at > SILENT_AFTER_S
        return "nothing comes from Janus" if silent else ""

    async def attach(self, session: JanusSession) -> None:
        """Learn what is published. Raises `JanusRefusal` when nothing is, `ChannelUnreachable`."""
        self._handle = await session.attach(self._on_event)
        order: Json = {"request": "join", "ptype": "subscriber", "room": self._place.room, "autoupdate": True}
        order |= {"streams": [{"feed": self.number}]} | ({"pin": self._place.pin} if self._place.pin else {})
        said = await self._handle.order(order)
        self._offer, self._why, self.ended = said.sdp, "", False
        known, self.ears = self.ears, {}
        for stream in said.body.get("streams", []):
            ear = self._ear(stream)
            if ear is None:
                continue
            before = known.get(str(stream["mid"]))
            if before is not None and before.track == ear.track:
                before.tap, before.asked, before.gap = None, (True, Layer.HIGH), True
                ear = before
            self.ears[str(stream["mid"])] = ear

    async def follow(self, *, even_unheard: bool = False) -> None:
        """Have Janus send what is listened to, and nothing else. Failures are told by `broken`."""
        try:
            async with self._lock:
                wanted = even_unheard or any(ear.sink is not None for ear in self.ears.values())
                if self._handle is None or self._why or not wanted:
                    return
                if self._connection is None:
                    await self._connect(self._handle)
                if not even_unheard:
                    await self._configure(self._handle)
        except (JanusRefusal, ChannelUnreachable) as error:
            self._break(str(error))
        except (ValueError, InvalidAccessError, InvalidStateError, OperationError, ConnectionError) as error:
            self._break(f"Janus' offer cannot be taken ({type(error).__name__}: {error})")

    async def tick(self) -> None:
        for ear in list(self.ears.values()):
            if ear.tap is not None and ear.tap.busy:
                await ear.tap.tick()

    async def let_go(self, *, session_lives: bool = True) -> None:
        """Close the connection; what was listened to stays known for `attach` and `follow`."""
        connection, self._connection = self._connection, None
        handle, self._handle = self._handle, None
        for ear in self.ears.values():
            if ear.tap is not None:
                ear.tap.close()
                ear.tap = None
        if connection is not None:
            await connection.close()
        if handle is not None and session_lives:
            await handle.detach()

    # -- how

    def heard(self) -> None:
        self._heard_at = self._time.now()

    def _ear(self, stream: Json) -> Ear | None:
        kind, codec = stream.get("type"), str(stream.get("codec", "")).lower()
        if not stream.get("active", True) or kind not in ("audio", "video") or codec not in CODECS:
            return None
        source = TrackSource.MICROPHONE if kind == "audio" else self._source(stream)
        track = Track(f"{self.number}-{stream['mid']}-{self._generation}", self.user.id, TrackKind(kind), source, codec)
        return Ear(track, self.heard, bool(stream.get("simulcast")))

    def _source(self, stream: Json) -> TrackSource:
        """By the publisher's description; else a connection's first picture is the camera."""
        described = str(stream.get("feed_description") or stream.get("description") or "").lower()
        if "screen" in described or any(ear.track.kind is TrackKind.VIDEO for ear in self.ears.values()):
            return TrackSource.SCREEN
        return TrackSource.CAMERA

    async def _connect(self, handle: Handle) -> None:
        connection = self._connection = RTCPeerConnection(ice.configuration())
        connection.on("connectionstatechange", lambda: self._on_state(connection))
        self.heard()
        # Janus begins the DTLS handshake: it is not there yet for whom ICE lets begin earlier, and that costs 1 s.
        offer = ice.without_names(self._offer).replace("a=setup:actpass", "a=setup:active")
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        time = self._time
        for transceiver in connection.getTransceivers():
            ear = self.ears.get(transceiver.mid or "")
            if ear is not None:
                ear.tap = Tap(
                    *(transceiver.receiver, ear, time.sender, time.now, self._drops),
                    holds=time.holds,
                    estimates=False,
                    least_rtt_s=_LEAST_RTT_S,
                )
        await connection.setLocalDescription(await connection.createAnswer())
        await handle.order({"request": "start"}, connection.localDescription.sdp)

    async def _configure(self, handle: Handle) -> None:
        orders: list[Json] = []
        for mid, ear in self.ears.items():
            wish = (ear.sink is not None, ear.layer if ear.simulcast else Layer.HIGH)
            if wish != ear.asked:
                layer = {"substream": _SUBSTREAMS[wish[1]]} if ear.simulcast else {}
                orders.append({"mid": mid, "send": wish[0], **layer})
                ear.asked = wish
        if orders:
            await handle.order({"request": "configure", "streams": orders})

    def _on_event(self, message: Json) -> None:
        kind = message.get("janus")
        said = message.get("plugindata", {}).get("data", {})
        if kind in ("hangup", "detached"):
            self._break(f"Janus hung up: {message.get('reason', kind)}")
        elif said.get("videoroom") == "updated":
            gone = {str(stream.get("mid")) for stream in said.get("streams", []) if not stream.get("active", True)}
            if gone & self.ears.keys():
                self.ended = True  # all of it: what is left is subscribed to anew
                self._changed()

    def _on_state(self, connection: RTCPeerConnection) -> None:
        if connection is self._connection and connection.connectionState in ("failed", "closed"):
            self._break(f"the WebRTC connection is {connection.connectionState}")
        elif connection.connectionState == "connected":
            for ear in self.ears.values():
                if ear.tap is not None:
                    ear.tap.route_retransmissions()

    def _break(self, why: str) -> None:
        if not self._why and self._handle is not None:
            self._why = why
            self._changed()
