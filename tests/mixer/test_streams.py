"""Streams that change while they flow, stop, or come in odd ways: judged by the pictures that are drawn."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction

import av
import pytest
from av.video.codeccontext import VideoCodecContext

from models.vocabulary.channel import Unit
from models.vocabulary.scene import Item, ItemKind, Scene
from models.vocabulary.ticks import frame_tick
from tests.segment.scripted import HEIGHT, WIDTH, draw_number, full, numbered, read_number, spec, video_units
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.mixer import Mixer
from workers.recorder.mixer.planes import Planes, planes_of
from workers.recorder.mixer.tile import lay

Timed = tuple[int, Unit]


def mixer(scene: Scene) -> Mixer:
    found = Mixer(spec(streams=1), 0, lambda text: None, lambda track: None)
    found.show(scene)
    return found


def held(until: int) -> Scene:
    item = Item(ItemKind.SOURCE, "v", 0, 0, WIDTH, HEIGHT, until_90k=until)
    return Scene(WIDTH, HEIGHT, 15, items=(item,))


def solid(
    colour: str, count: int, first: int, size: tuple[int, int], codec: str = "h264", turn: int = 0
) -> list[Timed]:
    def draw(planes: Planes, n: int) -> None:
        lay(planes, yuv(colour), 1.0)

    return video_units(draw, count, fps=15, size=size, codec=codec, first=first, rotation=turn)


def test_what_a_muted_sender_goes_on_sending_is_not_shown() -> None:
    mix = mixer(full())
    for at, unit in numbered(10, 15):
        mix.push(unit, at)
    black = solid("#000000", 45, 10, (WIDTH, HEIGHT))
    for at, unit in black:
        mix.push(unit, at)
    assert read_number(planes_of(mix.picture(9))[0]) == 9
    mix.show(held(frame_tick(9, 15)))
    assert {read_number(planes_of(mix.picture(n))[0]) for n in range(10, 50)} == {9}
    mix.show(full())
    assert planes_of(mix.picture(54))[0].max() < 30, "it is shown again as it is sent"


def test_size_rotation_and_codec_change_mid_stream() -> None:
    changes = [
        ("#c03030", (160, 90), "h264", 0),
        ("#30c030", (320, 180), "h264", 0),
        ("#3030c0", (90, 160), "vp8", 90),
        ("#c0c030", (64, 64), "vp9", 180),
        ("#30c0c0", (640, 360), "h264", 270),
    ]
    mix = mixer(full())
    for n, (colour, size, codec, turn) in enumerate(changes):
        for at, unit in solid(colour, 5, 5 * n, size, codec, turn):
            mix.push(unit, at)
        y, u, v = planes_of(mix.picture(5 * n + 4))
        for plane, level in zip((y, u, v), yuv(colour), strict=True):
            assert plane.min() >= level - 3 and plane.max() <= level + 3, (n, colour)


def test_pictures_out_of_order_of_decoding_come_in_order_of_display() -> None:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate, context.thread_count = Fraction(1, 15), Fraction(15), 1
    context.options = {"preset": "veryfast", "bf": "3", "b-adapt": "0", "crf": "18"}
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    units: list[Unit] = []
    for n in [*range(60), None]:
        if n is not None:
            draw_number(planes_of(frame), n)
            frame.pts, frame.time_base = n, Fraction(1, 15)
        packets = context.encode(None if n is None else frame)
        units += [Unit("v", "h264", bytes(packet), 0.0, packet.is_keyframe) for packet in packets]
    mix = mixer(full())
    for n, unit in enumerate(units):  # a sender with B-frames sends in order of decoding
        mix.push(unit, frame_tick(n, 15))
    seen = [read_number(planes_of(mix.picture(n))[0]) for n in range(len(units))]
    assert seen[10:] == sorted(set(seen[10:])), "in order, each once"
    assert all(n - 4 <= number <= n for n, number in enumerate(seen) if n >= 10)


def av1_units(count: int) -> list[Unit]:
    context = av.CodecContext.create("libsvtav1", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 15), Fraction(15)
    context.options = {"preset": "12", "svtav1-params": "pred-struct=1:keyint=30", "crf": "30"}
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    units: list[Unit] = []
    try:
        for n in [*range(count), None]:
            if n is not None:
                draw_number(planes_of(frame), n)
                frame.pts, frame.time_base = n, Fraction(1, 15)
            packets = context.encode(None if n is None else frame)
            units += [Unit("v", "av1", bytes(packet), 0.0, packet.is_keyframe) for packet in packets]
    finally:
        # This encoder gives whoever opens it as root real-time priority, and would starve all tests after it.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return units


def test_av1_is_decoded_without_delay() -> None:
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this build of libav has no AV1 encoder")
    units = av1_units(20)
    mix = mixer(full())
    seen = []
    for n, unit in enumerate(units):
        mix.push(unit, frame_tick(n, 15))
        seen.append(read_number(planes_of(mix.picture(n))[0]))
    assert seen == list(range(20))


def test_a_lost_unit_holds_the_picture_until_a_key_unit() -> None:
    mix = mixer(full())
    units = [(at, replace(u, gap=n == 21)) for n, (at, u) in enumerate(numbered(45, 15)) if n != 20]
    for at, unit in units:
        mix.push(unit, at)
    seen = [read_number(planes_of(mix.picture(n))[0]) for n in range(45)]
    assert seen == [*range(20), *[19] * 10, *range(30, 45)]
