"""Subscriptions: which tracks a take asks its channel for, in which layer, and whose sound and pictures come."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from models.vocabulary.channel import Channel, Layer, Track, Unit
from workers.recorder.capture.reception import Change, Reception
from workers.recorder.capture.roster import Roster

#: So often we look who has fallen silent.
LOOK_EVERY_S = 0.5


class Subscriptions:
    """`on_change`: somebody's medium is received, or not any more."""

    def __init__(
        self,
        channel: Channel,
        roster: Roster,
        *,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
        on_unit: Callable[[Unit], None],
        on_change: Callable[[Change], None],
    ) -> None:
        self._channel = channel
        self._roster = roster
        self._spawn = spawn
        self._on_unit = on_unit
        self._on_change = on_change
        self._reception = Reception()
        self._layers: dict[str, Layer] = {}  # asked for, by track
        self._look_at_s = 0.0

    def follow(self, track: Track, first: Layer) -> bool:
        """Ask for it if the recording takes it, at first in that layer; or no more. Whether it does."""
        wanted = self._roster.takes(track)
        if wanted:
            self._reception.added(track)
            layer = self._layers.setdefault(track.id, first)
            self._spawn(self._channel.subscribe(track.id, self._on_unit, layer))
        else:
            self.gone(track.id)
            self._spawn(self._channel.unsubscribe(track.id))
        return wanted

    def choose(self, wanted: Mapping[str, Layer]) -> None:
        """Ask anew for tracks whose cell needs another layer than they come in."""
        if not self._channel.caps.layers:
            return
        for track in self._roster.tracks():
            layer = wanted.get(track.id, self._layers.get(track.id))
            if layer is not None and layer != self._layers.get(track.id):
                self._layers[track.id] = layer
                self.follow(track, layer)

    def want_key(self, track_id: str) -> None:
        self._spawn(self._channel.request_keyframe(track_id))

    def heard(self, unit: Unit) -> None:
        self._told(self._reception.unit(unit.track, unit.t))

    def gone(self, track_id: str) -> None:
        """It comes no more."""
        self._told(self._reception.removed(track_id))

    def look(self, now_s: float) -> None:
        """Notice who has fallen silent without a word."""
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            for change in self._reception.look(now_s):
                self._on_change(change)

    def _told(self, change: Change | None) -> None:
        if change is not None:
            self._on_change(change)
