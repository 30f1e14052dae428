"""Which simulcast layer each track is needed in: decoding a layer that is scaled to a thumbnail is what costs most. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from models.vocabulary.channel import Layer
from models.vocabulary.scene import ItemKind, Scene
from models.vocabulary.spec import RecordingSpec

#: Senders' low layer is a quarter to a half of their width, typically 320×180: a cell up to this size shows all of it.
_LOW_PIXELS: Final = 320 * 180
_LOW_SIDE: Final = 320


def first_layer(spec: RecordingSpec) -> Layer:
    """What to ask for before it is known where a track stands. The caller's explicit low wins over everything."""
    return Layer.LOW if spec.video_stream_type == 1 else Layer.HIGH


def wanted_layers(spec: RecordingSpec, scene: Scene) -> Mapping[str, Layer]:
    """By track, for all tracks of a scene."""
    if spec.video_stream_type == 1:
        return dict.fromkeys(_tracks(scene), Layer.LOW)
    high = {
        item.ref
        for item in scene.items
        if item.kind is ItemKind.SOURCE and (item.w * item.h > _LOW_PIXELS or max(item.w, item.h) > _LOW_SIDE)
    }
    return {track: Layer.HIGH if track in high else Layer.LOW for track in _tracks(scene)}


def _tracks(scene: Scene) -> Iterable[str]:
    return {item.ref for item in scene.items if item.kind is ItemKind.SOURCE}
