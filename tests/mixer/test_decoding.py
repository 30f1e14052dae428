"""Tracks as a network delivers them: late, lost, torn, changing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from models.vocabulary.channel import Unit
from models.vocabulary.ticks import frame_tick
from tests.segment.scripted import draw_number, numbered, read_number, video_units
from workers.recorder.mixer.decoding import VideoTrack
from workers.recorder.mixer.planes import planes_of


class Watched:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.wanted: list[str] = []
        self.track = VideoTrack("v", self.warnings.append, self.wanted.append)

    def number(self) -> int | None:
        return None if self.track.picture is None else read_number(planes_of(self.track.picture.frame)[0])

    def push(self, units: list[tuple[int, Unit]] | tuple[tuple[int, Unit], ...]) -> None:
        for at, unit in units:
            self.track.push(unit, at)


def tick(n: int) -> int:
    return frame_tick(n, 15)


@pytest.mark.parametrize("codec", ["h264", "vp8", "vp9"])
def test_a_unit_is_seen_at_its_own_tick(codec: str) -> None:
    seen = Watched()
    seen.push(numbered(20, 15, codec))
    found = []
    for n in range(20):
        seen.track.advance(tick(n))
        found.append(seen.number())
    assert found == list(range(20))
    assert seen.track.counts.decoded == 20
    assert (seen.wanted, seen.warnings) == ([], [])


def test_nothing_is_shown_before_a_key_unit_and_one_is_asked_for_each_second() -> None:
    seen = Watched()
    units = numbered(46, 15)
    seen.push(units[1:15])
    for n in range(15):
        seen.track.advance(tick(n))
    assert seen.number() is None
    assert seen.wanted == ["v"]
    assert seen.track.counts.dropped == 14
    seen.push(units[15:])
    seen.track.advance(tick(20))
    assert seen.number() == 20


def test_a_loss_holds_the_last_good_picture_until_a_key_unit() -> None:
    seen = Watched()
    units = [(at, replace(u, gap=n == 6)) for n, (at, u) in enumerate(numbered(46, 15)) if n != 5]
    seen.push(units)
    shown = []
    for n in range(20):
        seen.track.advance(tick(n))
        shown.append(seen.number())
    assert shown == [*range(5), *[4] * 10, *range(15, 20)]
    assert seen.wanted == ["v"]


def test_size_codec_and_rotation_change_in_the_middle_of_a_track() -> None:
    small = video_units(draw_number, 15, fps=15, first=0)
    large = video_units(lambda p, n: None, 15, fps=15, size=(320, 180), first=15, rotation=90)
    other = video_units(draw_number, 15, fps=15, codec="vp8", first=30)
    seen = Watched()
    seen.push([*small, *large, *other])
    found = []
    for n in (14, 20, 40):
        seen.track.advance(tick(n))
        assert seen.track.picture is not None
        found.append((seen.track.picture.frame.width, seen.track.picture.rotation))
    assert found == [(192, 0), (320, 90), (192, 0)]
    assert seen.number() == 40
    assert seen.warnings == []


def test_a_stream_that_cannot_be_decoded_is_told_once() -> None:
    seen = Watched()
    noise = random.Random(7)
    for n in range(300):
        seen.track.push(Unit("v", "vp8", noise.randbytes(200), 0.0, key=n % 3 == 0), tick(n))
        seen.track.advance(tick(n))
    assert seen.number() is None
    assert len(seen.warnings) == 1
    assert "v" in seen.warnings[0]


def test_an_unknown_codec_is_told_once() -> None:
    seen = Watched()
    for n in range(5):
        seen.track.push(Unit("v", "h267", b"\0\0\1", 0.0, key=True), tick(n))
        seen.track.advance(tick(n))
    assert len(seen.warnings) == 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("codec", ["h264", "vp8", "vp9"])
def test_torn_and_flipped_units_never_raise_and_whole_ones_heal(codec: str, seed: int) -> None:
    chance = random.Random(seed)
    seen = Watched()
    units = numbered(46, 15, codec)
    for n, (at, unit) in enumerate(units):
        content = bytearray(unit.data)
        if n < 30:  # key units too: a decoder that such a one has spoiled must not stay so
            for _ in range(chance.randrange(20)):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            content = content[: chance.randrange(len(content) + 1)]
        seen.track.push(replace(unit, data=bytes(content)), at)
        seen.track.advance(at)
    assert seen.number() == 45


def test_late_units_are_counted_and_keep_the_chain_whole() -> None:
    seen = Watched()
    units = numbered(16, 15)
    seen.push(units[:5])
    seen.track.advance(tick(8))
    seen.push(units[5:10])
    seen.track.advance(tick(9))
    assert seen.number() == 9
    assert seen.track.counts.late == 4


def test_a_track_nobody_sees_keeps_only_what_brings_it_back_at_once() -> None:
    seen = Watched()
    seen.push(numbered(46, 15))
    seen.track.skim(tick(40))
    seen.track.advance(tick(40))
    assert seen.number() == 40
    assert seen.track.counts.decoded == 11


def test_what_nobody_takes_does_not_pile_up() -> None:
    seen = Watched()
    unit = Unit("v", "vp8", bytes(100), 0.0, key=False)
    for n in range(5000):
        seen.track.push(unit, n)
    assert seen.track.counts.dropped == 4400
    for n in range(100):
        seen.track.push(replace(unit, data=bytes(1 << 20)), n)
    assert seen.track.counts.dropped >= 4400 + 600
