"""The mixer's only input besides frames: what stands where in one output picture, as a value.

Made by the pure `scene_at(spec, users, t)` of `workers.recorder.mixer.layout`; layouts, updateLayout, overlays and the
3.5 s rule all touch that one function. Nothing may assume that a recording has only one scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fit(StrEnum):
    CROP = "crop"  # fills the cell, what sticks out is cut
    FIT = "fit"  # whole picture, letterboxed in the item's background


class ItemKind(StrEnum):
    SOURCE = "source"  # `ref` is a track id
    IMAGE = "image"  # `ref` is a key of the recording's pictures
    TEXT = "text"  # `ref` is the text, `text` how it looks; without a size it has the one that it needs
    FILL = "fill"  # only its background


@dataclass(frozen=True, slots=True)
class TextStyle:
    """Colours are #RRGGBB or #RRGGBBAA."""

    colour: str = "#FFFFFF"
    background: str = "#0000007D"
    size_px: int = 18
    margin_px: int = 5


@dataclass(frozen=True, slots=True)
class Item:
    kind: ItemKind
    ref: str
    x: int  # pixels of the canvas, even; the cell lies inside the canvas
    y: int
    w: int
    h: int
    z: int = 0  # higher is nearer
    alpha: float = 1.0
    fit: Fit = Fit.CROP
    background: str = "#000000"  # shown where the source has no picture (yet); "": what lies below is seen there
    user: str = ""  # whose cell it is, for the record and for tests
    until_90k: int | None = None  # a source that is held: no unit after this tick is shown
    text: TextStyle | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    width: int
    height: int
    fps: int
    background: str = "#000000"
    items: tuple[Item, ...] = ()
