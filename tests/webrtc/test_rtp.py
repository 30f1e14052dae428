"""RTP packets to units: whatever the network does, never a wrong unit, never one twice, never out of order."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import av
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.webrtc.rtp import DEADLINE_S, NACK_EVERY_S, Assembled, RtpStream

FRAME_S = 1 / 30
GOP = 6


@dataclass(frozen=True)
class Sent:
    sequence: int
    rtp_time: int
    marker: bool
    payload: bytes
    at: float


@dataclass(frozen=True)
class Source:
    codec: str
    units: dict[int, bytes]  # by RTP time
    keys: frozenset[int]
    packets: list[Sent]


def unit_bytes(codec: str, n: int) -> bytes:
    """A unit of three or so packets, or of one; no two are alike."""
    body = random.Random(n).randbytes(3000 if n % 3 == 0 else 200).replace(b"\0", b"\1")
    if codec == "opus":
        return b"\x78" + body[:80]
    if codec == "vp8":
        return (b"\x10" if n % GOP == 0 else b"\x11") + body
    sets = b"\0\0\0\1\x67sps\0\0\0\1\x68pps" if n % GOP == 0 else b""
    return sets + b"\0\0\0\1" + (b"\x65" if n % GOP == 0 else b"\x41") + body


def packed(codec: str, unit: bytes) -> list[bytes]:
    """As a sender puts it into packets; aiortc's packetizers are the other end of the format."""
    packet = av.Packet(unit)
    packet.pts, packet.time_base = 0, Fraction(1, 90_000)
    if codec == "opus":
        return [unit]
    return H264Encoder().pack(packet)[0] if codec == "h264" else Vp8Encoder().pack(packet)[0]


def source(codec: str, count: int = 40, first_sequence: int = 65_500) -> Source:
    """Numbers wrap on the way."""
    units, packets, sequence = {}, [], first_sequence
    for n in range(count):
        rtp_time = n * 3000
        units[rtp_time] = unit_bytes(codec, n)
        payloads = packed(codec, units[rtp_time])
        for i, payload in enumerate(payloads):
            packets.append(Sent(sequence & 0xFFFF, rtp_time, i == len(payloads) - 1, payload, n * FRAME_S))
            sequence += 1
    keys = frozenset(n * 3000 for n in range(count) if codec == "opus" or n % GOP == 0)
    return Source(codec, units, keys, packets)


def play(codec: str, arrivals: list[Sent], until_s: float) -> tuple[list[Assembled], RtpStream]:
    """Packets as they arrive, with the ticks between them and after."""
    stream = RtpStream(codec)
    got: list[Assembled] = []
    now = 0.0
    for packet in arrivals:
        while now + 0.03 < packet.at:
            now += 0.03
            got += stream.tick(now)
        now = max(now, packet.at)
        got += stream.packet(packet.sequence, packet.rtp_time, packet.marker, packet.payload, now)
    while now < until_s:
        now += 0.03
        got += stream.tick(now)
    return got, stream


SOURCES = {codec: source(codec) for codec in ("h264", "vp8", "opus")}
CODECS = st.sampled_from(sorted(SOURCES))


@given(CODECS, st.integers(0, 2**32), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1.0))
@settings(max_examples=150, deadline=None)
def test_loss_reordering_and_duplicates_never_make_a_wrong_or_doubled_unit(
    codec: str, seed: int, loss: float, doubled: float, jitter_s: float
) -> None:
    sent, chance = SOURCES[codec], random.Random(seed)
    arrivals = []
    for packet in sent.packets:
        for _ in range(2 if chance.random() < doubled else 1):
            if chance.random() >= loss:
                late_s = chance.random() * jitter_s if chance.random() < 0.3 else 0.0
                arrivals.append(
                    Sent(packet.sequence, packet.rtp_time, packet.marker, packet.payload, packet.at + late_s)
                )
    arrivals.sort(key=lambda p: p.at)
    got, _ = play(codec, arrivals, 4.0)
    times = [unit.rtp_time for unit in got]
    assert times == sorted(set(times))
    for before, unit in zip([None, *got], got, strict=False):
        assert unit.payload == sent.units[unit.rtp_time]
        assert unit.key == (unit.rtp_time in sent.keys)
        follows = before is not None and unit.rtp_time == before.rtp_time + 3000
        if not follows and before is not None:
            assert unit.gap and unit.key, "something is missing before it, and it does not say so or depends on it"
        if codec != "opus" and before is None:
            assert unit.key


@given(CODECS, st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_reordering_within_the_deadline_loses_nothing(codec: str, seed: int) -> None:
    sent, chance = SOURCES[codec], random.Random(seed)
    first, *rest = sent.packets
    late = [Sent(p.sequence, p.rtp_time, p.marker, p.payload, p.at + chance.random() * 0.35) for p in rest]
    got, stream = play(codec, [first, *sorted(late, key=lambda p: p.at)], 4.0)
    assert [u.payload for u in got] == list(sent.units.values())
    assert not any(u.gap for u in got) and stream.counts.lost == 0


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_lost_packet_is_asked_for_again_and_again_and_in_the_end_a_key_unit_is(codec: str) -> None:
    sent = SOURCES[codec]
    lost = next(i for i, p in enumerate(sent.packets) if p.rtp_time == 9 * 3000)
    stream = RtpStream(codec)
    for packet in sent.packets[:lost]:
        stream.packet(packet.sequence, packet.rtp_time, packet.marker, packet.payload, 0.0)
    stream.asks(0.0)
    after = sent.packets[lost + 1]
    stream.packet(after.sequence, after.rtp_time, after.marker, after.payload, 1.0)
    number = sent.packets[lost].sequence
    assert stream.asks(1.0).nack == [number]
    assert stream.asks(1.0 + NACK_EVERY_S / 2).nack == []
    assert stream.asks(1.0 + NACK_EVERY_S).nack == [number]
    assert not stream.asks(1.0 + DEADLINE_S - 0.01).pli
    given_up = 1.01 + DEADLINE_S
    stream.tick(given_up)
    asks = stream.asks(given_up)
    assert asks.pli and asks.nack == []
    assert not stream.asks(given_up + 0.1).pli
    assert stream.asks(given_up + 0.5).pli


def test_a_retransmission_in_time_heals_the_unit() -> None:
    sent = SOURCES["h264"]
    held = next(i for i, p in enumerate(sent.packets) if p.rtp_time == 9 * 3000) + 1
    packets = [*sent.packets[:held], *sent.packets[held + 1 : held + 8], sent.packets[held], *sent.packets[held + 8 :]]
    stream = RtpStream("h264")
    got = [u for p in packets for u in stream.packet(p.sequence, p.rtp_time, p.marker, p.payload, 1.0)]
    assert [u.payload for u in got] == list(sent.units.values()) and not any(u.gap for u in got)


def test_sound_goes_on_at_the_next_packet_and_says_that_one_is_missing() -> None:
    sent = SOURCES["opus"]
    got, _ = play("opus", [p for p in sent.packets if p.rtp_time != 30_000], 4.0)
    assert [u.rtp_time for u in got] == [t for t in sent.units if t != 30_000]
    assert [u.rtp_time for u in got if u.gap] == [33_000]


def test_a_stream_joined_inside_a_unit_starts_at_the_next_key_unit() -> None:
    sent = SOURCES["vp8"]
    got, _ = play("vp8", sent.packets[1:], 4.0)
    assert got[0].rtp_time == GOP * 3000 and got[0].key


def test_a_lost_last_packet_of_a_unit_does_not_cost_the_key_unit_after_it() -> None:
    sent = SOURCES["h264"]
    last = max(i for i, p in enumerate(sent.packets) if p.rtp_time == (GOP - 1) * 3000)
    got, _ = play("h264", sent.packets[:last] + sent.packets[last + 1 :], 4.0)
    assert [u.rtp_time for u in got] == [t for t in sent.units if t != (GOP - 1) * 3000]


def test_numbers_that_start_anew_start_the_stream_anew() -> None:
    first, second = SOURCES["opus"], source("opus", first_sequence=20_000)
    later = [Sent(p.sequence, p.rtp_time + 10**6, p.marker, p.payload, p.at + 2) for p in second.packets]
    got, _ = play("opus", [*first.packets, *later], 5.0)
    assert len(got) == len(first.units) + len(second.units) - 1, "the first stray is the price"
    assert got[len(first.units)].gap


def test_padding_ends_no_unit_and_makes_none() -> None:
    sent = SOURCES["vp8"]
    stream = RtpStream("vp8")
    got, sequence = [], 100
    for packet in sent.packets:
        got += stream.packet(sequence, packet.rtp_time, packet.marker, packet.payload, 0.0)
        got += stream.packet(sequence + 1, packet.rtp_time, False, b"", 0.0)
        sequence += 2
    assert [u.payload for u in got] == list(sent.units.values())


def test_a_wanted_key_unit_is_asked_for_until_it_comes() -> None:
    sent, stream = SOURCES["h264"], RtpStream("h264")
    key = [p for p in sent.packets if p.rtp_time == 0]
    for packet in key:
        stream.packet(packet.sequence, 0, packet.marker, packet.payload, 0.0)
    assert not stream.asks(0.0).pli
    stream.want_key()
    assert [stream.asks(t).pli for t in (1.0, 1.2, 1.5)] == [True, False, True]
    for i, packet in enumerate(key):
        stream.packet((key[-1].sequence + 1 + i) & 0xFFFF, 3000, packet.marker, packet.payload, 1.6)
    assert not stream.asks(3.0).pli and not stream.asking


def test_an_endless_unit_is_dropped_and_memory_stays_bounded() -> None:
    stream = RtpStream("vp8")
    for n in range(5000):
        stream.packet(n & 0xFFFF, 0, False, b"\x10" + bytes(1200), 0.0)
    assert stream.asks(1.0).pli


@given(
    CODECS,
    st.lists(
        st.tuples(st.integers(0, 65_535), st.integers(0, 10), st.booleans(), st.binary(max_size=12), st.floats(0, 0.5)),
        max_size=60,
    ),
)
def test_packets_of_any_content_are_units_or_nothing(
    codec: str, packets: list[tuple[int, int, bool, bytes, float]]
) -> None:
    stream, now, got = RtpStream(codec), 0.0, []
    for sequence, rtp_time, marker, payload, later_s in packets:
        now += later_s
        got += stream.packet(sequence, rtp_time, marker, payload, now)
        got += stream.tick(now)
        assert len(stream.asks(now).nack) <= 200
    assert all(unit.payload for unit in got)
