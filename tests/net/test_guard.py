"""The guard's verdicts, address by address, and that a name is looked up once."""

from __future__ import annotations

import threading
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.errors import AddressRefused, BadParameter, FetchFailed
from net.guard import EVERYWHERE, embedded, judge, resolve

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.3.4": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "fd12::1": "private",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "169.254.169.254": "metadata",
    "168.63.129.16": "metadata",
    "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata",
    "100.64.0.1": "carrier",
    "224.0.0.1": "multicast",
    "239.1.1.1": "multicast",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
    "240.0.0.1": "private|reserved",
    "255.255.255.255": "private|reserved",
    "192.0.2.1": "private|reserved",
    "198.18.0.1": "private|reserved",
    "2001:db8::1": "private|reserved",
    "fec0::1": "site-local",
    "64:ff9b:1::1": "reserved|private",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "metadata",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "metadata",
    "2002:7f00:1::": "loopback",
    "2002:a00:1::1": "private",
    "::7f00:1": "loopback",
}


@pytest.mark.parametrize(("address", "kind"), REFUSED.items())
def test_addresses_that_lead_inside_are_refused_with_their_kind(address: str, kind: str) -> None:
    reason = judge(ip_address(address))
    assert reason is not None
    assert any(word in reason for word in kind.split("|"))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"]
)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert judge(ip_address(address)) is None


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_way_of_writing_an_ipv4_address_in_ipv6_changes_the_verdict(inner: IPv4Address) -> None:
    for base in (0xFFFF << 32, int(IPv6Address("64:ff9b::"))):
        assert judge(IPv6Address(base | int(inner))) == judge(inner)
    assert judge(IPv6Address((0x2002 << 112) | int(inner) << 80)) == judge(inner)


@given(st.ip_addresses(v=6))
def test_what_is_not_embedded_is_judged_as_it_stands(address: IPv6Address) -> None:
    if embedded(address) is None and judge(address) is None:
        assert address.is_global


def test_an_allowed_network_opens_itself_and_nothing_beside_it() -> None:
    allow = (ip_network("10.1.0.0/16"),)
    assert judge(ip_address("10.1.2.3"), allow) is None
    assert judge(ip_address("::ffff:10.1.2.3"), allow) is None
    assert judge(ip_address("10.2.0.1"), allow) == "private"


def test_everywhere_is_everywhere() -> None:
    assert judge(ip_address("127.0.0.1"), EVERYWHERE) is None
    assert judge(ip_address("fe80::1"), EVERYWHERE) is None


def test_of_a_name_with_several_addresses_only_the_good_ones_are_kept() -> None:
    found = resolve("mixed.example", 80, resolver=lambda *_: ["127.0.0.1", "1.1.1.1", "10.0.0.1", "8.8.8.8"])
    assert [str(address) for address in found] == ["1.1.1.1", "8.8.8.8"]


def test_a_refusal_names_host_address_kind_and_the_setting() -> None:
    with pytest.raises(AddressRefused) as caught:
        resolve("inner.example", 80, resolver=lambda *_: ["10.0.0.7"])
    assert caught.value.text == (
        "inner.example (10.0.0.7) is private; name its network in REELYARD_ALLOW_NETWORKS to allow it"
    )


def test_an_address_is_not_looked_up() -> None:
    def never(host: str, port: int) -> list[str]:
        raise AssertionError("looked up")

    assert resolve("1.1.1.1", 80, resolver=never) == (IPv4Address("1.1.1.1"),)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost"])
def test_odd_spellings_of_loopback_are_refused_by_what_they_resolve_to(host: str) -> None:
    with pytest.raises(AddressRefused):
        resolve(host, 80)


@pytest.mark.parametrize("host", ["", "a" * 254, "a\0b"])
def test_what_cannot_be_a_host_is_a_bad_parameter(host: str) -> None:
    with pytest.raises(BadParameter):
        resolve(host, 80)


def test_a_name_without_an_address_may_be_tried_again() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(FetchFailed) as caught:
        resolve("nobody.example", 80, resolver=nobody)
    assert caught.value.retryable


def test_a_resolver_that_hangs_is_left_behind() -> None:
    hanging = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        hanging.wait(10)
        return ["1.1.1.1"]

    with pytest.raises(FetchFailed, match="too long"):
        resolve("slow.example", 80, resolver=slow, timeout_s=0.05)
    hanging.set()
