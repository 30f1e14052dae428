"""Contents laid on the layout by hand: sources, pictures, texts and the time, as items. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from models.vocabulary.channel import TrackSource
from models.vocabulary.scene import Fit, Item, ItemKind, TextStyle
from models.vocabulary.spec import Content, ContentKind, RecordingSpec
from models.vocabulary.ticks import TICKS_PER_S
from workers.recorder.mixer.geometry import Box, canvas_size
from workers.recorder.mixer.looks import SEE_THROUGH
from workers.recorder.mixer.seen import SeenUser, SeenVideo, Shown, Span, shown

#: Above everything that a layout places.
CONTENT_Z: Final = 1_000
TIMESTAMP: Final = "%timestamp%"
SOURCES: Final = {
    ContentKind.VIDEO: TrackSource.CAMERA,
    ContentKind.SCREEN: TrackSource.SCREEN,
    ContentKind.MEDIA: TrackSource.MEDIA,
    ContentKind.WHITEBOARD: TrackSource.WHITEBOARD,
}


def content_items(
    spec: RecordingSpec,
    users: Sequence[SeenUser],
    size: tuple[int, int],
    t_90k: int,
    images: Collection[str],
    t0_ms: int,
) -> Iterator[Item]:
    for n, content in enumerate(spec.layout.contents):
        box = content_box(content, *size)
        if box.w < 0 or box.h < 0:
            continue  # outside the canvas
        item = _item(spec, content, box, users, t_90k, images, t0_ms)
        if item is not None:
            yield _on(item, CONTENT_Z + n, content)


def content_box(content: Content, width: int, height: int) -> Box:
    """Even pixels inside the canvas; a size of 0 stays 0, a negative one says that nothing of it is inside."""
    across, down = (width, height) if content.unit == "fraction" else (1, 1)
    x, y = _even(content.left * across), _even(content.top * down)
    w, h = _even(content.width * across), _even(content.height * down)
    if not (0 <= x < width and 0 <= y < height):
        return Box(0, 0, -1, -1)
    return Box(x, y, min(w, width - x), min(h, height - y))


def next_second(spec: RecordingSpec, t_90k: int, t0_ms: int) -> int | None:
    """The first tick after `t_90k` at which a shown time changes."""
    if not any(_says_time(content) for content in spec.layout.contents):
        return None
    now_ms = t0_ms + t_90k // 90
    return max(t_90k + 1, ((now_ms // 1000 + 1) * 1000 - t0_ms) * TICKS_PER_S // 1000)


def _even(value: float) -> int:
    return 2 * round(value / 2)


def _says_time(content: Content) -> bool:
    return content.kind is ContentKind.TIMESTAMP or (content.kind is ContentKind.TEXT and TIMESTAMP in content.text)


def _item(
    spec: RecordingSpec,
    content: Content,
    box: Box,
    users: Sequence[SeenUser],
    t_90k: int,
    images: Collection[str],
    t0_ms: int,
) -> Item | None:
    match content.kind:
        case ContentKind.TEXT | ContentKind.TIMESTAMP:
            text = content.text or (TIMESTAMP if content.kind is ContentKind.TIMESTAMP else "")
            style = TextStyle(content.color, content.background, content.font_size, content.text_margin)
            said = text.replace(TIMESTAMP, _clock(content, t_90k, t0_ms))
            return Item(ItemKind.TEXT, said, box.x, box.y, box.w, box.h, text=style) if said else None
        case ContentKind.PICTURE:
            if content.url not in images:
                return None
            width, height = canvas_size(spec.video)
            return Item(ItemKind.IMAGE, content.url, box.x, box.y, box.w or width - box.x, box.h or height - box.y)
        case _:
            found = _source(spec, content, users, t_90k)
            if found is None or box.w == 0 or box.h == 0:
                return None
            user, (video, span), shows = found
            held_90k = span.until_90k if shows is Shown.HELD else None
            return Item(ItemKind.SOURCE, video.track, box.x, box.y, box.w, box.h, user=user.uid, until_90k=held_90k)


def _on(item: Item, z: int, content: Content) -> Item:
    fit = Fit.FIT if content.keep_aspect_ratio else Fit.CROP
    return replace(item, z=z, fit=fit, background=SEE_THROUGH)


def _clock(content: Content, t_90k: int, t0_ms: int) -> str:
    moment = datetime.fromtimestamp((t0_ms + t_90k // 90) / 1000, UTC) + timedelta(minutes=content.utc_offset_min)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _source(
    spec: RecordingSpec, content: Content, users: Sequence[SeenUser], t_90k: int
) -> tuple[SeenUser, tuple[SeenVideo, Span], Shown] | None:
    """Whose picture it is now; None when there is nothing to show."""
    source = SOURCES[content.kind]
    uid, number = _named(content.source)
    best: tuple[bool, int, SeenUser, tuple[SeenVideo, Span], Shown] | None = None
    for user in users:
        if (uid and user.uid != uid) or not user.present(t_90k) or not spec.video_from.takes(user.uid):
            continue
        seen = user.source_at(source, t_90k, number)
        shows = shown(seen[1] if seen else None, user.client, t_90k)
        if seen is not None and shows in (Shown.PICTURE, Shown.HELD):
            rank = (shows is Shown.PICTURE, seen[1].from_90k)
            if best is None or rank > best[:2]:
                best = (*rank, user, seen, shows)
    return None if best is None else best[2:]


def _named(source: str) -> tuple[str, int]:
    """ "user.camera" or "user"; a camera is a number, -1 the default one."""
    uid, dot, camera = source.rpartition(".")
    if dot and camera.lstrip("-").isdecimal():
        return uid, int(camera)
    return source, -1
