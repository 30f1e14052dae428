"""The one picture that is drawn on for a whole recording: only what has changed is painted again."""

from __future__ import annotations

from collections.abc import Sequence

from av.video.frame import VideoFrame

from models.vocabulary.scene import Item, ItemKind, Scene
from workers.recorder.mixer.colour import yuv
from workers.recorder.mixer.lettering import Lettering
from workers.recorder.mixer.planes import planes_of
from workers.recorder.mixer.scaling import Scaler
from workers.recorder.mixer.tile import Newest, Picture, Tile, lay


def overlap(a: Item, b: Item) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def repaint_sets(boxes: Sequence[Item], covers: Sequence[bool]) -> list[frozenset[int]]:
    """For each of the items, bottom to top: all that must be painted again when it changes.

    What lies on it must be; and what lies under one of these that is seen through, else that would be blended twice.
    """
    over = [[j for j in range(i + 1, len(boxes)) if overlap(boxes[i], boxes[j])] for i in range(len(boxes))]
    under = [[j for j in range(i) if not covers[i] and overlap(boxes[i], boxes[j])] for i in range(len(boxes))]
    found = []
    for i in range(len(boxes)):
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
        self._scaler = Scaler()
        self._background = "#000000"
        self._tiles: list[Tile | Lettering] = []
        self._sources: dict[str, list[Tile]] = {}  # by `ref`
        self._covers: list[bool] = []
        self._with: list[frozenset[int]] = []
        self._stale = True
        lay(self._planes, yuv(self._background), 1.0)

    def show(self, scene: Scene) -> None:
        """Draw so from the next `paint` on. Raises ValueError when the scene has another size."""
        if (scene.width, scene.height) != (self.frame.width, self.frame.height):
            raise ValueError(
                f"a scene of {scene.width}x{scene.height} on a canvas of {self.frame.width}x{self.frame.height}"
            )
        kept = {tile.item: tile for tile in self._tiles}
        items = sorted(scene.items, key=lambda item: item.z)  # stable: equals stay in the scene's order
        self._tiles = [kept.get(item) or self._tile(item) for item in items]
        self._sources = {}
        for tile in self._tiles:
            if isinstance(tile, Tile) and tile.item.kind is ItemKind.SOURCE:
                self._sources.setdefault(tile.item.ref, []).append(tile)
        self._covers = []
        self._background = scene.background
        self._stale = True

    def foresee(self, ref: str, picture: Picture | None) -> None:
        """What of a SOURCE the frame shows that is painted after those foreseen before."""
        for tile in self._sources.get(ref, ()):
            tile.foresee(picture)

    def paint(self, newest: Newest) -> VideoFrame:
        """`newest`: the picture of a SOURCE's or IMAGE's `ref`, where none was foreseen."""
        dirty = [i for i, tile in enumerate(self._tiles) if tile.refresh(newest)]
        if not dirty and not self._stale:
            return self.frame
        covers = [tile.covers for tile in self._tiles]
        if covers != self._covers:
            self._covers, self._with = covers, repaint_sets([tile.box for tile in self._tiles], covers)
        if self._stale:
            lay(self._planes, yuv(self._background), 1.0)
            changed = frozenset(range(len(self._tiles)))
            self._stale = False
        else:
            changed = frozenset[int]().union(*(self._with[i] for i in dirty))
            self._clear_under(changed)
        for i in sorted(changed):
            self._tiles[i].paint()
        return self.frame

    def _tile(self, item: Item) -> Tile | Lettering:
        return Lettering(item, self._planes) if item.kind is ItemKind.TEXT else Tile(item, self._planes, self._scaler)

    def _clear_under(self, changed: frozenset[int]) -> None:
        for i in changed:
            if not self._covers[i]:
                self._tiles[i].clear(self._background)
