"""What a unit is, told from its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.webrtc.payload import ParameterSets, depacketized, opus_duration_s, vp8_whole

SPS, PPS, IDR, P_SLICE, SEI, AUD = b"\x67sps", b"\x68pps", b"\x65picture", b"\x41picture", b"\x06sei", b"\x09\xf0"


def annex_b(*nals: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def test_a_key_unit_keeps_the_sets_it_came_with() -> None:
    whole = ParameterSets().whole(annex_b(AUD, SPS, PPS, SEI, IDR))
    assert whole is not None and whole.key and whole.payload == annex_b(AUD, SPS, PPS, SEI, IDR)


def test_sets_that_came_before_are_put_before_the_key_unit() -> None:
    sets = ParameterSets()
    assert sets.whole(annex_b(SPS, PPS)) is None
    whole = sets.whole(annex_b(IDR))
    assert whole is not None and whole.payload == annex_b(SPS, PPS, IDR)


def test_a_key_unit_without_any_sets_is_an_error() -> None:
    with pytest.raises(ValueError, match="parameter sets"):
        ParameterSets().whole(annex_b(IDR))


def test_a_new_sps_forgets_the_old_pps() -> None:
    sets = ParameterSets()
    sets.whole(annex_b(SPS, PPS, IDR))
    with pytest.raises(ValueError, match="parameter sets"):
        sets.whole(annex_b(b"\x67other", IDR))


def test_a_picture_that_refers_to_others_is_no_key() -> None:
    whole = ParameterSets().whole(annex_b(P_SLICE))
    assert whole is not None and not whole.key and whole.payload == annex_b(P_SLICE)


def test_the_lowest_bit_tells_a_vp8_key_frame() -> None:
    key, other = vp8_whole(b"\x10\x02"), vp8_whole(b"\x11\x02")
    assert key is not None and key.key
    assert other is not None and not other.key


@pytest.mark.parametrize(
    ("packet", "duration_s"),
    [
        (b"\x78", 0.02),  # CELT 20 ms, one frame
        (b"\xfc", 0.02),
        (b"\x79", 0.04),  # two frames
        (b"\x08", 0.02),  # SILK 20 ms
        (b"\x18", 0.06),
        (b"\x60", 0.01),  # hybrid 10 ms
        (b"\xe3\x03", 0.0075),  # CELT 2.5 ms, three frames
        (b"\xff\x3f", 0.12),  # no packet is longer
    ],
)
def test_an_opus_packet_says_how_long_it_is(packet: bytes, duration_s: float) -> None:
    assert opus_duration_s(packet) == pytest.approx(duration_s)


@given(st.sampled_from(["h264", "vp8", "opus"]), st.binary(min_size=1, max_size=40))
def test_any_payload_is_a_piece_or_a_value_error(codec: str, payload: bytes) -> None:
    try:
        piece = depacketized(codec, payload)
    except ValueError:
        return
    assert isinstance(piece.payload, bytes)
