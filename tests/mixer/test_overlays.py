"""Images and texts on the canvas, judged by their pixels."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from models.vocabulary.errors import FetchFailed, FetchRefused
from models.vocabulary.scene import Fit, Item, ItemKind, Scene, TextStyle
from models.vocabulary.timing import Clock
from tests.mixer.test_canvas import at, plain, whole
from tests.segment.scripted import Tenure, spec
from workers.recorder.clock import run_virtual
from workers.recorder.mixer import images
from workers.recorder.mixer.canvas import Canvas
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.gallery import Gallery
from workers.recorder.mixer.images import ImageUnusable, decoded
from workers.recorder.mixer.planes import planes_of
from workers.recorder.mixer.tile import Picture


def encoded(kind: str, size: tuple[int, int] = (80, 40), colour: str = "#c03030", **more: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind, **more)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "PNG"])
def test_an_image_keeps_its_colour(kind: str) -> None:
    picture = decoded(encoded(kind), 640)
    assert (picture.frame.width, picture.frame.height) == (80, 40)
    assert all(abs(a - b) <= 3 for a, b in zip(at(picture.frame, 40, 20), yuv("#c03030"), strict=True))


def test_an_image_is_made_no_larger_than_needed_and_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° to see it upright
    picture = decoded(encoded("JPEG", (2000, 1000), exif=exif), 640)
    assert (picture.frame.width, picture.frame.height) == (320, 640)


def test_what_is_no_image_or_too_large_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageUnusable, match="no JPG"):
        decoded(b"<html>", 640)
    with pytest.raises(ImageUnusable, match="no JPG"):
        decoded(encoded("GIF"), 640)
    with pytest.raises(ImageUnusable, match="decoded"):
        decoded(encoded("PNG", (300, 300))[:-40], 640)
    with pytest.raises(ImageUnusable, match="6 MB"):
        decoded(b"\0" * ((6 << 20) + 1), 640)
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(ImageUnusable, match="80×40"):
        decoded(encoded("PNG"), 640)


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=400), kind=st.sampled_from(["JPEG", "BMP", "PNG"]), cut=st.integers(0, 400))
def test_no_image_breaks_anything(content: bytes, kind: str, cut: int) -> None:
    whole = encoded(kind)
    for broken in (content, whole[:cut] + content, whole[: cut // 4] + content + whole[cut // 4 + len(content) :]):
        try:
            decoded(broken, 640)
        except ImageUnusable:
            continue


def test_the_gallery_tries_again_warns_once_and_hides_what_a_url_holds() -> None:
    tries: dict[str, int] = {}
    ready: dict[str, Picture] = {}
    warnings: list[str] = []

    def get(url: str) -> bytes:
        tries[url] = tries.get(url, 0) + 1
        match url.rpartition("/")[2]:
            case "slow" if tries[url] < 3:
                raise FetchFailed("x does not answer")
            case "gone?key=secret":
                raise FetchRefused("it is gone")
            case "text":
                return b"hello"
        return encoded("PNG")

    urls = [f"http://pictures.test/{name}" for name in ("good", "slow", "gone?key=secret", "text")]

    async def main(clock: Clock) -> float:
        gallery = Gallery(clock, get, 100, ready.__setitem__, warnings.append)
        gallery.want(urls)
        gallery.want(urls)
        await clock.sleep_until(10)
        assert gallery.ready == set(ready) == set(urls[:2])
        await gallery.close()
        return clock.now()

    run_virtual(main)
    assert [tries[url] for url in urls] == [1, 3, 1, 1]
    assert sorted(warnings) == [
        "an image from pictures.test is left out: it is gone",
        "an image from pictures.test is left out: it is no JPG, BMP or PNG",
    ]


def letters(text: str, style: TextStyle) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Where the built-in font has ink, drawn here by other means."""
    image = Image.new("L", (400, 200))
    ImageDraw.Draw(image).multiline_text(
        (style.margin_px, style.margin_px), text, fill=255, font=ImageFont.load_default(style.size_px)
    )
    return np.asarray(image) > 156


def test_a_text_is_where_it_should_be_letter_by_letter() -> None:
    style = TextStyle("#FFFFFF", "#000000FF", 20, 6)
    canvas = Canvas(400, 200)
    canvas.show(Scene(400, 200, 15, "#336699", (Item(ItemKind.TEXT, "12:34:56 Ab", 40, 30, 0, 0, text=style),)))
    luma = planes_of(canvas.paint(lambda _: None))[0].astype(int)
    ink = letters("12:34:56 Ab", style)[: 200 - 30, : 400 - 40]
    found = luma[30:, 40:] > 150
    assert ink.sum() > 300
    assert (found != ink).sum() < 0.02 * ink.sum()
    assert luma[32, 42] == 16 and luma[20, 20] == yuv("#336699")[0]


def test_a_translucent_background_and_colour_blend_within_three_levels() -> None:
    style = TextStyle("#FF0000", "#0000007D", 16, 10)
    canvas = Canvas(120, 60)
    canvas.show(Scene(120, 60, 15, "#FFFFFF", (Item(ItemKind.TEXT, "x", 0, 0, 0, 0, text=style),)))
    frame = canvas.paint(lambda _: None)
    share = 0x7D / 255
    expected = [a * share + b * (1 - share) for a, b in zip(yuv("#000000"), yuv("#FFFFFF"), strict=True)]
    assert all(abs(a - b) <= 3 for a, b in zip(at(frame, 2, 2), expected, strict=True))


def test_a_text_stays_on_the_canvas_and_in_its_box() -> None:
    canvas = Canvas(60, 40)
    long = Item(ItemKind.TEXT, "W" * 200 + "\n" * 9 + "x", 20, 20, 0, 0, text=TextStyle())
    boxed = Item(ItemKind.TEXT, "WWWWWW", 0, 0, 16, 10, text=TextStyle("#FFFFFF", "#FF0000"))
    canvas.show(Scene(60, 40, 15, "#000000", (long, boxed)))
    frame = canvas.paint(lambda _: None)
    assert at(frame, 18, 4) == yuv("#000000") and at(frame, 2, 12) == yuv("#000000")
    assert at(frame, 1, 1) == yuv("#FF0000")


BELOW = "http://x/below.png"
LAYERS = st.lists(
    st.one_of(
        st.builds(
            lambda ref, x, y, w, h, alpha, fit, background: Item(
                ItemKind.IMAGE if ref == BELOW else ItemKind.SOURCE,
                ref, 2 * x, 2 * y, 2 * w, 2 * h, alpha=alpha, fit=fit, background=background,
            ),
            st.sampled_from(["a", "b", BELOW]), *(st.integers(0, 10),) * 2, *(st.integers(2, 12),) * 2,
            st.sampled_from([0.5, 1.0]), st.sampled_from(list(Fit)), st.sampled_from(["", "#40a0c0"]),
        ),
        st.builds(lambda x, y: Item(ItemKind.TEXT, "hey", 2 * x, 2 * y, 0, 0, text=TextStyle(size_px=8)), *(st.integers(0, 20),) * 2),
    ),
    max_size=6, unique=True,
)  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(layers=LAYERS, steps=st.lists(st.sampled_from(["a", "b", BELOW]), max_size=6))
def test_painting_what_changed_equals_painting_all_also_where_one_sees_through(
    layers: list[Item], steps: list[str]
) -> None:
    scene = Scene(50, 50, 15, "#336699", tuple(layers))
    canvas = Canvas(50, 50)
    pictures: dict[str, Picture] = {}
    canvas.show(scene)
    canvas.paint(pictures.get)
    for n, ref in enumerate(steps):
        pictures[ref] = Picture(plain(f"#{n * 40:02x}80{255 - n * 40:02x}", 20 + 8 * n, 20), n % 4 * 90)
        fresh = Canvas(50, 50)
        fresh.show(scene)
        assert whole(canvas.paint(pictures.get)) == whole(fresh.paint(pictures.get))


def test_an_unchanged_picture_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = Canvas(50, 50)
    text = Item(ItemKind.TEXT, "hey", 0, 0, 0, 0, text=TextStyle(size_px=8))
    canvas.show(Scene(50, 50, 15, "#336699", (Item(ItemKind.IMAGE, BELOW, 0, 0, 50, 50), text)))
    picture = Picture(plain("#00ff00"))
    before = whole(canvas.paint(lambda _: picture))
    planes_of(canvas.frame)[0][:] = 99  # had it been drawn again, this were gone
    assert whole(canvas.paint(lambda _: picture)) != before


def test_an_image_of_a_recording_is_seen_in_its_file(tmp_path: Path) -> None:
    tenure = Tenure(spec(streams=1, bitrate_bps=2_000_000), tmp_path)
    tenure.programme.image(BELOW, decoded(encoded("JPEG", (192, 96)), 640))
    tenure.programme.show(Scene(192, 96, 15, items=(Item(ItemKind.IMAGE, BELOW, 0, 0, 192, 96),)))
    tenure.programme.finish(90_000)
    with av.open(str(tenure.slices[0].path)) as file:
        frames = list(file.decode(video=0))
    assert len(frames) == 15
    assert all(abs(a - b) <= 3 for a, b in zip(at(frames[-1], 190, 94), yuv("#c03030"), strict=True))
