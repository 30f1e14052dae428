"""A WHIP publisher (RFC 9725): offers, follows the gateway's redirect, sends until closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urljoin

import httpx
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from farm.publisher.tracks import AudioTrack, Start, VideoTrack
from models.vocabulary.errors import ChannelRefused, ChannelUnreachable
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan
from workers.webrtc import ice
from workers.webrtc.tap import on_key_request

_CONNECT_WITHIN_S: Final = 10.0
_REDIRECTS: Final = 3
_REDIRECT_STATUS: Final = frozenset({307, 308})
_SDP_TYPE: Final = "application/sdp"


class SyntheticPublisher:
    """One user with a camera and a microphone of `plan`. `open`, then it sends until `close`.

    `url` is the gateway's or an ingest's WHIP endpoint of this user. Picture and sound count from one instant.
    """

    def __init__(
        self,
        url: str,
        token: str,
        plan: MediaPlan,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        audio: bool = True,
        video: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        ice.keep_to(addresses)
        self._url = url
        self._token = token
        self._start = Start(now)
        self._plan = plan
        self._video = VideoTrack(VideoLoop(plan), self._start) if video else None
        self._audio = AudioTrack(AudioLoop(plan), self._start) if audio else None
        self._connection: RTCPeerConnection | None = None
        self.location = ""

    @property
    def flashes(self) -> list[tuple[int, float]]:
        """(frame number, monotonic s) at which each flash of the picture was sent. The beeps go with them."""
        return list(self._video.sent) if self._video else []

    @property
    def started_at(self) -> float | None:
        """Monotonic s of the media's zero; None before the first packet."""
        return self._start.at

    @property
    def key_requests(self) -> int:
        return self._video.key_requests if self._video else 0

    def mute(self) -> None:
        """Switch the camera off, without a word to anybody."""
        if self._video is not None:
            self._video.mute()

    def unmute(self) -> None:
        if self._video is not None:
            self._video.unmute()

    async def open(self) -> None:
        """Returns when connected. Raises ChannelRefused when the endpoint says no, ChannelUnreachable otherwise."""
        await asyncio.to_thread(self._prepare)
        self._connection = RTCPeerConnection(ice.configuration())
        try:
            await self._negotiate(self._connection)
        except BaseException:
            await self._connection.close()
            raise

    async def close(self) -> None:
        """Leave as RFC 9725 §4.2 asks: DELETE the session, then close."""
        try:
            if self.location:
                async with httpx.AsyncClient(timeout=_CONNECT_WITHIN_S) as http:
                    await http.delete(self.location)
        except httpx.TransportError:
            pass  # the ingest is gone, and the session with it
        finally:
            self.location = ""
            if self._connection is not None:
                await self._connection.close()

    def _prepare(self) -> None:
        """The first GOP and the sound are made before the clock starts, the rest while it runs."""
        if self._video is not None:
            VideoLoop(self._plan).run(0)
        if self._audio is not None:
            AudioLoop(self._plan).prepare()

    async def _negotiate(self, connection: RTCPeerConnection) -> None:
        connected = asyncio.get_running_loop().create_future()

        def on_state() -> None:
            if connection.connectionState in ("connected", "failed", "closed") and not connected.done():
                connected.set_result(connection.connectionState)

        connection.on("connectionstatechange", on_state)
        if self._audio is not None:
            connection.addTrack(self._audio)
        if self._video is not None:
            on_key_request(connection.addTrack(self._video), self._video.request_key)
            _prefer(connection, self._plan.codec)
        await connection.setLocalDescription(await connection.createOffer())
        answer = await self._offer(connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        try:
            state = await asyncio.wait_for(connected, _CONNECT_WITHIN_S)
        except TimeoutError as error:
            raise ChannelUnreachable("the WebRTC connection does not come up") from error
        if state != "connected":
            raise ChannelUnreachable(f"the WebRTC connection is {state}")

    async def _offer(self, sdp: str) -> str:
        """The answer. A redirect's target has a token of its own; ours stays with who we were given it for."""
        url, headers = self._url, {"Content-Type": _SDP_TYPE, "Authorization": f"Bearer {self._token}"}
        try:
            async with httpx.AsyncClient(timeout=_CONNECT_WITHIN_S) as http:
                for _ in range(_REDIRECTS):
                    response = await http.post(url, content=sdp, headers=headers)
                    if response.status_code not in _REDIRECT_STATUS:
                        break
                    url = urljoin(url, response.headers["Location"])
                    headers.pop("Authorization", None)
        except httpx.TransportError as error:
            raise ChannelUnreachable(f"the WHIP endpoint does not answer ({type(error).__name__})") from error
        if response.status_code != 201:
            raise ChannelRefused(f"the WHIP endpoint answered {response.status_code}: {response.text[:200]}")
        self.location = urljoin(url, response.headers["Location"])
        return response.text


def _prefer(connection: RTCPeerConnection, codec: str) -> None:
    wanted = f"video/{codec}".lower()
    codecs = RTCRtpSender.getCapabilities("video").codecs
    chosen = [c for c in codecs if c.mimeType.lower() in (wanted, "video/rtx")]
    for transceiver in connection.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences(chosen)
