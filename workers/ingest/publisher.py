"""One publisher: a WebRTC connection that was offered to us, its taps, and its place in the room."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcicetransport import RTCIceTransport, candidate_from_aioice

from models.vocabulary.channel import Track, TrackKind, TrackSource, Unit, User
from models.vocabulary.errors import BadBody, WorkerNotFound
from workers.ingest.room import Room
from workers.ingest.startrate import with_start_rate
from workers.webrtc import ice
from workers.webrtc.fragment import Fragment, ufrag_of
from workers.webrtc.icesession import SecondSession
from workers.webrtc.payload import VIDEO_CODECS
from workers.webrtc.senderclock import SenderClock
from workers.webrtc.tap import Drops, Tap

log = logging.getLogger(__name__)

#: ICE and DTLS take 0.2 s on a LAN and 2 s across the world; a connection not up by now never will be.
CONNECT_WITHIN_S: Final = 15.0
#: A browser sends a connectivity check every 2.5 s, aiortc every 4 to 6 s, whatever else they send.
SILENT_AFTER_S: Final = 8.0
#: Camera, screen, and a microphone for each.
_MAX_MEDIA: Final = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a publisher may keep us waiting."""

    connect_s: float = CONNECT_WITHIN_S
    silent_s: float = SILENT_AFTER_S


class Publisher:
    """Joins its room when connected; leaves it when it closes, fails, or falls silent."""

    def __init__(
        self,
        room: Room,
        user: User,
        now: Callable[[], float],
        ended: Callable[[Publisher], None],
        patience: Patience,
        drops: Drops | None = None,
    ) -> None:
        self.id = secrets.token_urlsafe(16)  # the session's URL is a capability: nobody may guess it
        self.room = room
        self.user = user
        self._now = now
        self._ended: Callable[[Publisher], None] | None = ended
        self._patience = patience
        self._drops = drops
        self._connection = RTCPeerConnection(ice.configuration())
        self._connection.on("connectionstatechange", self._on_state)
        self._sender = SenderClock()
        self._taps: list[Tap] = []
        self._tracks = 0
        self._born = self._heard_at = now()
        self._joined = False
        self._replaced = False
        self._remote_ufrag = ""
        self._second: SecondSession | None = None  # the newest
        self._moving: asyncio.Task[None] | None = None
        self._moves = asyncio.Lock()
        self.etag = ""

    async def answer(self, offer_sdp: str) -> str:
        """The SDP answer, with all our candidates. Raises `BadBody` when the offer cannot be taken."""
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(ice.without_names(offer_sdp), "offer"))
            transceivers = self._connection.getTransceivers()
            if not transceivers or len(transceivers) > _MAX_MEDIA or self._connection.sctp is not None:
                raise BadBody(f"an offer must have 1 to {_MAX_MEDIA} audio or video sections and nothing else")
            for transceiver in transceivers:
                transceiver.direction = "recvonly"
                self._taps.append(Tap(transceiver.receiver, self, self._sender, self._now, self._drops))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except (ValueError, InvalidAccessError, InvalidStateError, OperationError, AssertionError, KeyError) as error:
            # aiortc's parser meets a malformed offer with whatever its line of code raises
            raise BadBody(f"the SDP offer cannot be taken ({type(error).__name__})") from error
        transport = self._transport
        ice.on_check(transport, self.heard)
        self.etag, self._remote_ufrag = ice.ufrag(transport), ufrag_of(offer_sdp)
        return with_start_rate(self._connection.localDescription.sdp)

    def restarts(self, fragment: Fragment) -> bool:
        """Whether its credentials are those of another ICE session than ours with this publisher."""
        return fragment.ufrag not in ("", self._remote_ufrag)

    async def trickle(self, fragment: Fragment) -> None:
        """More candidates of this session; those beyond what it takes are left out."""
        for candidate in fragment.candidates:
            if ice.takes_candidates(self._transport):
                await self._transport.addRemoteCandidate(candidate_from_aioice(candidate))

    async def restart(self, fragment: Fragment) -> Fragment:
        """Begin another ICE session with theirs (RFC 9725 §4.3.3); the newest asked for wins. Ours.

        Raises `WorkerNotFound` when the publisher has gone meanwhile.
        """
        async with self._moves:
            await self._stay()
            if self._ended is None:
                raise WorkerNotFound("no such session")
            session = self._second = SecondSession(self._transport)
            ours = await session.gather()
            session.on_check(self.heard)
            self.etag, self._remote_ufrag = ours.ufrag, fragment.ufrag
            self._moving = asyncio.create_task(self._move(session, fragment))
            return ours

    @property
    def bundle(self) -> tuple[str, str]:
        """Mid and kind of the media section that the others are bundled with."""
        first = self._connection.getTransceivers()[0]
        return first.mid or "0", first.kind

    async def tick(self) -> None:
        """Every 20 ms."""
        for tap in self._taps:
            await tap.tick()

    def overdue(self) -> str:
        """Why this publisher is to be closed; empty while it is well."""
        now = self._now()
        if self._replaced:
            return "came again"
        if not self._joined:
            return "never connected" if now - self._born > self._patience.connect_s else ""
        return "fell silent" if now - self._heard_at > self._patience.silent_s else ""

    async def close(self) -> None:
        self.leave()
        async with self._moves:
            await self._stay()
        await self._connection.close()

    def leave(self) -> None:
        """Out of the room at once; the connection may take its time."""
        ended, self._ended = self._ended, None
        if ended is not None:
            self.room.leave(self.user.id, self)
            ended(self)

    # -- what the taps tell

    def heard(self) -> None:
        self._heard_at = self._now()

    def track_started(self, tap: Tap, codec: str) -> str:
        kind = TrackKind.VIDEO if codec in VIDEO_CODECS else TrackKind.AUDIO
        self._tracks += 1
        track = Track(f"{self.id[:8]}-{self._tracks}", self.user.id, kind, self._source_of(tap, kind), codec)
        if self._ended is not None:
            self._join()
            self.room.add_track(track, tap.want_key)
        return track.id

    def track_ended(self, track: str) -> None:
        self.room.remove_track(track)

    def unit(self, unit: Unit) -> None:
        self.room.unit(unit)

    @property
    def _transport(self) -> RTCIceTransport:
        """All media goes over one."""
        return self._connection.getTransceivers()[0].receiver.transport.transport

    async def _move(self, session: SecondSession, theirs: Fragment) -> None:
        try:
            await session.take_over(theirs)
        except (ConnectionError, TimeoutError) as error:
            log.info("publisher %s stays where it was: %s", self.user.id, error or "no answer")
        else:
            log.info("publisher %s of %s comes another way", self.user.id, self.room.name.cname)

    async def _stay(self) -> None:
        """Give up a move that is under way, even one that has not begun to run: its sockets are open."""
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)
        if self._second is not None:
            await self._second.close()

    def _source_of(self, tap: Tap, kind: TrackKind) -> TrackSource:
        """WHIP does not say what a track shows: the first picture is taken for the camera, a second for a screen."""
        if kind is TrackKind.AUDIO:
            return TrackSource.MICROPHONE
        transceivers = self._connection.getTransceivers()
        videos = [t for t, made in zip(self._taps, transceivers, strict=True) if made.kind == "video"]
        return TrackSource.CAMERA if videos[0] is tap else TrackSource.SCREEN

    async def _on_state(self) -> None:
        state = self._connection.connectionState
        log.info("publisher %s of %s is %s", self.user.id, self.room.name.cname, state)
        if state == "connected" and self._ended is not None:
            self._join()
        elif state in ("failed", "closed", "disconnected"):
            self.leave()
            if state != "closed":
                await self._connection.close()

    def _join(self) -> None:
        """Once; by the connection's word or by the first unit, whichever is first."""
        if self._joined:
            return
        self._joined = True
        self.heard()
        for tap in self._taps:
            tap.route_retransmissions()
        replaced = self.room.join(self.user, self)
        if isinstance(replaced, Publisher):
            replaced._replaced = True


async def close_all(publishers: list[Publisher]) -> None:
    """Several at once. One that does not close properly does not keep the others."""
    for outcome in await asyncio.gather(*(p.close() for p in publishers), return_exceptions=True):
        if isinstance(outcome, Exception):
            log.warning("a publisher's connection did not close: %r", outcome)
