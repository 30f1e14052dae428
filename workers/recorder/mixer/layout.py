"""Who stands where in the picture at a time: contract §4 as one pure function of values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from models.vocabulary.scene import Fit, Scene
from models.vocabulary.spec import LayoutKind, LayoutSpec, RecordingSpec
from workers.recorder.mixer.contents import content_items, next_second
from workers.recorder.mixer.geometry import (
    MAX_REGIONS,
    best_fit_cells,
    canvas_size,
    custom_cell,
    float_cells,
    pixels,
    vertical,
)
from workers.recorder.mixer.looks import Place, canvas_image, cell_items
from workers.recorder.mixer.seen import HOLD_90K, SeenUser


def scene_at(
    spec: RecordingSpec, users: Sequence[SeenUser], t_90k: int, *, images: Collection[str] = (), t0_ms: int = 0
) -> Scene:
    """The picture's plan at a tick. Order of joining counts; who leaves makes room; the 18th waits to be seen.

    `images`: URLs of images that have come; `t0_ms`: the wall time of the recording's zero. Between two events nothing
    changes but at `next_change`, so it need not be asked for each frame.
    """
    present = sorted((u for u in users if u.present(t_90k) and _recorded(spec, u)), key=lambda u: u.order)
    width, height = canvas_size(spec.video)
    items = [*canvas_image(spec, width, height, images)]
    for place in _places(spec.layout, present[:MAX_REGIONS]):
        box = pixels(place.cell, width, height)
        if box.w > 0 and box.h > 0:
            items += cell_items(spec, place, box, t_90k, images)
    items += content_items(spec, users, (width, height), t_90k, images, t0_ms)
    return Scene(width, height, spec.video.fps, spec.layout.background_color, tuple(items))


def image_urls(layout: LayoutSpec) -> frozenset[str]:
    """All images that a layout may show."""
    urls = {layout.background_image, layout.default_user_background_image}
    urls |= {own.image_url for own in layout.backgrounds} | {content.url for content in layout.contents}
    return frozenset(urls - {""})


def next_change(
    users: Sequence[SeenUser], t_90k: int, *, spec: RecordingSpec | None = None, t0_ms: int = 0
) -> int | None:
    """The first tick after `t_90k` at which the scene may differ though nothing more happens."""
    moments: set[int] = set()
    for user in users:
        moments |= {user.joined_90k, user.left_90k if user.left_90k is not None else -1}
        for span in (span for video in user.videos for span in video.spans):
            moments.add(span.from_90k)
            if span.until_90k is not None:
                moments |= {span.until_90k, span.until_90k + HOLD_90K}
    if spec is not None and (second_90k := next_second(spec, t_90k, t0_ms)) is not None:
        moments.add(second_90k)
    return min((m for m in moments if m > t_90k), default=None)


def _recorded(spec: RecordingSpec, user: SeenUser) -> bool:
    """Whether any of the user's media is taken: who is only heard has a region too."""
    return (spec.has_video and spec.video_from.takes(user.uid)) or (spec.has_audio and spec.audio_from.takes(user.uid))


def _places(layout: LayoutSpec, users: Sequence[SeenUser]) -> Iterator[Place]:
    match layout.kind:
        case LayoutKind.FLOAT:
            for z, (user, cell) in enumerate(zip(users, float_cells(len(users)), strict=True)):
                yield Place(user, cell, z=min(z, 1), clear=z > 0)
        case LayoutKind.BEST_FIT:
            for user, cell in zip(users, best_fit_cells(len(users)), strict=True):
                yield Place(user, cell)
        case LayoutKind.VERTICAL:
            yield from _vertical(layout.max_resolution_uid, users)
        case LayoutKind.CUSTOM:
            yield from _custom(layout, users)


def _vertical(big_uid: str, users: Sequence[SeenUser]) -> Iterator[Place]:
    if len(users) == 1 and not big_uid:
        yield Place(users[0], best_fit_cells(1)[0])
        return
    big = next((user for user in users if big_uid and user.uid == big_uid), None)
    smalls = [user for user in users if user is not big]
    plan = vertical(len(smalls))
    if big is not None:
        yield Place(big, plan.big, fit=Fit.FIT)
    for user, cell in zip(smalls, plan.small, strict=False):
        yield Place(user, cell)


def _custom(layout: LayoutSpec, users: Sequence[SeenUser]) -> Iterator[Place]:
    """Regions with a uid wait for theirs; the others are filled in order of joining. Later regions lie on top."""
    bound = {region.uid for region in layout.regions if region.uid}
    by_uid = {user.uid: user for user in users}
    free = iter([user for user in users if user.uid not in bound])
    for z, region in enumerate(layout.regions[:MAX_REGIONS]):
        user = by_uid.get(region.uid) if region.uid else next(free, None)
        if user is not None:
            cell = custom_cell(region.x, region.y, region.width, region.height)
            yield Place(user, cell, z, region.alpha, Fit.FIT if region.render_mode == 1 else Fit.CROP)
