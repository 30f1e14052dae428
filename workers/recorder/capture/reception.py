"""Whose sound and pictures are being received: units in, changes out. Pure; times are the recorder's seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.vocabulary.channel import Track, TrackKind

#: A sender that is quiet for so long has stopped; shorter pauses are the network's.
QUIET_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Change:
    """A user's medium is received, or not any more, since `at_s`. Several tracks of a kind count as one."""

    user: str
    kind: TrackKind
    receiving: bool
    at_s: float


class Reception:
    def __init__(self) -> None:
        self._tracks: dict[str, Track] = {}
        self._heard: dict[str, float] = {}  # those that are received, with their newest unit

    def added(self, track: Track) -> None:
        self._tracks[track.id] = track

    def unit(self, track_id: str, at_s: float) -> Change | None:
        track = self._tracks.get(track_id)
        if track is None:
            return None
        is_first = not self._receives(track)
        self._heard[track_id] = at_s
        return Change(track.user, track.kind, True, at_s) if is_first else None

    def removed(self, track_id: str) -> Change | None:
        """It was unpublished, or is not subscribed to any more."""
        track, last_s = self._tracks.pop(track_id, None), self._heard.pop(track_id, None)
        if track is None or last_s is None or self._receives(track):
            return None
        return Change(track.user, track.kind, False, last_s)

    def look(self, now_s: float) -> list[Change]:
        """Who has fallen silent without a word."""
        changes = []
        for track_id, last_s in list(self._heard.items()):
            if now_s - last_s > QUIET_S:
                del self._heard[track_id]
                track = self._tracks[track_id]
                if not self._receives(track):
                    changes.append(Change(track.user, track.kind, False, last_s))
        return changes

    def _receives(self, track: Track) -> bool:
        mine = (self._tracks[other] for other in self._heard)
        return any((t.user, t.kind) == (track.user, track.kind) for t in mine)
