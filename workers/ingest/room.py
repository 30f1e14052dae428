"""Rooms: who publishes where, and who listens. One event loop's thread; nothing here waits.

A room exists as soon as anybody publishes into it or records it and ends with the last of them. Events are numbered
in the room and go to every listener in the same order; one that comes later gets a snapshot first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from models.vocabulary.channel import ChannelEvent, EventKind, Track, Unit, User
from models.vocabulary.errors import Overloaded

#: One process handles some 30 publishers a core at 3 % each; beyond that a node needs a second ingest.
MAX_PUBLISHERS: Final = 200
#: Rooms cost nothing, but a loop of recorders with wrong names must not fill the memory.
MAX_ROOMS: Final = 1000


class RoomName(NamedTuple):
    appid: str
    cname: str


class Listener(Protocol):
    """A recorder. Must take what it is given at once, or drop it."""

    def happened(self, event: ChannelEvent) -> None: ...


UnitSink = Callable[[Unit], None]


@dataclass(slots=True)
class Feed:
    """A track being published."""

    track: Track
    t: float  # when it began
    seq: int
    want_key: Callable[[], None]
    sinks: list[UnitSink] = field(default_factory=list)


@dataclass(slots=True)
class Presence:
    user: User
    t: float
    seq: int
    publisher: object  # whose user this is: a successor under the same id is another


class Room:
    def __init__(self, name: RoomName, now: Callable[[], float]) -> None:
        self.name = name
        self._now = now
        self._seq = 0
        self._users: dict[str, Presence] = {}
        self._feeds: dict[str, Feed] = {}
        self._listeners: list[Listener] = []

    @property
    def empty(self) -> bool:
        return not self._users and not self._listeners

    @property
    def users(self) -> list[User]:
        return [presence.user for presence in self._users.values()]

    @property
    def recorders(self) -> int:
        return len(self._listeners)

    # -- publishers

    def join(self, user: User, publisher: object) -> object | None:
        """The publisher who was here under this id; he has left."""
        replaced = self._users[user.id].publisher if user.id in self._users else None
        self.leave(user.id, replaced)
        event = self._tell(EventKind.JOINED, user=user)
        self._users[user.id] = Presence(user, event.t, event.seq, publisher)
        return replaced

    def leave(self, uid: str, publisher: object) -> None:
        """No-op when the user is somebody else's by now."""
        presence = self._users.get(uid)
        if presence is None or presence.publisher is not publisher:
            return
        for feed in [f for f in self._feeds.values() if f.track.user == uid]:
            self.remove_track(feed.track.id)
        del self._users[uid]
        self._tell(EventKind.LEFT, user=presence.user)

    def add_track(self, track: Track, want_key: Callable[[], None]) -> None:
        event = self._tell(EventKind.TRACK_ADDED, user=self._users[track.user].user, track=track)
        self._feeds[track.id] = Feed(track, event.t, event.seq, want_key)

    def remove_track(self, track_id: str) -> None:
        """No-op when the track is gone already, with its user."""
        feed = self._feeds.pop(track_id, None)
        if feed is not None:
            self._tell(EventKind.TRACK_REMOVED, user=self._users[feed.track.user].user, track=feed.track)

    def unit(self, unit: Unit) -> None:
        feed = self._feeds.get(unit.track)
        if feed is not None:
            for sink in feed.sinks:
                sink(unit)

    # -- recorders

    def attach(self, listener: Listener) -> list[ChannelEvent]:
        """The room as it is, in order, closed by SYNCED; every later event goes to the listener."""
        self._listeners.append(listener)
        return [*self._snapshot(), ChannelEvent(self._now(), self._seq, EventKind.SYNCED)]

    def detach(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def subscribe(self, track_id: str, sink: UnitSink) -> bool:
        """Whether there is such a track. A key unit is asked for."""
        feed = self._feeds.get(track_id)
        if feed is None:
            return False
        feed.sinks.append(sink)
        feed.want_key()
        return True

    def unsubscribe(self, track_id: str, sink: UnitSink) -> None:
        feed = self._feeds.get(track_id)
        if feed is not None and sink in feed.sinks:
            feed.sinks.remove(sink)

    def want_key(self, track_id: str) -> None:
        feed = self._feeds.get(track_id)
        if feed is not None:
            feed.want_key()

    def _snapshot(self) -> list[ChannelEvent]:
        joined = [ChannelEvent(p.t, p.seq, EventKind.JOINED, user=p.user) for p in self._users.values()]
        added = [
            ChannelEvent(f.t, f.seq, EventKind.TRACK_ADDED, user=self._users[f.track.user].user, track=f.track)
            for f in self._feeds.values()
        ]
        return sorted(joined + added, key=lambda event: event.seq)

    def _tell(self, kind: EventKind, user: User, track: Track | None = None) -> ChannelEvent:
        self._seq += 1
        event = ChannelEvent(self._now(), self._seq, kind, user=user, track=track)
        for listener in list(self._listeners):
            listener.happened(event)
        return event


class Rooms:
    """All rooms of this ingest."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rooms: dict[RoomName, Room] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def enter(self, name: RoomName) -> Room:
        """The room, made when there is none. Raises `Overloaded`."""
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= MAX_ROOMS:
                raise Overloaded(f"this ingest holds {MAX_ROOMS} rooms already")
            room = self._rooms[name] = Room(name, self._now)
        return room

    def tidy(self, room: Room) -> None:
        """Forget a room that nobody is in."""
        if room.empty and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
