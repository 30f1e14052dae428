"""What is asked of the picture, as a canvas and a layout. Pure.

A canvas with an odd side is made one pixel smaller, since 4:2:0 video has no odd sizes, and the record says so.
"""

from __future__ import annotations

import re
from typing import Final

from models.vocabulary.spec import LayoutKind, LayoutSpec, Region, UserBackground, VideoSpec
from models.vocabulary.ticks import effective_fps
from scheduler import contents, orders
from scheduler.fields import MAX_LIST, TRANSCODING, URL, check

MAX_SIDE: Final = 1920
MIN_SIDE: Final = 16  # one macroblock
MAX_AREA: Final = 1920 * 1080
MAX_BITRATE_KBPS: Final = 6500
MAX_REGIONS: Final = 17
COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}")


def picture_of(asked: orders.Transcoding | None, warnings: list[str]) -> tuple[VideoSpec, LayoutSpec]:
    if asked is None:
        return VideoSpec(), LayoutSpec()
    default = VideoSpec()
    width = _side("width", asked.width, default.width, warnings)
    height = _side("height", asked.height, default.height, warnings)
    check(width * height <= MAX_AREA, f"{TRANSCODING}.width", "times height must not exceed 1920 × 1080")
    fps = asked.fps
    if fps is None:
        fps = default.fps
        warnings.append(f"{TRANSCODING}.fps is not given: {fps}")
    check(fps >= 1, f"{TRANSCODING}.fps", "must be at least 1")
    if effective_fps(fps) != fps:
        warnings.append(f"{TRANSCODING}.fps {fps} is recorded with {effective_fps(fps)}")
    kbps = asked.bitrate_kbps
    if kbps is None:
        kbps = default.bitrate_bps // 1000
        warnings.append(f"{TRANSCODING}.bitrate is not given: {kbps} kbit/s")
    check(1 <= kbps <= MAX_BITRATE_KBPS, f"{TRANSCODING}.bitrate", f"must be from 1 to {MAX_BITRATE_KBPS} kbit/s")
    video = VideoSpec(width=width, height=height, fps=effective_fps(fps), bitrate_bps=kbps * 1000)
    return video, layout_of(asked.layout, TRANSCODING, video, warnings)


def _side(name: str, asked: int | None, default: int, warnings: list[str]) -> int:
    if asked is None:
        warnings.append(f"{TRANSCODING}.{name} is not given: {default}")
        return default
    check(MIN_SIDE <= asked <= MAX_SIDE, f"{TRANSCODING}.{name}", f"must be from {MIN_SIDE} to {MAX_SIDE}")
    if asked % 2:
        warnings.append(f"{TRANSCODING}.{name} {asked} is odd and recorded as {asked - 1}")
    return asked - asked % 2


def layout_of(asked: orders.Layout, where: str, video: VideoSpec, warnings: list[str]) -> LayoutSpec:
    """A layout of start or updateLayout; `where` names the object that holds its fields."""
    check(asked.mixed_video_layout in range(4), f"{where}.mixedVideoLayout", "must be 0, 1, 2 or 3")
    kind = LayoutKind(asked.mixed_video_layout)
    check(bool(COLOR.fullmatch(asked.background_color)), f"{where}.backgroundColor", 'must look like "#RRGGBB"')
    check(len(asked.regions) <= MAX_REGIONS, f"{where}.layoutConfig", f"has more than {MAX_REGIONS} entries")
    if kind is LayoutKind.CUSTOM:
        check(len(asked.regions) > 0, f"{where}.layoutConfig", "is missing; mixedVideoLayout 3 requires it")
    else:
        check(not asked.regions, f"{where}.layoutConfig", "must not be given unless mixedVideoLayout is 3")
    for n, region in enumerate(asked.regions):
        _check_region(region, f"{where}.layoutConfig[{n}]")
    for n, picture in enumerate(asked.backgrounds):
        check(picture.render_mode in (0, 1), f"{where}.backgroundConfig[{n}].render_mode", "must be 0 or 1")
    check(len(asked.backgrounds) <= MAX_LIST, f"{where}.backgroundConfig", f"has more than {MAX_LIST} entries")
    for name, url in _pictures(asked):
        if not URL.fullmatch(url):
            warnings.append(f"{where}.{name} is no http or https address and is not drawn")
    return LayoutSpec(
        kind=kind,
        max_resolution_uid=asked.max_resolution_uid,
        background_color=asked.background_color,
        background_image=asked.background_image,
        default_user_background_image=asked.default_user_background_image,
        regions=tuple(
            Region(uid=r.uid, x=r.x, y=r.y, width=r.width, height=r.height, alpha=r.alpha, render_mode=r.render_mode)
            for r in asked.regions
        ),
        backgrounds=tuple(
            UserBackground(uid=b.uid, image_url=b.image_url, render_mode=b.render_mode) for b in asked.backgrounds
        ),
        contents=contents.contents_of(asked.contents, where, (video.width, video.height), warnings),
        after_stop=contents.after_stop_of(asked.after_stop, where),
    )


def _pictures(asked: orders.Layout) -> list[tuple[str, str]]:
    """(field, URL) of every picture that is asked for."""
    found = [
        ("backgroundImage", asked.background_image),
        ("defaultUserBackgroundImage", asked.default_user_background_image),
    ]
    found += [(f"backgroundConfig[{n}].image_url", picture.image_url) for n, picture in enumerate(asked.backgrounds)]
    return [(name, url) for name, url in found if url]


def _check_region(region: orders.LayoutRegion, where: str) -> None:
    for name, value in (
        ("x_axis", region.x),
        ("y_axis", region.y),
        ("width", region.width),
        ("height", region.height),
        ("alpha", region.alpha),
    ):
        check(0 <= value <= 1, f"{where}.{name}", "must be from 0 to 1")
    slack = 1e-6  # the contract's fractions have six decimals
    check(region.x + region.width <= 1 + slack, f"{where}.width", "plus x_axis must not exceed 1")
    check(region.y + region.height <= 1 + slack, f"{where}.height", "plus y_axis must not exceed 1")
    check(region.render_mode in (0, 1), f"{where}.render_mode", "must be 0 or 1")
