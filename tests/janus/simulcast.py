"""A user who sends his camera in several sizes at once, as browsers do to an SFU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aiortc import RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpSendParameters

from farm.publisher.tracks import VideoTrack
from tests.janus.server import JanusPublisher
from workers.synthetic.media import VideoLoop
from workers.synthetic.plan import MediaPlan
from workers.webrtc.tap import on_key_request


class SimulcastPublisher(JanusPublisher):
    """`plans`: the same camera, smallest first. aiortc sends one stream a section: further senders stand beside its own."""

    def __init__(self, uid: str, plans: Sequence[MediaPlan], **more: Any) -> None:
        super().__init__(uid, plans[-1], **more)
        self._lower = [VideoTrack(VideoLoop(plan), self._start) for plan in plans[:-1]]
        self._lower_plans = plans[:-1]
        self._senders: list[RTCRtpSender] = []

    def _prepare(self) -> None:
        super()._prepare()
        for plan in self._lower_plans:
            VideoLoop(plan).run(0)

    async def _offer(self, sdp: str) -> str:
        assert self._connection is not None
        [main] = [sender for sender in self._connection.getSenders() if sender.kind == "video"]
        for track in self._lower:
            sender = RTCRtpSender(track, main.transport)
            on_key_request(sender, track.request_key)
            self._senders.append(sender)
        send = main.send

        async def send_all(parameters: RTCRtpSendParameters) -> None:
            await send(parameters)
            for sender in self._senders:
                await sender.send(parameters)

        main.send = send_all  # type: ignore[method-assign]  # there is no hook
        return await super()._offer(_with_group(sdp, main._ssrc, [sender._ssrc for sender in self._senders]))

    async def close(self) -> None:
        for sender in self._senders:
            await sender.stop()
        await super().close()


def _with_group(sdp: str, highest: int, lower: Sequence[int]) -> str:
    """The streams of the video section as one group, smallest first (draft-ietf-mmusic-sdp-simulcast's forerunner)."""
    named = re.search(rf"^a=ssrc:{highest} cname:(\S+)\r\n", sdp, re.MULTILINE)
    assert named is not None
    group = f"a=ssrc-group:SIM {' '.join(map(str, (*lower, highest)))}\r\n"
    others = "".join(f"a=ssrc:{ssrc} cname:{named[1]}\r\n" for ssrc in lower)
    return sdp[: named.start()] + group + others + sdp[named.start() :]
