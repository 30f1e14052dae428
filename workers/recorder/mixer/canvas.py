"""The one picture that is drawn on for a whole recording: only what has changed is painted again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from av.video.frame import VideoFrame

from models.vocabulary.scene import Item, ItemKind, Scene
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.planes import planes_of
from workers.recorder.mixer.tile import Picture, Tile, lay

#: The newest picture of a track, if it has one.
Newest = Callable[[str], Picture | None]

#: Text and pictures need loading and drawing that this canvas does not do: a scene has none of them.
_DRAWN = (ItemKind.SOURCE, ItemKind.FILL)


def overlap(a: Item, b: Item) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def repaint_sets(items: Sequence[Item]) -> list[frozenset[int]]:
    """For each of the items, bottom to top: all that must be painted again when it changes.

    What lies on it must be; and what lies under a translucent one of these, else that would be blended twice.
    """
    over = [[j for j in range(i + 1, len(items)) if overlap(items[i], items[j])] for i in range(len(items))]
    under = [[j for j in range(i) if items[i].alpha < 1 and overlap(items[i], items[j])] for i in range(len(items))]
    found = []
    for i in range(len(items)):
        reached, open_ = {i}, [i]
        while open_:
            j = open_.pop()
            fresh = set(over[j] + under[j]) - reached
            reached |= fresh
            open_ += fresh
        found.append(frozenset(reached))
    return found


class Canvas:
    """`frame` is one yuv420p picture for ever; the encoder copies it, so it may be drawn on once that returns."""

    def __init__(self, width: int, height: int) -> None:
        self.frame = VideoFrame(width, height, "yuv420p")
        self._planes = planes_of(self.frame)
        self._background = "#000000"
        self._tiles: list[Tile] = []
        self._with: list[frozenset[int]] = []
        self._stale = True
        lay(self._planes, yuv(self._background), 1.0)

    def show(self, scene: Scene) -> None:
        """Draw so from the next `paint` on. Raises ValueError when the scene has another size or items not drawn here."""
        if (scene.width, scene.height) != (self.frame.width, self.frame.height):
            raise ValueError(
                f"a scene of {scene.width}x{scene.height} on a canvas of {self.frame.width}x{self.frame.height}"
            )
        items = sorted(scene.items, key=lambda item: item.z)  # stable: equals stay in the scene's order
        if odd := [item.kind.value for item in items if item.kind not in _DRAWN]:
            raise ValueError(f"cannot draw {odd[0]} items")
        kept = {tile.item: tile for tile in self._tiles}
        self._tiles = [kept.get(item) or Tile(item, self._planes) for item in items]
        self._with = repaint_sets(items)
        self._background = scene.background
        self._stale = True

    def paint(self, newest: Newest) -> VideoFrame:
        changed: set[int] = set()
        for i, tile in enumerate(self._tiles):
            source = tile.item.kind is ItemKind.SOURCE
            if tile.refresh(newest(tile.item.ref) if source else None):
                changed |= self._with[i]
        if self._stale:
            lay(self._planes, yuv(self._background), 1.0)
            changed = set(range(len(self._tiles)))
            self._stale = False
        else:
            self._clear_under(changed)
        for i in sorted(changed):
            self._tiles[i].paint()
        return self.frame

    def _clear_under(self, changed: set[int]) -> None:
        for i in changed:
            if self._tiles[i].item.alpha < 1:
                self._tiles[i].clear(self._background)
