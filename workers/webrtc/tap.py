"""Encoded units taken out of an aiortc receiver before it decodes: every private name of aiortc that we touch is in this file.

aiortc keeps ICE, DTLS, SRTP, routing and receiver reports; the tap takes the place of its packet handler, feeds the
statistics and the bandwidth estimation behind it as that did, and leaves its jitter buffer and decoder idle (one
unrecovered packet stalls aiortc's buffer for 8 s). tests/webrtc/test_private_names.py holds the names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiortc.codecs import is_rtx
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpreceiver import RTCRtpReceiver, StreamStatistics
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_APP,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
    unwrap_rtx,
)

from models.vocabulary.channel import Unit
from workers.webrtc.payload import CODECS
from workers.webrtc.rtp import Assembled, RtpStream
from workers.webrtc.senderclock import SenderClock, Unwrapper

log = logging.getLogger(__name__)

#: The attributes of aiortc's receiver that the tap reads, by their names inside the class.
RECEIVER_NAMES: Final = ("codecs", "rtx_ssrc", "remote_streams", "remote_bitrate_estimator", "rtcp_ssrc", "lsr_time")
#: Units of a track that wait for its clock; some 5 s of sound.
_MAX_HELD: Final = 256

Drops = Callable[[RtpPacket], bool]


def on_key_request(sender: RTCRtpSender, asked: Callable[[], None]) -> None:
    """Call `asked` when the receiving side wants a key unit; aiortc itself only tells its own encoder."""
    sender._send_keyframe = asked  # type: ignore[method-assign]  # there is no hook


class TapOwner(Protocol):
    def heard(self) -> None:
        """The publisher lives."""

    def track_started(self, tap: Tap, codec: str) -> str:
        """The first unit of a codec is there; the new track's id."""

    def track_ended(self, track: str) -> None: ...

    def unit(self, unit: Unit) -> None: ...


class Tap:
    """Takes over one receiver. To be made between setRemoteDescription and setLocalDescription."""

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        owner: TapOwner,
        sender: SenderClock,
        now: Callable[[], float],
        drops: Drops | None = None,  # packets lost on purpose, by tests and benches
        *,
        holds: Callable[[], bool] = lambda: False,  # whether the sender's clock is to be waited for
        estimates: bool = True,  # whether the sender is told how much may come: Janus does not listen
        least_rtt_s: float = 0.0,  # what receiver reports claim at least: Janus resends nothing to who is 0 ms away
    ) -> None:
        self._receiver = receiver
        self._owner = owner
        self._now = now
        self._drops = drops
        self._holds = holds
        self._held: list[Assembled] = []
        self._estimates = estimates
        self._least_rtt_s = least_rtt_s
        self._sender = sender
        self._clock = sender.track()
        self._timestamps = Unwrapper()
        self._stream: RtpStream | None = None
        self._codec = ""
        self._rate = 90_000
        self._ssrc: int | None = None
        self._answered: set[int] = set()  # senders of the first report
        self._track = ""
        self._last_t = float("-inf")
        self._rtcp = receiver._handle_rtcp_packet
        receiver._handle_rtp_packet = self._on_rtp  # type: ignore[method-assign]  # there is no hook
        receiver._handle_rtcp_packet = self._on_rtcp  # type: ignore[method-assign]  # there is no hook

    @property
    def stream(self) -> RtpStream | None:
        return self._stream

    def route_retransmissions(self) -> None:
        """aiortc's router learns RTX streams by payload type only, which fails with two videos in one connection."""
        table = self._receiver.transport._rtp_router.ssrc_table
        for ssrc in self._of_receiver("rtx_ssrc"):
            table[ssrc] = self._receiver

    @property
    def busy(self) -> bool:
        """Whether `tick` has anything to do."""
        return self._stream is not None and (self._stream.asking or bool(self._held))

    def want_key(self) -> None:
        if self._stream is not None:
            self._stream.want_key()

    async def tick(self) -> None:
        """Deadlines, and what is to be asked again. Every 20 to 50 ms."""
        if self._stream is not None and self.busy:
            now = self._now()
            self._emit(self._stream.tick(now), now)
            await self._ask(now)

    async def _on_rtp(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if self._drops is not None and self._drops(packet):
            return
        self._owner.heard()
        if self._estimates:
            await self._estimate(packet, arrival_time_ms)
        original = self._counted(packet)
        if original is None:
            return
        packet, codec = original
        now = self._now()
        stream = self._stream_of(packet, codec)
        if stream is None:
            return
        rtp_time = self._timestamps.see(packet.timestamp)
        self._clock.arrived(rtp_time / self._rate, now)
        units = stream.packet(packet.sequence_number, rtp_time, bool(packet.marker), packet.payload, now)
        self._emit(units, now)
        if stream.asking:
            await self._ask(now)

    async def _on_rtcp(self, packet: AnyRtcpPacket) -> None:
        self._owner.heard()
        if isinstance(packet, RtcpByePacket):
            return  # aiortc would end the receiver; a sender may say BYE and go on with another SSRC
        if isinstance(packet, RtcpSrPacket) and packet.ssrc == self._ssrc:
            report = packet.sender_info
            media_s = self._timestamps.at(report.rtp_timestamp) / self._rate
            self._clock.reported(report.ntp_timestamp, media_s, self._now())
        await self._rtcp(packet)
        if self._least_rtt_s and isinstance(packet, RtcpSrPacket):
            self._of_receiver("lsr_time")[packet.ssrc] += self._least_rtt_s
            if packet.ssrc not in self._answered:
                self._answered.add(packet.ssrc)
                await self._report(packet)

    async def _report(self, report: RtcpSrPacket) -> None:
        """Answer a sender's report at once: until it knows how far away we are, Janus sends nothing again."""
        stats: StreamStatistics | None = self._of_receiver("remote_streams").get(report.ssrc)
        ssrc = self._of_receiver("rtcp_ssrc")
        if stats is None or stats.max_seq is None or ssrc is None:
            return
        sent = (report.sender_info.ntp_timestamp >> 16) - round(self._least_rtt_s * 65536)
        heard = RtcpReceiverInfo(
            ssrc=report.ssrc,
            fraction_lost=stats.fraction_lost,
            packets_lost=stats.packets_lost,
            highest_sequence=stats.max_seq,
            jitter=stats.jitter,
            lsr=sent & 0xFFFF_FFFF,
            dlsr=0,
        )
        await self._receiver._send_rtcp(RtcpRrPacket(ssrc=ssrc, reports=[heard]))

    async def _estimate(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        """Feed bandwidth estimation and send its word (REMB), as aiortc's own handler does."""
        estimator = self._of_receiver("remote_bitrate_estimator")
        if estimator is None or packet.extensions.abs_send_time is None:
            return
        remb = estimator.add(
            abs_send_time=packet.extensions.abs_send_time,
            arrival_time_ms=arrival_time_ms,
            payload_size=len(packet.payload) + packet.padding_size,
            ssrc=packet.ssrc,
        )
        ssrc = self._of_receiver("rtcp_ssrc")
        if remb is not None and ssrc is not None:
            feedback = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=ssrc, media_ssrc=0, fci=pack_remb_fci(*remb))
            await self._receiver._send_rtcp(feedback)

    def _counted(self, packet: RtpPacket) -> tuple[RtpPacket, RTCRtpCodecParameters] | None:
        """Feed the receiver reports; the packet itself, unwrapped when it is a retransmission (RFC 4588)."""
        codecs: dict[int, RTCRtpCodecParameters] = self._of_receiver("codecs")
        codec = codecs.get(packet.payload_type)
        if codec is None:
            return None
        streams: dict[int, StreamStatistics] = self._of_receiver("remote_streams")
        if packet.ssrc not in streams:
            streams[packet.ssrc] = StreamStatistics(codec.clockRate)
        streams[packet.ssrc].add(packet)
        if not is_rtx(codec):
            return packet, codec
        ssrc = self._of_receiver("rtx_ssrc").get(packet.ssrc)
        payload_type = codec.parameters.get("apt")
        if ssrc is None or len(packet.payload) < 2 or not isinstance(payload_type, int) or payload_type not in codecs:
            return None
        return unwrap_rtx(packet, payload_type=payload_type, ssrc=ssrc), codecs[payload_type]

    def _stream_of(self, packet: RtpPacket, codec: RTCRtpCodecParameters) -> RtpStream | None:
        """The stream of the packet; a new one when the sender changed its codec or its SSRC."""
        name = codec.name.lower()
        if name not in CODECS:
            return None
        if self._stream is None or packet.ssrc != self._ssrc or name != self._codec:
            if name != self._codec:
                self.end()
            self._stream, self._codec, self._rate, self._ssrc = RtpStream(name), name, codec.clockRate, packet.ssrc
            self._held.clear()
            self._sender.drop(self._clock)
            self._clock, self._timestamps = self._sender.track(), Unwrapper()
        return self._stream

    def _emit(self, units: list[Assembled], now: float) -> None:
        if self._held or self._holds():
            units, self._held = [*self._held, *units], []
            if self._holds():
                self._held = units[-_MAX_HELD:]
                return
        for unit in units:
            t = max(self._clock.time_of(unit.rtp_time / self._rate, now), self._last_t + 1e-6)
            self._last_t = t
            if not self._track:
                self._track = self._owner.track_started(self, self._codec)
            gap = self._clock.take_step() or unit.gap
            # Rotation is 0: without the orientation extension in the answer a browser turns its pictures itself.
            self._owner.unit(Unit(self._track, self._codec, unit.payload, t, unit.key, unit.duration_s, gap))

    def close(self) -> None:
        """Nothing more will come; its times are not the sender's any more."""
        self._held.clear()
        self._sender.drop(self._clock)

    def end(self) -> None:
        """The track is over, or the next unit begins another."""
        if self._track:
            self._owner.track_ended(self._track)
            self._track = ""

    async def _ask(self, now: float) -> None:
        assert self._stream is not None and self._ssrc is not None
        asks = self._stream.asks(now)
        if asks.nack:
            await self._receiver._send_rtcp_nack(self._ssrc, asks.nack)
        if asks.pli:
            await self._receiver._send_rtcp_pli(self._ssrc)

    def _of_receiver(self, name: str) -> Any:
        return getattr(self._receiver, f"_RTCRtpReceiver__{name}")
