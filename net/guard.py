"""Which addresses the farm connects to when a user names them.

The farm stands in a private network; a URL in a request must not become a way into it. Names are resolved once,
every answer is judged, and the connection goes to the judged address: a second look-up could answer differently.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from models.vocabulary.errors import AddressRefused, BadParameter, FetchFailed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: (host, port) → textual addresses, best first. Raises OSError when there are none.
Resolver = Callable[[str, int], Sequence[str]]

#: For addresses that the operator has chosen, not a user.
EVERYWHERE: Final[tuple[Network, ...]] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
IPV4_COMPATIBLE: Final = IPv6Network("::/96")  # RFC 4291 §2.5.5.1, deprecated
#: Where clouds hand out their machines' credentials. Not all of these lie in a private range.
METADATA: Final[frozenset[Address]] = frozenset(
    {
        IPv4Address("169.254.169.254"),  # AWS, GCP, Azure, OpenStack
        IPv4Address("169.254.170.2"),  # ECS task roles
        IPv4Address("100.100.100.200"),  # Alibaba
        IPv4Address("192.0.0.192"),  # Oracle
        IPv4Address("168.63.129.16"),  # Azure's wire server
        IPv6Address("fd00:ec2::254"),  # AWS
        IPv6Address("fd20:ce::254"),  # GCP
    }
)
SHARED: Final = ip_network("100.64.0.0/10")  # RFC 6598: carriers' and clouds' inner networks


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at: mapped, NAT64, 6to4 (RFC 3056), compatible."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    low = int(address) & 0xFFFF_FFFF
    if address in NAT64 or (address in IPV4_COMPATIBLE and low > 1):
        return IPv4Address(low)
    return None


def judge(address: Address, allow: Iterable[Network] = ()) -> str | None:
    """Why this address is refused; None when it may be connected to."""
    allow = tuple(allow)
    if any(address in network for network in allow):
        return None
    inner = embedded(address)
    return judge(inner, allow) if inner is not None else _kind(address)


def _kind(address: Address) -> str | None:
    kinds = (
        ("a metadata service", address in METADATA),
        ("unspecified", address.is_unspecified),
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("site-local", isinstance(address, IPv6Address) and address.is_site_local),
        ("a shared carrier address", address in SHARED),
        ("private", address.is_private),
        ("reserved", address.is_reserved or not address.is_global),
    )
    return next((kind for kind, holds in kinds if holds), None)


def system_resolver(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def resolve(
    host: str,
    port: int,
    allow_networks: Iterable[Network] = (),
    resolver: Resolver = system_resolver,
    timeout_s: float | None = None,
) -> tuple[Address, ...]:
    """Addresses of a host that may be connected to, best first, never empty. Connect to these and look up no more.

    Raises `AddressRefused` when every one is refused, `FetchFailed` when there is none, `BadParameter` for no host name.
    """
    allow = tuple(allow_networks)
    addresses = [ip_address(text) for text in _look_up(host, port, resolver, timeout_s)]
    if not addresses:
        raise FetchFailed(f"{host} has no address")
    judged = [(address, judge(address, allow)) for address in addresses]
    good = tuple(address for address, reason in judged if reason is None)
    if not good:
        address, reason = judged[0]
        named = host if host == str(address) else f"{host} ({address})"
        raise AddressRefused(f"{named} is {reason}; name its network in REELYARD_ALLOW_NETWORKS to allow it")
    return good


def _look_up(host: str, port: int, resolver: Resolver, timeout_s: float | None) -> Sequence[str]:
    """The resolver's answer, in time: getaddrinfo knows no timeout, so it runs in a thread that may be left behind."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass  # a name, then
    if not host or len(host) > 253 or "\0" in host:
        raise BadParameter(f"{host[:64]!r} is no host name")
    answer: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(resolver, host, port, answer), name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise FetchFailed(f"looking up {host} took too long") from None
    if isinstance(found, (OSError, UnicodeError)):
        raise FetchFailed(f"{host} cannot be resolved") from found
    if isinstance(found, Exception):
        raise found
    return found


def _ask(resolver: Resolver, host: str, port: int, answer: queue.SimpleQueue[Sequence[str] | Exception]) -> None:
    try:
        answer.put(resolver(host, port))
    except Exception as error:  # carried to the thread that asked, and raised there
        answer.put(error)
