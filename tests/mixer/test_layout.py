"""Contract §4, cell by cell."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary.channel import ClientKind
from models.vocabulary.scene import Fit, Item, ItemKind, Scene
from models.vocabulary.spec import LayoutKind, LayoutSpec, RecordingSpec, Region, Selection
from tests.segment.scripted import spec as video_spec
from workers.recorder.mixer.geometry import best_fit_cells, pixels
from workers.recorder.mixer.layout import next_change, scene_at
from workers.recorder.mixer.seen import HOLD_90K, SeenUser, SeenVideo, Stop

S = 90_000


def spec(
    kind: LayoutKind, *, width: int = 360, height: int = 640, more: dict[str, Any] | None = None, **layout: Any
) -> RecordingSpec:
    base = video_spec(width=width, height=height)
    return base.model_copy(
        update={"layout": LayoutSpec(kind=kind, background_color="#102030", **layout), **(more or {})}
    )


def user(i: int, *, joined: int = 0, left: int | None = None, client: ClientKind = ClientKind.NATIVE) -> SeenUser:
    return SeenUser(f"u{i}", i, joined, left, client, (SeenVideo(f"v{i}").started(joined),))


def boxes(scene: Scene) -> dict[str, tuple[int, int, int, int]]:
    return {item.user: (item.x, item.y, item.w, item.h) for item in scene.items}


def users(count: int) -> list[SeenUser]:
    return [user(i) for i in range(1, count + 1)]


def test_float_gives_the_first_the_canvas_and_the_rest_small_windows_from_the_bottom_left() -> None:
    scene = scene_at(spec(LayoutKind.FLOAT, width=1000, height=1000), users(7), 0)
    # 0.235 of the canvas each, 0.012 between, to even pixels: edges at 12, 247, 259, 494, 506, 741, 753, 988
    assert boxes(scene) == {
        "u1": (0, 0, 1000, 1000),
        "u2": (12, 754, 236, 234),
        "u3": (260, 754, 234, 234),
        "u4": (506, 754, 236, 234),
        "u5": (754, 754, 234, 234),
        "u6": (12, 506, 236, 236),
        "u7": (260, 506, 234, 236),
    }
    assert [item.z for item in scene.items] == [0, 1, 1, 1, 1, 1, 1]
    assert {item.fit for item in scene.items} == {Fit.CROP}


def test_float_fills_four_rows_of_four() -> None:
    found = boxes(scene_at(spec(LayoutKind.FLOAT, width=1000, height=1000), users(17), 0))
    assert found["u17"] == (754, 12, 234, 236)


GRIDS = {
    1: [(0, 0, 1200, 1200)],
    2: [(0, 0, 600, 1200), (600, 0, 600, 1200)],
    3: [(0, 0, 600, 600), (600, 0, 600, 600), (0, 600, 600, 600)],
    4: [(0, 0, 600, 600), (600, 0, 600, 600), (0, 600, 600, 600), (600, 600, 600, 600)],
    **{n: [(i % 3 * 400, i // 3 * 400, 400, 400) for i in range(n)] for n in range(5, 10)},
    **{n: [(i % 4 * 300, i // 4 * 300, 300, 300) for i in range(n)] for n in range(10, 17)},
    17: [*((120 + i % 4 * 240, i // 4 * 240, 240, 240) for i in range(16)), (480, 960, 240, 240)],
}


@pytest.mark.parametrize("count", sorted(GRIDS))
def test_best_fit_is_the_smallest_square_grid(count: int) -> None:
    scene = scene_at(spec(LayoutKind.BEST_FIT, width=1200, height=1200), users(count), 0)
    assert list(boxes(scene).values()) == GRIDS[count]
    assert [item.user for item in scene.items] == [f"u{i}" for i in range(1, count + 1)]


@pytest.mark.parametrize(
    ("count", "big", "small_w", "small_h"),
    [
        *((n, 4 / 5, 1 / 5, 1 / 4) for n in (2, 3, 4, 5)),
        *((n, 6 / 7, 1 / 7, 1 / 6) for n in (6, 7)),
        *((n, 8 / 9, 1 / 9, 1 / 8) for n in (8, 9)),
    ],
)
def test_vertical_shows_one_large_and_a_column_beside_it(
    count: int, big: float, small_w: float, small_h: float
) -> None:
    width, height = 1260, 960
    scene = scene_at(spec(LayoutKind.VERTICAL, width=width, height=height, max_resolution_uid="u2"), users(count), 0)
    assert boxes(scene)["u2"] == (0, 0, width * big, height)
    smalls = [item for item in scene.items if item.user != "u2"]
    assert [(i.x, i.y, i.w, i.h) for i in smalls] == [
        (width * big, n * height * small_h, width * small_w, height * small_h) for n in range(count - 1)
    ]
    assert [i.user for i in smalls] == ["u1", *(f"u{n}" for n in range(3, count + 1))]
    assert {item.user for item in scene.items if item.fit is Fit.FIT} == {"u2"}


@pytest.mark.parametrize("count", [10, 13, 17])
def test_vertical_has_two_columns_from_ten_on(count: int) -> None:
    scene = scene_at(spec(LayoutKind.VERTICAL, width=1200, height=960, max_resolution_uid="u1"), users(count), 0)
    found = boxes(scene)
    assert found["u1"] == (0, 0, 960, 960)
    assert found["u2"] == (960, 0, 120, 120)
    assert found["u9"] == (960, 840, 120, 120)
    assert found["u10"] == (1080, 0, 120, 120)
    assert len(found) == count


def test_vertical_without_its_large_user_leaves_the_large_area_and_goes_up_a_size() -> None:
    scene = scene_at(spec(LayoutKind.VERTICAL, width=1260, height=960, max_resolution_uid="gone"), users(5), 0)
    assert boxes(scene)["u1"] == (1080, 0, 180, 160)
    assert min(item.x for item in scene.items) == 1080


def test_vertical_with_one_user_and_no_large_one_named_is_full() -> None:
    assert boxes(scene_at(spec(LayoutKind.VERTICAL), users(1), 0)) == {"u1": (0, 0, 360, 640)}
    named = spec(LayoutKind.VERTICAL, width=1200, height=960, max_resolution_uid="u9")
    assert boxes(scene_at(named, users(1), 0)) == {"u1": (960, 0, 240, 240)}


def test_custom_regions_bind_uids_and_fill_the_rest_in_order_of_joining() -> None:
    regions = (
        Region(x=0, y=0, width=1, height=1),
        Region(uid="u1", x=0.5, y=0.25, width=0.5, height=0.5, alpha=0.5, render_mode=1),
        Region(uid="absent", x=0, y=0, width=0.1, height=0.1),
        Region(x=0.333333, y=0, width=0.333333, height=1),
        Region(x=0, y=0, width=0.000001, height=1),
    )
    scene = scene_at(spec(LayoutKind.CUSTOM, regions=regions), users(5), 0)
    assert boxes(scene) == {"u2": (0, 0, 360, 640), "u1": (180, 160, 180, 320), "u3": (120, 0, 120, 640)}
    assert [(i.user, i.z, i.alpha, i.fit) for i in scene.items] == [
        ("u2", 0, 1.0, Fit.CROP),
        ("u1", 1, 0.5, Fit.FIT),
        ("u3", 3, 1.0, Fit.CROP),
    ]


@given(
    kind=st.sampled_from([LayoutKind.BEST_FIT, LayoutKind.VERTICAL, LayoutKind.FLOAT]),
    count=st.integers(0, 20),
    width=st.integers(16, 1920),
    height=st.integers(16, 1920),
    big=st.sampled_from(["", "u1", "u3", "nobody"]),
)
def test_cells_are_even_inside_the_canvas_and_only_float_overlaps(
    kind: LayoutKind, count: int, width: int, height: int, big: str
) -> None:
    scene = scene_at(spec(kind, width=width, height=height, max_resolution_uid=big), users(count), 0)
    assert len(scene.items) <= 17
    for item in scene.items:
        assert all(v % 2 == 0 for v in (item.x, item.y, item.w, item.h))
        assert item.w > 0 and item.h > 0
        assert item.x >= 0 and item.x + item.w <= scene.width and item.y >= 0 and item.y + item.h <= scene.height
    flat = [item for item in scene.items if item.z > 0 or kind is not LayoutKind.FLOAT]
    assert not any(_overlap(a, b) for a, b in combinations(flat, 2))


@given(k=st.integers(1, 4), width=st.integers(8, 960), height=st.integers(8, 960))
def test_a_full_grid_covers_the_canvas_without_a_seam(k: int, width: int, height: int) -> None:
    width, height = 2 * width, 2 * height
    cells = (
        [pixels(cell, width, height) for cell in best_fit_cells(k * k)]
        if k != 1
        else [pixels(best_fit_cells(1)[0], width, height)]
    )
    assert sum(box.w * box.h for box in cells) == width * height
    assert not any(_overlap(a, b) for a, b in combinations(cells, 2))


@given(x=st.integers(0, 10**6), w=st.integers(0, 10**6), width=st.integers(1, 960))
def test_regions_that_share_an_edge_share_its_pixel(x: int, w: int, width: int) -> None:
    from workers.recorder.mixer.geometry import custom_cell

    left = pixels(custom_cell(0, 0, x / 1e6, 1), 2 * width, 16)
    right = pixels(custom_cell(x / 1e6, 0, w / 1e6, 1), 2 * width, 16)
    assert left.x + left.w == right.x
    assert right.x + right.w <= 2 * width


def _overlap(a: Any, b: Any) -> bool:
    return bool(a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h)


def test_who_leaves_makes_room_and_the_eighteenth_waits_for_it() -> None:
    crowd = [user(i, left=5 * S if i == 3 else None) for i in range(1, 19)]
    plan = spec(LayoutKind.BEST_FIT)
    before, after = scene_at(plan, crowd, 5 * S - 1), scene_at(plan, crowd, 5 * S)
    assert [i.user for i in before.items] == [f"u{i}" for i in range(1, 18)]
    assert [i.user for i in after.items] == ["u1", "u2", *(f"u{i}" for i in range(4, 19))]
    assert [(i.x, i.y) for i in before.items] == [(i.x, i.y) for i in after.items]


def test_joining_order_counts_not_the_order_they_are_given_in() -> None:
    scene = scene_at(spec(LayoutKind.BEST_FIT), [user(2), user(1)], 0)
    assert [i.user for i in scene.items] == ["u1", "u2"]


def test_who_is_only_heard_keeps_a_region_of_background() -> None:
    silent = SeenUser("u2", 2, 0)
    grid = scene_at(spec(LayoutKind.BEST_FIT), [user(1), silent], 0).items[1]
    assert (grid.kind, grid.background, grid.alpha) == (ItemKind.FILL, "#102030", 1.0)
    window = scene_at(spec(LayoutKind.FLOAT), [user(1), silent], 0).items[1]
    assert (window.kind, window.alpha) == (ItemKind.FILL, 0.0), "in float the big picture shows through"


def test_a_user_whose_video_is_not_taken_is_as_one_who_is_only_heard() -> None:
    plan = spec(LayoutKind.BEST_FIT, more={"video_from": Selection(rule="only", uids=("u1",))})
    assert [i.kind for i in scene_at(plan, users(2), 0).items] == [ItemKind.SOURCE, ItemKind.FILL]
    nobody = spec(
        LayoutKind.BEST_FIT,
        more={"video_from": Selection(rule="only", uids=("u1",)), "audio_from": Selection(rule="none")},
    )
    assert [i.user for i in scene_at(nobody, users(2), 0).items] == ["u1"]


@pytest.mark.parametrize(
    ("client", "how", "held", "colour"),
    [
        (ClientKind.NATIVE, Stop.UNPUBLISHED, ItemKind.SOURCE, "#102030"),
        (ClientKind.NATIVE, Stop.MUTED, ItemKind.SOURCE, "#102030"),
        (ClientKind.WEB4, Stop.MUTED, ItemKind.SOURCE, "#102030"),
        (ClientKind.WEB3, Stop.UNPUBLISHED, ItemKind.FILL, "#102030"),
        (ClientKind.WEB3, Stop.MUTED, ItemKind.FILL, "#000000"),
    ],
)
def test_the_last_picture_of_who_stops_is_held_three_and_a_half_seconds(
    client: ClientKind, how: Stop, held: ItemKind, colour: str
) -> None:
    video = SeenVideo("v1").started(0).stopped(2 * S, how)
    seen = SeenUser("u1", 1, 0, client=client, videos=(video,))
    plan = spec(LayoutKind.BEST_FIT)

    def item(t: int) -> Item:
        return scene_at(plan, [seen], t).items[0]

    assert item(2 * S - 1).kind is ItemKind.SOURCE
    assert item(2 * S - 1).until_90k is None
    assert (item(2 * S).kind, item(2 * S).background) == (held, colour)
    assert item(2 * S).until_90k == (2 * S if held is ItemKind.SOURCE else None)
    assert item(2 * S + HOLD_90K - 1).kind is held
    after = item(2 * S + HOLD_90K)
    assert (after.kind, after.background) == (ItemKind.FILL, "#102030")
    assert next_change([seen], 2 * S) == 2 * S + HOLD_90K
    assert next_change([seen], 2 * S + HOLD_90K) is None


def test_a_scene_of_the_past_does_not_know_what_came_after() -> None:
    video = SeenVideo("v1").started(S).stopped(2 * S, Stop.MUTED).started(10 * S)
    seen = SeenUser("u1", 1, 0, client=ClientKind.NATIVE, videos=(video,))
    plan = spec(LayoutKind.BEST_FIT)
    kinds = [scene_at(plan, [seen], t * S).items[0].kind for t in (0, 1, 2, 5, 6, 10)]
    source, fill = ItemKind.SOURCE, ItemKind.FILL
    assert kinds == [fill, source, source, source, fill, source]


def test_a_new_track_stands_for_the_user_while_it_flows() -> None:
    camera, screen = SeenVideo("cam").started(0), SeenVideo("screen").started(2 * S).stopped(4 * S, Stop.UNPUBLISHED)
    seen = SeenUser("u1", 1, 0, videos=(camera, screen))
    plan = spec(LayoutKind.BEST_FIT)
    assert [scene_at(plan, [seen], t * S).items[0].ref for t in (1, 3, 5)] == ["cam", "screen", "cam"]


def test_a_track_forgets_only_the_far_past() -> None:
    video = SeenVideo("v")
    for t in range(0, 200, 2):
        video = video.started(t).started(t).stopped(t + 1, Stop.MUTED).stopped(t + 1, Stop.MUTED)
    assert len(video.spans) == 16
    assert video.spans[-1].from_90k == 198


def test_an_odd_canvas_is_recorded_one_pixel_smaller() -> None:
    scene = scene_at(spec(LayoutKind.BEST_FIT, width=361, height=203), users(1), 0)
    assert (scene.width, scene.height, boxes(scene)) == (360, 202, {"u1": (0, 0, 360, 202)})
    assert Fraction(scene.width) == 360
