"""What is seen in a user's cell: his picture, the last one, an image, or the background. Pure (contract §4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from models.vocabulary.scene import Fit, Item, ItemKind
from models.vocabulary.spec import LayoutSpec, RecordingSpec
from workers.recorder.mixer.geometry import Box, Cell
from workers.recorder.mixer.seen import SeenUser, Shown, shown

BLACK = "#000000"
#: Background of an item that hides nothing where it has no picture.
SEE_THROUGH = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A cell given to a user."""

    user: SeenUser
    cell: Cell
    z: int = 0
    alpha: float = 1.0
    fit: Fit = Fit.CROP
    clear: bool = False  # while the user has never shown a picture, what lies below stays visible


def cell_items(spec: RecordingSpec, place: Place, box: Box, t_90k: int, images: Collection[str]) -> Iterator[Item]:
    """One item, and below it the user's image where he has one; only `images` have come yet."""
    layout, user = spec.layout, place.user
    seen = user.video_at(t_90k) if spec.video_from.takes(user.uid) else None
    shows = shown(seen[1] if seen else None, user.client, t_90k)
    image = _image(layout, user.uid, images) if shows not in (Shown.BLACK, Shown.CANVAS) else None
    if shows is Shown.BACKGROUND and _keeps_last(layout, image, images):
        shows = Shown.HELD
    alpha = 0.0 if shows is Shown.NOTHING and place.clear else place.alpha
    below = SEE_THROUGH if image or layout.background_image in images else layout.background_color
    if image is not None and alpha > 0:
        yield _made(place, box, ItemKind.IMAGE, image[0], alpha, SEE_THROUGH, fit=image[1])
    if seen is not None and shows in (Shown.PICTURE, Shown.HELD):
        held_90k = seen[1].until_90k if shows is Shown.HELD else None
        yield _made(place, box, ItemKind.SOURCE, seen[0].track, alpha, below, until_90k=held_90k)
    elif image is None:
        yield _made(place, box, ItemKind.FILL, "", alpha, BLACK if shows is Shown.BLACK else below)


def canvas_image(spec: RecordingSpec, width: int, height: int, images: Collection[str]) -> Iterator[Item]:
    url = spec.layout.background_image
    if url in images:
        yield Item(ItemKind.IMAGE, url, 0, 0, width, height, z=-1, background=spec.layout.background_color)


def _made(
    place: Place,
    box: Box,
    kind: ItemKind,
    ref: str,
    alpha: float,
    background: str,
    *,
    fit: Fit | None = None,
    until_90k: int | None = None,
) -> Item:
    return Item(
        kind=kind,
        ref=ref,
        x=box.x,
        y=box.y,
        w=box.w,
        h=box.h,
        z=place.z,
        alpha=alpha,
        fit=place.fit if fit is None else fit,
        background=background,
        user=place.user.uid,
        until_90k=until_90k,
    )


def _image(layout: LayoutSpec, uid: str, images: Collection[str]) -> tuple[str, Fit] | None:
    """A user's own image before the one for all."""
    for own in layout.backgrounds:
        if own.uid == uid and own.image_url in images:
            return own.image_url, Fit.FIT if own.render_mode == 1 else Fit.CROP
    if layout.default_user_background_image in images:
        return layout.default_user_background_image, Fit.CROP
    return None


def _keeps_last(layout: LayoutSpec, image: object, images: Collection[str]) -> bool:
    """The newer of the contract's two variants: without any image the last frame stays."""
    return layout.after_stop == "last_frame" and image is None and layout.background_image not in images
