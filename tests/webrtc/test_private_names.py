"""The private names of aiortc and aioice that tap.py, ice.py and icesession.py stand on. A failure here means: read the
new version's receiver and ICE code against these files before the range in pyproject.toml is widened."""

from __future__ import annotations

import asyncio
import inspect

import aioice.ice
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import RtpRouter
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from aiortc.rtcrtpsender import RTCRtpSender

from workers.webrtc import ice
from workers.webrtc.tap import RECEIVER_NAMES


def test_the_receiver_has_the_fields_the_tap_reads() -> None:
    async def receiver() -> RTCRtpReceiver:
        connection = RTCPeerConnection(ice.configuration())
        try:
            return connection.addTransceiver("video", direction="recvonly").receiver
        finally:
            await connection.close()

    made = asyncio.run(receiver())
    missing = [name for name in RECEIVER_NAMES if not hasattr(made, f"_RTCRtpReceiver__{name}")]
    assert not missing, f"aiortc's RTCRtpReceiver has lost {missing}"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (RTCRtpReceiver, "_handle_rtp_packet", ["self", "packet", "arrival_time_ms"]),
        (RTCRtpReceiver, "_handle_rtcp_packet", ["self", "packet"]),
        (RTCRtpReceiver, "_send_rtcp", ["self", "packet"]),
        (RTCRtpReceiver, "_send_rtcp_nack", ["self", "media_ssrc", "lost"]),
        (RTCRtpReceiver, "_send_rtcp_pli", ["self", "media_ssrc"]),
        (RTCRtpSender, "_send_keyframe", ["self"]),
        (aioice.ice.Connection, "request_received", ["self", "message", "addr", "protocol"]),
        (aioice.ice, "get_host_addresses", ["use_ipv4", "use_ipv6"]),
    ],
)
def test_what_is_overridden_or_called_takes_the_same_arguments(owner: object, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


def test_the_transports_call_what_is_overridden_on_the_instance() -> None:
    from aiortc.rtcdtlstransport import RTCDtlsTransport

    assert "receiver._handle_rtp_packet(packet" in inspect.getsource(RTCDtlsTransport._handle_rtp_data)
    assert "recipient._handle_rtcp_packet(packet)" in inspect.getsource(RTCDtlsTransport._handle_rtcp_data)
    assert "self.receiver.request_received(" in inspect.getsource(aioice.ice.StunProtocol.datagram_received)
    assert "get_host_addresses(" in inspect.getsource(aioice.ice.Connection.gather_candidates)
    assert "self._send_keyframe()" in inspect.getsource(RTCRtpSender._handle_rtcp_packet)
    assert hasattr(RtpRouter(), "ssrc_table")


def test_only_the_addresses_told_are_gathered_and_no_server_is_asked() -> None:
    ice.keep_to(["127.0.0.1"])

    async def offer() -> str:
        connection = RTCPeerConnection(ice.configuration())
        connection.addTransceiver("audio", direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        await connection.close()
        return sdp

    candidates = [line.split() for line in asyncio.run(offer()).splitlines() if line.startswith("a=candidate:")]
    assert candidates and all(c[4] == "127.0.0.1" and c[7] == "host" for c in candidates)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="eth0"):
        ice.keep_to(["eth0"])


def test_names_and_other_transports_leave_an_offer() -> None:
    lines = [
        "v=0",
        "a=candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host",
        "a=candidate:2 1 udp 2130706431 3f7a.local 5000 typ host",
        "a=candidate:3 1 tcp 2130706431 10.0.0.1 9 typ host tcptype active",
        "a=end-of-candidates",
        "a=sendonly",
    ]
    assert ice.without_names("\r\n".join(lines)).splitlines() == [lines[0], lines[1], lines[5]]


def test_a_transport_and_its_ice_session_hold_each_other_by_what_a_restart_replaces() -> None:
    from aiortc.rtcdtlstransport import RTCDtlsTransport
    from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport

    async def attributes() -> tuple[set[str], set[str]]:
        transport = RTCIceTransport(RTCIceGatherer([]))
        return set(vars(transport)), set(vars(transport._connection))

    of_transport, of_session = asyncio.run(attributes())
    assert of_transport >= {"_connection", "_recv", "_send"}
    assert of_session >= {"_queue", "_event_waiter", "_protocols"}
    assert "self._queue.get()" in inspect.getsource(aioice.ice.Connection.recvfrom)
    assert "self._queue.put_nowait((data" in inspect.getsource(aioice.ice.Connection.data_received)
    assert "self._connection.get_event()" in inspect.getsource(RTCIceTransport._monitor)
    assert "self.transport._recv()" in inspect.getsource(RTCDtlsTransport)
