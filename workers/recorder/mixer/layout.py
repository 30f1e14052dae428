"""Who stands where in the picture at a time: contract §4 as one pure function of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.vocabulary.scene import Fit, Item, ItemKind, Scene
from models.vocabulary.spec import LayoutKind, LayoutSpec, RecordingSpec
from workers.recorder.mixer.geometry import (
    MAX_REGIONS,
    Box,
    Cell,
    best_fit_cells,
    canvas_size,
    custom_cell,
    float_cells,
    pixels,
    vertical,
)
from workers.recorder.mixer.seen import HOLD_90K, SeenUser, Shown, shown

BLACK = "#000000"


@dataclass(frozen=True, slots=True)
class Place:
    """A cell given to a user."""

    user: SeenUser
    cell: Cell
    z: int = 0
    alpha: float = 1.0
    fit: Fit = Fit.CROP
    clear: bool = False  # while the user has never shown a picture, what lies below stays visible


def scene_at(spec: RecordingSpec, users: Sequence[SeenUser], t_90k: int) -> Scene:
    """The picture's plan at a tick. Order of joining counts; who leaves makes room; the 18th waits to be seen.

    Nothing changes between two events but at their time + 3.5 s, so it need not be asked for each frame.
    """
    present = sorted((u for u in users if u.present(t_90k) and _recorded(spec, u)), key=lambda u: u.order)
    layout = spec.layout
    width, height = canvas_size(spec.video)
    items = (
        _item(spec, place, box, t_90k)
        for place in _places(layout, present[:MAX_REGIONS])
        if (box := pixels(place.cell, width, height)).w > 0 and box.h > 0
    )
    return Scene(width, height, spec.video.fps, layout.background_color, tuple(items))


def next_change(users: Sequence[SeenUser], t_90k: int) -> int | None:
    """The first tick after `t_90k` at which the scene may differ though nothing more happens."""
    moments: set[int] = set()
    for user in users:
        moments |= {user.joined_90k, user.left_90k if user.left_90k is not None else -1}
        for span in (span for video in user.videos for span in video.spans):
            moments.add(span.from_90k)
            if span.until_90k is not None:
                moments |= {span.until_90k, span.until_90k + HOLD_90K}
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


def _item(spec: RecordingSpec, place: Place, box: Box, t_90k: int) -> Item:
    seen = place.user.video_at(t_90k) if spec.video_from.takes(place.user.uid) else None
    shows = shown(seen[1] if seen else None, place.user.client, t_90k)
    background = BLACK if shows is Shown.BLACK else spec.layout.background_color
    is_source = seen is not None and shows is Shown.PICTURE
    return Item(
        kind=ItemKind.SOURCE if is_source else ItemKind.FILL,
        ref=seen[0].track if seen is not None and is_source else "",
        x=box.x,
        y=box.y,
        w=box.w,
        h=box.h,
        z=place.z,
        alpha=0.0 if shows is Shown.NOTHING and place.clear else place.alpha,
        fit=place.fit,
        background=background,
        user=place.user.uid,
    )
