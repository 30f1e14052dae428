"""What `contents` and `afterStop`, our extensions of the layout, may be: an order in, the spec's values out. Pure.

docs/reference/layouts.md says what each kind shows. A field that its kind has no use for is reported.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from models.vocabulary.spec import MAX_CONTENTS, Content, ContentKind
from scheduler import orders
from scheduler.fields import URL, check, within

COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?")
MAX_TEXT: Final = 512
MAX_SOURCE: Final = 80  # a user, a point, the number of a camera
MAX_PX: Final = 1920
UNITS: Final = ("px", "fraction")
AFTER_STOP: Final = ("background", "last_frame")
_LETTERS: Final = ("text", "color", "background", "fontSize", "textMargin", "utcOffsetMin")
_OF: Final[dict[ContentKind, tuple[str, ...]]] = {
    ContentKind.VIDEO: ("source",),
    ContentKind.SCREEN: ("source",),
    ContentKind.MEDIA: ("source",),
    ContentKind.WHITEBOARD: ("source",),
    ContentKind.PICTURE: ("url",),
    ContentKind.TEXT: _LETTERS,
    ContentKind.TIMESTAMP: _LETTERS,
}


def contents_of(
    asked: tuple[orders.Content, ...], where: str, canvas: tuple[int, int], warnings: list[str]
) -> tuple[Content, ...]:
    """Raises `BadParameter` naming the field. `canvas`: width and height in pixels."""
    check(len(asked) <= MAX_CONTENTS, f"{where}.contents", f"has more than {MAX_CONTENTS} entries")
    return tuple(_content(one, f"{where}.contents[{n}]", canvas, warnings) for n, one in enumerate(asked))


def after_stop_of(asked: str, where: str) -> Literal["background", "last_frame"]:
    check(asked in AFTER_STOP, f"{where}.afterStop", 'must be "background" or "last_frame"')
    return cast('Literal["background", "last_frame"]', asked)


def _content(asked: orders.Content, where: str, canvas: tuple[int, int], warnings: list[str]) -> Content:
    kinds = ", ".join(ContentKind)
    check(asked.kind in set(ContentKind), f"{where}.kind", f"must be one of {kinds}")
    kind = ContentKind(asked.kind)
    _check_place(asked, kind, where, canvas, warnings)
    _check_letters(asked, kind, where)
    if kind is ContentKind.PICTURE:
        check(asked.url != "", f"{where}.url", "is missing; a picture requires it")
        if not URL.fullmatch(asked.url):
            warnings.append(f"{where}.url is no http or https address and is not drawn")
    if kind is ContentKind.VIDEO:
        check(asked.source != "", f"{where}.source", "is missing; a video requires it")
    check(len(asked.source) <= MAX_SOURCE, f"{where}.source", f"has more than {MAX_SOURCE} characters")
    used = _OF[kind]
    every = {name for names in _OF.values() for name in names}
    warnings += [f"{where}.{name} is not used by a {kind.value}" for name in sorted(asked.given & every - set(used))]
    return Content(
        kind=kind,
        left=asked.left,
        top=asked.top,
        width=asked.width,
        height=asked.height,
        unit=cast('Literal["px", "fraction"]', asked.unit),
        keep_aspect_ratio=asked.keep_aspect_ratio,
        source=asked.source if "source" in used else "",
        url=asked.url if "url" in used else "",
        text=asked.text if "text" in used else "",
        color=asked.color,
        background=asked.background,
        font_size=asked.font_size,
        text_margin=asked.text_margin,
        utc_offset_min=asked.utc_offset_min,
    )


def _check_place(
    asked: orders.Content, kind: ContentKind, where: str, canvas: tuple[int, int], warnings: list[str]
) -> None:
    check(asked.unit in UNITS, f"{where}.unit", 'must be "px" or "fraction"')
    most = 1 if asked.unit == "fraction" else MAX_PX
    for name, value in (
        ("left", asked.left),
        ("top", asked.top),
        ("width", asked.width),
        ("height", asked.height),
    ):
        check(0 <= value <= most, f"{where}.{name}", f'must be from 0 to {most} with unit "{asked.unit}"')
    if "source" in _OF[kind]:
        check(asked.width > 0, f"{where}.width", f"is missing; a {kind.value} requires it")
        check(asked.height > 0, f"{where}.height", f"is missing; a {kind.value} requires it")
    across, down = (1, 1) if asked.unit == "fraction" else canvas
    if asked.left >= across or asked.top >= down:
        warnings.append(f"{where} begins outside the canvas and is not drawn")


def _check_letters(asked: orders.Content, kind: ContentKind, where: str) -> None:
    check(kind is not ContentKind.TEXT or asked.text != "", f"{where}.text", "is missing; a text requires it")
    check(len(asked.text) <= MAX_TEXT, f"{where}.text", f"has more than {MAX_TEXT} characters")
    for name, colour in (("color", asked.color), ("background", asked.background)):
        check(bool(COLOUR.fullmatch(colour)), f"{where}.{name}", 'must look like "#RRGGBB" or "#RRGGBBAA"')
    within(asked.font_size, 4, 256, f"{where}.fontSize", " pixels")
    within(asked.text_margin, 0, 256, f"{where}.textMargin", " pixels")
    within(asked.utc_offset_min, -1440, 1440, f"{where}.utcOffsetMin", " minutes")
