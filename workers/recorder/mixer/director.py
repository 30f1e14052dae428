"""Gives the programme its scenes: when who is there, what an image, or the time of day changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from models.vocabulary.channel import Layer, TrackSource
from models.vocabulary.scene import Scene
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.ticks import TICKS_PER_S
from models.vocabulary.timing import Clock
from workers.recorder.mixer.bitrate import far_off
from workers.recorder.mixer.contents import SOURCES
from workers.recorder.mixer.gallery import Download, Gallery
from workers.recorder.mixer.layers import wanted_layers
from workers.recorder.mixer.layout import image_urls, next_change, scene_at
from workers.recorder.mixer.seen import SeenUser
from workers.recorder.mixer.tile import Picture

_NEVER_90K: Final = 3600 * TICKS_PER_S


class Stage(Protocol):
    """What of a programme the director needs."""

    def image(self, ref: str, picture: Picture) -> None: ...

    def show(self, scene: Scene) -> None: ...


class Director:
    """`show` before each frame; it costs nothing while nothing changes."""

    def __init__(
        self,
        spec: RecordingSpec,
        stage: Stage,
        clock: Clock,
        *,
        t0_ms: int,
        download: Download,
        on_warning: Callable[[str], None],
    ) -> None:
        self._spec, self._stage, self._t0_ms = spec, stage, t0_ms
        longest_px = max(spec.video.width, spec.video.height)
        self._gallery = Gallery(clock, download, longest_px, self._arrived, on_warning)
        self._scene: Scene | None = None
        self._scene_of: tuple[SeenUser, ...] | None = None
        self._until_90k = 0
        self.layers: Mapping[str, Layer] = {}
        self.respec(spec)

    def respec(self, spec: RecordingSpec) -> None:
        """Other wishes; images of theirs count as soon as they have come."""
        self._spec = spec
        self._scene_of = None
        if spec.has_video:
            self._gallery.want(image_urls(spec.layout))

    def show(self, users: tuple[SeenUser, ...], tick_90k: int) -> bool:
        """Whether the scene is another one now. `users` is the same object while nothing has happened."""
        if users is self._scene_of and tick_90k < self._until_90k:
            return False
        self._scene_of = users
        change_90k = next_change(users, tick_90k, spec=self._spec, t0_ms=self._t0_ms)
        self._until_90k = tick_90k + _NEVER_90K if change_90k is None else change_90k
        scene = scene_at(self._spec, users, tick_90k, images=self._gallery.ready, t0_ms=self._t0_ms)
        if scene == self._scene:
            return False
        self._scene = scene
        self._stage.show(scene)
        self.layers = wanted_layers(self._spec, scene)
        return True

    async def close(self) -> None:
        await self._gallery.close()

    def _arrived(self, url: str, picture: Picture) -> None:
        self._stage.image(url, picture)
        self._scene_of = None


def doubts(spec: RecordingSpec, offered: frozenset[TrackSource]) -> list[str]:
    """Sentences about wishes that will not come out as they were meant: contents that this channel can never fill, odd rates."""
    if not spec.has_video:
        return []
    asked = {SOURCES[content.kind] for content in spec.layout.contents if content.kind in SOURCES}
    missing = [f"this channel offers no {source.value}: that content stays empty" for source in sorted(asked - offered)]
    odd = far_off(spec.video)
    return missing if odd is None else [*missing, odd]
