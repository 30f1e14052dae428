"""Images behind cells, both variants of what follows a stop, and contents laid on by hand: as items."""

from __future__ import annotations

from typing import Any

import pytest

from models.vocabulary.channel import ClientKind, TrackSource
from models.vocabulary.scene import Fit, ItemKind, Scene
from models.vocabulary.spec import Content, ContentKind, LayoutKind, LayoutSpec, RecordingSpec, UserBackground
from tests.segment.scripted import spec as video_spec
from workers.recorder.mixer.contents import CONTENT_Z, content_box
from workers.recorder.mixer.layout import image_urls, next_change, scene_at
from workers.recorder.mixer.seen import HOLD_90K, SeenUser, SeenVideo, Stop

S = 90_000
CANVAS, EVERYBODY, MINE = "http://x/canvas.jpg", "http://x/all.jpg", "http://x/mine.png"


def spec(**layout: Any) -> RecordingSpec:
    plan = LayoutSpec(**{"kind": LayoutKind.BEST_FIT, "background_color": "#102030"} | layout)
    return video_spec(width=400, height=400).model_copy(update={"layout": plan})


def user(uid: str, *videos: SeenVideo, order: int = 0, client: ClientKind = ClientKind.NATIVE) -> SeenUser:
    return SeenUser(uid, order, 0, client=client, videos=videos)


def stopped(track: str = "v", at_s: int = 2, how: Stop = Stop.UNPUBLISHED) -> SeenVideo:
    return SeenVideo(track).started(0).stopped(at_s * S, how)


def kinds(scene: Scene) -> list[tuple[str, str]]:
    return [(item.kind.value, item.ref) for item in scene.items]


PICTURED = {
    "background_image": CANVAS,
    "default_user_background_image": EVERYBODY,
    "backgrounds": (UserBackground(uid="a", image_url=MINE, render_mode=1),),
}


def test_a_users_own_image_goes_before_everybodys_before_the_canvas_before_the_colour() -> None:
    plan, silent = spec(**PICTURED), [user("a"), user("b", order=1)]
    all_urls = {CANVAS, EVERYBODY, MINE}
    assert image_urls(plan.layout) == all_urls
    own, everybodys, canvas = ("image", MINE), ("image", EVERYBODY), ("image", CANVAS)
    assert kinds(scene_at(plan, silent, 0, images=all_urls)) == [canvas, own, everybodys]
    assert kinds(scene_at(plan, silent, 0, images={CANVAS, EVERYBODY})) == [canvas, everybodys, everybodys]
    assert kinds(scene_at(plan, silent, 0, images={CANVAS})) == [canvas, ("fill", ""), ("fill", "")]
    assert [item.background for item in scene_at(plan, silent, 0, images={CANVAS}).items[1:]] == ["", ""]
    assert [item.background for item in scene_at(plan, silent, 0).items] == ["#102030", "#102030"]
    assert scene_at(plan, silent, 0, images=all_urls).items[1].fit is Fit.FIT


def test_an_image_stands_below_a_camera_that_has_no_picture_yet() -> None:
    scene = scene_at(spec(**PICTURED), [user("a", SeenVideo("v").started(0))], 0, images={MINE})
    assert kinds(scene) == [("image", MINE), ("source", "v")]
    assert scene.items[1].background == ""


@pytest.mark.parametrize(
    ("variant", "images", "then"),
    [
        ("background", set(), [("fill", "")]),
        ("last_frame", set(), [("source", "v")]),
        ("background", {EVERYBODY}, [("image", EVERYBODY)]),
        ("last_frame", {EVERYBODY}, [("image", EVERYBODY)]),
        ("last_frame", {CANVAS}, [("image", CANVAS), ("fill", "")]),
    ],
)
def test_after_three_and_a_half_seconds_comes_the_background_or_still_the_last_frame(
    variant: str, images: set[str], then: list[tuple[str, str]]
) -> None:
    plan = spec(after_stop=variant, **{k: v for k, v in PICTURED.items() if k != "backgrounds"})
    who = [user("a", stopped())]
    held = scene_at(plan, who, 2 * S + HOLD_90K - 1, images=images).items[-1]
    assert (held.kind, held.ref, held.until_90k) == (ItemKind.SOURCE, "v", 2 * S)
    after = scene_at(plan, who, 2 * S + HOLD_90K, images=images)
    assert kinds(after) == then
    assert after.items[-1].until_90k == (2 * S if after.items[-1].kind is ItemKind.SOURCE else None)


def test_an_old_web_client_shows_the_canvas_at_once_and_his_own_image_later() -> None:
    plan = spec(**PICTURED)
    who = [user("a", stopped(), client=ClientKind.WEB3)]
    assert kinds(scene_at(plan, who, 2 * S, images={MINE})) == [("fill", "")]
    assert kinds(scene_at(plan, who, 2 * S + HOLD_90K, images={MINE})) == [("image", MINE)]


def source(name: str, at_s: float, kind: TrackSource = TrackSource.CAMERA) -> SeenVideo:
    return SeenVideo(name, source=kind).started(round(at_s * S))


def refs(plan: RecordingSpec, who: list[SeenUser], t_s: float = 5) -> list[str]:
    return [item.ref for item in scene_at(plan, who, round(t_s * S)).items if item.z >= CONTENT_Z]


@pytest.mark.parametrize(
    ("named", "shows"), [("a", ["back"]), ("a.-1", ["back"]), ("a.0", ["front"]), ("a.1", ["back"]), ("b.0", [])]
)
def test_a_camera_is_named_by_its_user_and_number(named: str, shows: list[str]) -> None:
    content = Content(kind=ContentKind.VIDEO, source=named, width=100, height=100)
    assert refs(spec(contents=(content,)), [user("a", source("front", 0), source("back", 1))]) == shows


@pytest.mark.parametrize("kind", [ContentKind.SCREEN, ContentKind.MEDIA, ContentKind.WHITEBOARD])
def test_screen_media_and_whiteboard_show_whoever_offers_one_newest_first(kind: ContentKind) -> None:
    track = TrackSource(kind.value)
    plan = spec(contents=(Content(kind=kind, width=1, height=1, unit="fraction"),))
    who = [user("a", source("camera", 0), source("first", 1, track)), user("b", source("second", 2, track), order=1)]
    assert [refs(plan, who, t) for t in (0.5, 1.5, 3)] == [[], ["first"], ["second"]]


def test_the_time_is_told_in_whole_seconds_and_changes_with_them() -> None:
    content = Content(kind=ContentKind.TEXT, text="room 7\n%timestamp%", utc_offset_min=480)
    plan, t0_ms = spec(contents=(content,)), 1_767_225_600_250
    said = [scene_at(plan, [], t, t0_ms=t0_ms).items[0].ref for t in (0, 67_499, 67_500)]
    assert said == ["room 7\n2026-01-01 08:00:00"] * 2 + ["room 7\n2026-01-01 08:00:01"]
    assert next_change([], 0, spec=plan, t0_ms=t0_ms) == 67_500
    assert next_change([], 67_500, spec=plan, t0_ms=t0_ms) == 67_500 + S
    assert next_change([], 0, spec=spec()) is None


def test_contents_are_placed_in_pixels_or_fractions_and_never_outside() -> None:
    def box(**fields: Any) -> tuple[int, int, int, int]:
        found = content_box(Content(kind=ContentKind.SCREEN, **fields), 400, 200)
        return found.x, found.y, found.w, found.h

    assert box(left=10, top=21, width=175, height=32) == (10, 20, 176, 32)
    assert box(left=0.5, top=0.5, width=0.25, height=0.5, unit="fraction") == (200, 100, 100, 100)
    assert box(left=390, top=0, width=100, height=10) == (390, 0, 10, 10)
    assert box(left=400, top=0, width=10, height=10)[2] < 0
    assert scene_at(spec(contents=(Content(kind=ContentKind.TEXT, text="x", left=-2),)), [], 0).items == ()
