"""What synthetic media says can be read back, also after all that a mixer does to it."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.scene import Fit
from workers.synthetic import marker
from workers.synthetic.marker import Marker, View
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.pictures import Painter
from workers.synthetic.plan import MediaPlan, VideoCodec
from workers.synthetic.planes import Plane, luma, view
from workers.synthetic.tones import Samples, find, second_of


@given(number=st.integers(0, marker.NUMBERS - 1), user_no=st.integers(0, 255))
def test_every_marker_is_read_as_it_was_drawn(number: int, user_no: int) -> None:
    picture: Plane = np.full((90, 160), 90, np.uint8)
    marker.draw(picture, Marker(number, user_no))
    assert marker.read(picture, View(0, 0, 160, 90, 160, 90)) == Marker(number, user_no)


def test_noise_is_rarely_a_marker_and_a_plain_picture_never() -> None:
    noise = np.random.default_rng(7).integers(0, 256, (2000, 10, 4), np.uint8)
    read = [marker.read(it, View(0, 0, 4, 10, 60, 150)) for it in noise]
    assert sum(it is not None for it in read) < 40  # one in 256 passes the check
    assert marker.read(np.full((64, 64), 200, np.uint8), View(0, 0, 64, 64)) is None


CELLS: dict[str, View] = {
    "a fifth of its size": View(0, 0, 128, 72),
    "the central 100 columns": View(0, 0, 100, 360),
    "a small portrait cell": View(20, 10, 64, 144),
    "letterboxed": View(0, 0, 126, 110, fit=Fit.FIT),
    "seventeen people": View(180, 70, 126, 70, fit=Fit.FIT),
}


@pytest.mark.parametrize("name", CELLS)
def test_markers_and_flashes_survive_cropping_scaling_and_a_low_bitrate(name: str) -> None:
    cell = CELLS[name]
    painter = Painter(MediaPlan(9, name="Ann", colour="#ffd166"))
    encoder, decoder = _x264(360, 640, 150_000), av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    packets = [packet for n in range(45) for packet in encoder.encode(_shown(painter, 2 * n, cell))]
    pictures = [frame for packet in [*packets, *encoder.encode(None)] for frame in decoder.decode(packet)]
    pictures += decoder.decode(None)
    read = [marker.read(luma(it), cell) for it in pictures]
    assert read == [Marker(2 * n, 9) for n in range(45)]
    flashes = [n for n, it in enumerate(pictures) if marker.brightness(luma(it), cell) > marker.FLASH_FROM]
    assert flashes == [0, 15, 30]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_units_are_numbered_for_ever_and_decode_across_the_loops_seam(codec: VideoCodec) -> None:
    plan = MediaPlan(5, codec, 160, 90, 15, loop_s=2)
    loop = VideoLoop(plan)
    units = [loop.unit(n) for n in range(30_000_000, 30_000_075)]
    assert [n for n, unit in enumerate(units) if unit.key] == [0, 15, 30, 45, 60]
    assert units[1].t_s == pytest.approx(30_000_001 / 15)
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    pictures = [frame for unit in units for frame in decoder.decode(av.Packet(unit.content))]
    whole = View(0, 0, 160, 90, 160, 90)
    assert [marker.read(luma(it), whole) for it in pictures] == [Marker(n % 30, 5) for n in range(75)]


def test_h264_has_its_parameter_sets_in_every_key_unit_and_no_b_frames() -> None:
    loop = VideoLoop(MediaPlan(1, "h264", 160, 90, 15, loop_s=2))
    for n in range(30):
        nals = [piece[0] & 0x1F for piece in loop.unit(n).content.split(b"\0\0\1")[1:]]
        assert nals[-1] == (5 if n % 15 == 0 else 1)
        assert (7 in nals and 8 in nals) == (n % 15 == 0)
    assert loop.unit(0).content[5] == 66  # profile_idc: baseline


def test_a_key_unit_can_stand_at_any_frame() -> None:
    loop = VideoLoop(MediaPlan(1, "h264", 160, 90, 15, loop_s=2))
    assert len(loop.run(38)) == 7
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = [frame for unit in loop.run(38) for frame in decoder.decode(av.Packet(unit))] + decoder.decode(None)
    assert [marker.read(luma(it), View(0, 0, 160, 90, 160, 90)) for it in pictures] == [
        Marker(n, 1) for n in range(8, 15)
    ]


def test_the_seconds_of_four_voices_at_once_are_told_apart() -> None:
    voices = {no: _decoded(MediaPlan(no), 0, 600) for no in (1, 2, 3, 4)}
    mixed: Samples = np.sum(list(voices.values()), axis=0, dtype=np.float32)
    for no in voices:
        beeps = find(mixed, no)
        assert [beep.second for beep in beeps] == [n % 10 for n in range(12)]
        assert all(abs(beep.at_s - n) < 0.006 for n, beep in enumerate(beeps))


def test_a_lost_and_a_doubled_second_are_heard() -> None:
    seconds = [second_of(3, n) for n in (4, 5, 7, 7, 8)]
    assert [beep.second for beep in find(np.concatenate(seconds), 3)] == [4, 5, 7, 7, 8]


def test_a_silent_user_is_not_heard() -> None:
    assert not _decoded(MediaPlan(1, silent=True), 0, 100).any()
    assert find(_decoded(MediaPlan(1), 0, 100), 2) == []


def test_ten_seconds_of_a_user_are_made_in_less_than_two() -> None:
    plan = MediaPlan(200, name="timed")
    began = time.process_time()
    VideoLoop(plan).prepare()
    AudioLoop(plan).prepare()
    assert time.process_time() - began < 2


def _shown(painter: Painter, n: int, cell: View) -> av.VideoFrame:
    """A source's frame as a mixer shows it in a cell of a portrait canvas."""
    width, height = round(640 * cell.scale / 2) * 2, round(360 * cell.scale / 2) * 2
    scaled = view(painter.paint(n).reformat(width, height, interpolation="AREA").planes[0])
    canvas = av.VideoFrame(360, 640, "yuv420p")
    for plane in canvas.planes:
        view(plane)[:] = 128
    shown = view(canvas.planes[0])
    w, h = min(width, cell.w), min(height, cell.h)
    left, top = cell.x + (cell.w - w) // 2, cell.y + (cell.h - h) // 2
    from_x, from_y = (width - w) // 2, (height - h) // 2
    shown[top : top + h, left : left + w] = scaled[from_y : from_y + h, from_x : from_x + w]
    canvas.pts, canvas.time_base = n // 2, Fraction(1, 15)
    return canvas


def _x264(width: int, height: int, bit_rate: int) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.bit_rate = width, height, "yuv420p", bit_rate
    encoder.time_base, encoder.framerate, encoder.thread_count = Fraction(1, 15), Fraction(15), 1
    encoder.options = {"preset": "veryfast", "maxrate": str(bit_rate), "bufsize": str(2 * bit_rate)}
    return encoder


def _decoded(plan: MediaPlan, first: int, end: int) -> Samples:
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 48_000, av.AudioLayout("mono")
    loop = AudioLoop(plan)
    frames = [frame for n in range(first, end) for frame in decoder.decode(av.Packet(loop.unit(n).content))]
    sound: Samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
    return sound / np.float32(32_768)
