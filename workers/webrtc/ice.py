"""ICE kept to the addresses it is told to use: every private name of aioice that we touch is in this file.

aioice gathers every address of the host and resolves `.local` names by multicast; neither may happen here.
tests/webrtc/test_private_names.py holds the names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Final

import aioice.ice
from aiortc import RTCConfiguration
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcicetransport import RTCIceTransport

#: A browser on a host with many networks offers some 20; each is a target that our socket sends checks to.
MAX_CANDIDATES: Final = 32


def keep_to(addresses: Sequence[str]) -> None:
    """From now on this process gathers and binds these local addresses only. Raises ValueError on what is no address."""
    parsed = [ipaddress.ip_address(address) for address in addresses]

    def host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [str(a) for a in parsed if (use_ipv4 if a.version == 4 else use_ipv6)]

    aioice.ice.get_host_addresses = host_addresses


def configuration() -> RTCConfiguration:
    """No STUN server (aiortc's default asks one of Google's), all tracks over one transport."""
    return RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)


def without_names(sdp: str) -> str:
    """An offer whose candidates are addresses only, and which may not be complete.

    A publisher that offers none, or mDNS names, is found when its checks arrive (RFC 8445 §7.3.1.3); for that aioice
    must not believe that no candidate will come.
    """
    kept: list[str] = []
    candidates = 0
    for line in sdp.splitlines():
        if line.startswith("a=end-of-candidates"):
            continue
        if line.startswith("a=candidate:"):
            candidates += 1
            if candidates > MAX_CANDIDATES or not is_udp_address(line):
                continue
        kept.append(line)
    return "\r\n".join(kept) + "\r\n"


def is_udp_address(candidate_line: str) -> bool:
    fields = candidate_line.split()
    if len(fields) < 8 or fields[2].lower() != "udp":
        return False
    try:
        ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    return True


def on_check(transport: RTCIceTransport, heard: Callable[[], None]) -> None:
    """Call `heard` at each connectivity check of the peer: its sign of life also while it sends no media (RFC 7675)."""
    watch_checks(transport._connection, heard)


def watch_checks(connection: aioice.ice.Connection, heard: Callable[[], None]) -> None:
    """As `on_check`, of one ICE session."""
    received = connection.request_received

    def request_received(message: Any, addr: tuple[str, int], protocol: Any) -> None:
        heard()
        received(message, addr, protocol)

    connection.request_received = request_received  # type: ignore[method-assign]  # there is no hook


def takes_candidates(transport: RTCIceTransport) -> bool:
    """Whether its peer has not named as many as we take."""
    return len(transport._connection.remote_candidates) < MAX_CANDIDATES


def ufrag(transport: RTCIceTransport) -> str:
    """Names the ICE session, as RFC 9725 §4.3.1 wants of an entity tag."""
    return transport.iceGatherer.getLocalParameters().usernameFragment or ""
