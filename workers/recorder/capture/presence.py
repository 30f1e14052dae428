"""Who is in a room, so that a second snapshot after a broken connection is told as what changed. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from models.vocabulary.channel import ChannelEvent, EventKind

_BEGINNINGS: Final = frozenset({EventKind.JOINED, EventKind.TRACK_ADDED})


class Presence:
    def __init__(self) -> None:
        self._there: dict[tuple[EventKind, str], ChannelEvent] = {}  # JOINED by user, TRACK_ADDED by track
        self._seen: set[tuple[EventKind, str]] | None = None
        self.synced = False

    def has_track(self, track_id: str) -> bool:
        return (EventKind.TRACK_ADDED, track_id) in self._there

    def begin(self) -> None:
        """A snapshot follows."""
        self._seen, self.synced = set(), False

    def apply(self, event: ChannelEvent) -> bool:
        """Take an event in; whether it is news."""
        key = _key(event)
        if event.kind not in _BEGINNINGS:
            self._there.pop(key, None)
            return True
        news = key not in self._there
        self._there[key] = event
        if self._seen is not None:
            self._seen.add(key)
        return news

    def end(self) -> list[ChannelEvent]:
        """The snapshot is complete: the ends of what was not in it, tracks before users."""
        seen, self._seen, self.synced = self._seen or set(), None, True
        gone = [key for key in self._there if key not in seen]
        ended = [_ending(self._there.pop(key)) for key in gone]
        return sorted(ended, key=lambda event: event.kind is EventKind.LEFT)


def _key(event: ChannelEvent) -> tuple[EventKind, str]:
    if event.kind in (EventKind.JOINED, EventKind.LEFT):
        return EventKind.JOINED, event.user.id if event.user else ""
    return EventKind.TRACK_ADDED, event.track.id if event.track else ""


def _ending(event: ChannelEvent) -> ChannelEvent:
    kind = EventKind.LEFT if event.kind is EventKind.JOINED else EventKind.TRACK_REMOVED
    return replace(event, kind=kind)
