"""A recorder that subscribes to all tracks of a channel and keeps everything it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from models.vocabulary.channel import Channel, ChannelEvent, EventKind, Room, Track, TrackKind, Unit


@dataclass
class Kept:
    channel: Channel
    events: list[ChannelEvent] = field(default_factory=list)
    units: dict[str, list[Unit]] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    def saw(self, kind: EventKind, uid: str | None = None) -> bool:
        return any(e.kind is kind and (uid is None or (e.user is not None and e.user.id == uid)) for e in self.events)

    def tracks_of(self, uid: str, kind: TrackKind) -> list[Track]:
        """In the order of their coming."""
        return [track for track in self.tracks.values() if track.user == uid and track.kind is kind]

    def of(self, uid: str, kind: TrackKind) -> list[Unit]:
        return [unit for track in self.tracks_of(uid, kind) for unit in self.units[track.id]]

    async def follow(self) -> None:
        """As a take does: one subscription does not wait for another."""
        async with asyncio.TaskGroup() as subscribing:
            async for event in self.channel.events():
                self.events.append(event)
                if event.kind is EventKind.TRACK_ADDED and event.track is not None:
                    self.tracks[event.track.id] = event.track
                    units = self.units.setdefault(event.track.id, [])
                    subscribing.create_task(self.channel.subscribe(event.track.id, units.append))


@asynccontextmanager
async def keeping(channel: Channel, room: Room) -> AsyncIterator[Kept]:
    kept = Kept(channel)
    await channel.open(room)
    following = asyncio.create_task(kept.follow())
    try:
        yield kept
    finally:
        await channel.close()
        await following
