"""The wire between ingest and recorder."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.channel import (
    ChannelEvent,
    ClientKind,
    EventKind,
    Track,
    TrackKind,
    TrackSource,
    Unit,
    User,
    UserRole,
)
from models.vocabulary.units import (
    MAX_CONTROL_BYTES,
    MAX_UNIT_BYTES,
    Auth,
    Carried,
    Decoder,
    Frame,
    Happened,
    Hello,
    Keyframe,
    Now,
    Refused,
    Subscribe,
    Unsubscribe,
    WireError,
    encode,
)

TEXTS = st.text(max_size=64)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.integers(0, 2**32 - 1)
USERS = st.builds(User, TEXTS, st.sampled_from(UserRole), st.sampled_from(ClientKind), TEXTS)
TRACKS = st.builds(Track, TEXTS, TEXTS, st.sampled_from(TrackKind), st.sampled_from(TrackSource), TEXTS)
EVENTS = st.builds(
    ChannelEvent,
    TIMES,
    st.integers(0, 2**53),
    st.sampled_from(EventKind),
    st.none() | USERS,
    st.none() | TRACKS,
    TEXTS,
)
UNITS = st.builds(
    Unit,
    track=st.just(""),
    codec=st.sampled_from(["h264", "vp8", "opus", ""]),
    data=st.binary(max_size=300),
    t=TIMES,
    key=st.booleans(),
    duration_s=st.none() | st.floats(0, 1),
    gap=st.booleans(),
    rotation=st.sampled_from([0, 90, 180, 270]),
)
FRAMES = st.one_of(
    st.builds(Auth, TEXTS),
    st.builds(Hello, TEXTS, TIMES),
    st.builds(Refused, TEXTS),
    st.builds(Happened, EVENTS),
    st.builds(Now, TIMES),
    st.builds(Carried, NUMBERS, UNITS),
    st.builds(Subscribe, NUMBERS, TEXTS),
    st.builds(Unsubscribe, NUMBERS),
    st.builds(Keyframe, NUMBERS),
)


@given(st.lists(FRAMES, max_size=8), st.integers(1, 50))
def test_what_is_encoded_comes_out_the_same_however_it_is_chopped(frames: list[Frame], step: int) -> None:
    wire = b"".join(encode(frame) for frame in frames)
    decoder = Decoder()
    got = [frame for at in range(0, len(wire), step) for frame in decoder.feed(wire[at : at + step])]
    decoder.finish()
    assert got == frames


@given(FRAMES, st.data())
def test_a_stream_that_ends_inside_a_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    wire = encode(frame)
    decoder = Decoder()
    assert decoder.feed(wire[: data.draw(st.integers(1, len(wire) - 1))]) == []
    with pytest.raises(WireError):
        decoder.finish()


@given(st.binary(max_size=200))
def test_noise_is_frames_or_refused_and_nothing_else(noise: bytes) -> None:
    decoder = Decoder()
    try:
        decoder.feed(noise)
    except WireError:
        return


@given(FRAMES, st.data())
def test_a_frame_cut_short_under_a_true_length_never_decodes_to_another_kind(frame: Frame, data: st.DataObject) -> None:
    wire = encode(frame)
    body = wire[4 : data.draw(st.integers(5, len(wire)))]
    try:
        (got,) = Decoder().feed(struct.pack("!I", len(body)) + body)
    except WireError:
        return
    assert type(got) is type(frame)


@pytest.mark.parametrize(
    ("kind", "length"), [(5, MAX_UNIT_BYTES + 1000), (4, MAX_CONTROL_BYTES + 2), (1, 2**32 - 1), (99, 2**31)]
)
def test_an_oversized_frame_is_refused_before_it_is_read(kind: int, length: int) -> None:
    with pytest.raises(WireError):
        Decoder().feed(struct.pack("!IB", length, kind))


def test_who_only_takes_commands_buffers_no_unit() -> None:
    unit = Carried(1, Unit("", "h264", bytes(MAX_CONTROL_BYTES), 1.0, True))
    assert Decoder().feed(encode(unit)) == [unit]
    with pytest.raises(WireError):
        Decoder(units=False).feed(encode(unit)[:5])


def test_the_largest_unit_passes_and_one_byte_more_is_not_sent() -> None:
    largest = Unit("", "h264", bytes(MAX_UNIT_BYTES), 1.0, True)
    (frame,) = Decoder().feed(encode(Carried(1, largest)))
    assert isinstance(frame, Carried) and frame.unit == largest
    with pytest.raises(WireError):
        encode(Carried(1, Unit("", "h264", bytes(MAX_UNIT_BYTES + 1), 1.0, True)))


@pytest.mark.parametrize("frame", [Auth("t", version=2), Hello("c", 0.0, version=2)])
def test_another_version_is_refused(frame: Frame) -> None:
    with pytest.raises(WireError, match="version"):
        Decoder().feed(encode(frame))


@pytest.mark.parametrize("wire", [b"\0\0\0\0\0", b"\0\0\0\x01\x63", b"\0\0\0\x02\x04x", b"\0\0\0\x02\x11\0"])
def test_an_empty_unknown_or_malformed_frame_is_refused(wire: bytes) -> None:
    with pytest.raises(WireError):
        Decoder().feed(wire)
