"""What is painted, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vocabulary.scene import Fit, Item, ItemKind, Scene
from tests.segment.scripted import Tenure, in_order, spec, tones, video_units
from workers.recorder.mixer.canvas import Canvas
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.planes import Planes, planes_of
from workers.recorder.mixer.tile import Picture, crop_to_shape, fit_into, lay


def plain(colour: str, w: int = 64, h: int = 36, fmt: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame(w, h, fmt)
    lay(planes_of(frame), yuv(colour), 1.0)
    return frame


def at(frame: av.VideoFrame, x: int, y: int) -> tuple[int, int, int]:
    luma, u, v = planes_of(frame)
    return int(luma[y, x]), int(u[y // 2, x // 2]), int(v[y // 2, x // 2])


def whole(frame: av.VideoFrame) -> list[bytes]:
    return [plane.tobytes() for plane in planes_of(frame)]


def source(ref: str, x: int, y: int, w: int, h: int, **more: object) -> Item:
    return Item(ItemKind.SOURCE, ref, x, y, w, h, **more)  # type: ignore[arg-type]  # the test's own keywords


def test_colours_are_limited_range_bt601() -> None:
    assert [yuv(c) for c in ("#000000", "#FFFFFF", "#ff0000", "#00FF00", "#0000FF")] == [
        (16, 128, 128),
        (235, 128, 128),
        (81, 90, 240),
        (145, 54, 34),
        (41, 240, 110),
    ]


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size", [(64, 36), (640, 360), (36, 64), (101, 57)])
def test_a_cell_is_filled_to_its_edge_and_not_beyond(fit: Fit, size: tuple[int, int]) -> None:
    canvas = Canvas(200, 120)
    canvas.show(Scene(200, 120, 15, "#0000FF", (source("v", 40, 20, 64, 36, fit=fit, background="#00ff00"),)))
    frame = canvas.paint({"v": Picture(plain("#ff0000", *size))}.get)
    luma = planes_of(frame)[0]
    red, green, blue = yuv("#ff0000"), yuv("#00FF00"), yuv("#0000FF")
    inside = np.zeros((120, 200), bool)
    inside[20:56, 40:104] = True
    assert (luma[~inside] == blue[0]).all()
    assert set(np.unique(luma[inside])) <= {red[0], green[0]}
    assert at(frame, 72, 38) == red
    if fit is Fit.CROP:
        assert (luma[inside] == red[0]).all()
        assert {at(frame, x, y) for x in (40, 103) for y in (20, 55)} == {red}


def test_fit_shows_the_whole_picture_between_bars() -> None:
    canvas = Canvas(100, 100)
    canvas.show(Scene(100, 100, 15, items=(source("v", 0, 0, 100, 100, fit=Fit.FIT, background="#FFFFFF"),)))
    frame = canvas.paint({"v": Picture(plain("#ff0000", 200, 100))}.get)
    rows = planes_of(frame)[0][:, 50]
    assert [int(rows[y]) for y in (0, 23, 24, 73, 74, 99)] == [235, 235, 81, 81, 235, 235]


def test_crop_takes_the_middle() -> None:
    wide = plain("#000000", 300, 100)
    planes_of(wide)[0][:, 100:200] = 200
    canvas = Canvas(100, 100)
    canvas.show(Scene(100, 100, 15, items=(source("v", 0, 0, 100, 100),)))
    assert (planes_of(canvas.paint({"v": Picture(wide)}.get))[0] == 200).all()


@pytest.mark.parametrize(("degrees", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (270, (0, 1))])
@pytest.mark.parametrize("fit", list(Fit))
def test_a_picture_is_turned_clockwise(degrees: int, corner: tuple[int, int], fit: Fit) -> None:
    frame = plain("#000000", 80, 40)
    planes_of(frame)[0][:20, :40] = 200  # top left
    w, h = (40, 80) if degrees % 180 else (80, 40)
    canvas = Canvas(w, h)
    canvas.show(Scene(w, h, 15, items=(source("v", 0, 0, w, h, fit=fit),)))
    luma = planes_of(canvas.paint({"v": Picture(frame, degrees)}.get))[0]
    bright = {(x, y) for x in (0, 1) for y in (0, 1) if luma[h // 4 + y * h // 2, w // 4 + x * w // 2] > 150}
    assert bright == {corner}


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 0.9])
def test_alpha_blends_within_three_levels(alpha: float) -> None:
    canvas = Canvas(64, 64)
    canvas.show(Scene(64, 64, 15, "#FF0000", (source("v", 16, 16, 32, 32, alpha=alpha),)))
    frame = canvas.paint({"v": Picture(plain("#0000FF", 32, 32))}.get)
    expected = [a * alpha + b * (1 - alpha) for a, b in zip(yuv("#0000FF"), yuv("#FF0000"), strict=True)]
    assert all(abs(x - e) <= 1 for x, e in zip(at(frame, 20, 20), expected, strict=True))
    assert at(frame, 2, 2) == yuv("#FF0000")


def test_other_ranges_and_formats_come_out_in_the_canvas_own() -> None:
    full = plain("#000000", 32, 32, "yuvj420p")
    lay(planes_of(full), (255, 128, 128), 1.0)
    canvas = Canvas(32, 32)
    canvas.show(Scene(32, 32, 15, items=(source("v", 0, 0, 32, 32),)))
    assert abs(at(canvas.paint({"v": Picture(full)}.get), 5, 5)[0] - 235) <= 1
    rgb = av.VideoFrame.from_ndarray(np.full((32, 32, 3), (255, 0, 0), np.uint8), "rgb24")
    found = at(canvas.paint({"v": Picture(rgb.reformat(format="yuv444p"))}.get), 5, 5)
    assert all(abs(a - b) <= 2 for a, b in zip(found, yuv("#FF0000"), strict=True))


def test_a_source_without_a_picture_shows_its_background() -> None:
    canvas = Canvas(32, 32)
    canvas.show(Scene(32, 32, 15, "#000000", (source("v", 0, 0, 16, 16, background="#FFFFFF"),)))
    frame = canvas.paint(lambda track: None)
    assert (at(frame, 4, 4)[0], at(frame, 20, 20)[0]) == (235, 16)


def test_a_scene_of_another_size_is_refused() -> None:
    canvas = Canvas(32, 32)
    with pytest.raises(ValueError, match="64x32"):
        canvas.show(Scene(64, 32, 15))


EVEN = st.integers(0, 12).map(lambda n: 2 * n)
ITEMS = st.builds(
    lambda ref, x, y, w, h, z, alpha, fit: source(ref, x, y, w, h, z=z, alpha=alpha, fit=fit),
    st.sampled_from("abcd"),
    EVEN,
    EVEN,
    EVEN.map(lambda n: n + 2),
    EVEN.map(lambda n: n + 2),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(list(Fit)),
)


@settings(deadline=None, max_examples=60)
@given(items=st.lists(ITEMS, max_size=6, unique=True), steps=st.lists(st.sampled_from("abcd"), max_size=6))
def test_painting_what_changed_equals_painting_all(items: list[Item], steps: list[str]) -> None:
    scene = Scene(50, 50, 15, "#336699", tuple(items))
    canvas = Canvas(50, 50)
    pictures: dict[str, Picture] = {}
    canvas.show(scene)
    canvas.paint(pictures.get)
    for n, ref in enumerate(steps):
        pictures[ref] = Picture(plain(f"#{n * 40:02x}80{255 - n * 40:02x}", 20 + 2 * n, 20))
        fresh = Canvas(50, 50)
        fresh.show(scene)
        assert whole(canvas.paint(pictures.get)) == whole(fresh.paint(pictures.get))


@given(sw=st.integers(2, 2000), sh=st.integers(2, 2000), w=st.integers(1, 500), h=st.integers(1, 500))
def test_crop_and_fit_stay_inside(sw: int, sh: int, w: int, h: int) -> None:
    w, h = 2 * w, 2 * h
    x, y, cw, ch = crop_to_shape(sw, sh, w, h)
    assert x % 2 == y % 2 == 0 and cw >= 2 and ch >= 2 and x + cw <= sw and y + ch <= sh
    x, y, fw, fh = fit_into(sw, sh, w, h)
    assert all(v % 2 == 0 for v in (x, y, fw, fh)) and fw >= 2 and fh >= 2 and x + fw <= w and y + fh <= h


def solid(colour: str) -> object:
    def draw(planes: Planes, n: int) -> None:
        lay(planes, yuv(colour), 1.0)

    return draw


def test_each_users_colour_fills_his_cell_of_the_file_to_the_edge(tmp_path: Path) -> None:
    from models.vocabulary.spec import LayoutKind, LayoutSpec
    from workers.recorder.mixer.layout import scene_at
    from workers.recorder.mixer.seen import SeenUser, SeenVideo

    colours = ["#c03030", "#30c030", "#3030c0"]
    plan = spec(bitrate_bps=2_000_000).model_copy(
        update={"layout": LayoutSpec(kind=LayoutKind.BEST_FIT, background_color="#808080")}
    )
    tracks = [
        video_units(solid(c), 16, fps=15, size=(160, 90), track=f"v{i}", codec=("h264", "vp8", "vp9")[i])  # type: ignore[arg-type]  # a painter
        for i, c in enumerate(colours)
    ]
    users = [SeenUser(f"u{i}", i, 0, videos=(SeenVideo(f"v{i}").started(0),)) for i in range(3)]
    tenure = Tenure(plan, tmp_path)
    tenure.programme.show(scene_at(plan, users, 0))
    tenure.play(in_order(*tracks, tones(2)), 90_000)
    tenure.programme.finish(90_000)
    assert tenure.warnings == []
    with av.open(str(tenure.slices[0].path)) as file:
        last = list(file.decode(video=0))[-1]
    assert (last.color_range, last.colorspace) == (1, 6), "the file says its colours"
    for (x, y), colour in zip([(0, 0), (96, 0), (0, 48), (96, 48)], [*colours, "#808080"], strict=True):
        for dx in (0, 95):
            for dy in (0, 47):
                assert all(abs(a - b) <= 3 for a, b in zip(at(last, x + dx, y + dy), yuv(colour), strict=True)), (
                    x,
                    y,
                    dx,
                    dy,
                )
