"""What a room's users publish, as we receive it: a feed for each of their connections, begun, mended, and ended."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from models.vocabulary.address import RoomId
from models.vocabulary.channel import EventKind, Track, User
from workers.recorder.capture.backoff import steps
from workers.recorder.capture.janus.feed import Ear, Feed, Place
from workers.recorder.capture.janus.hostclock import HostClock
from workers.recorder.capture.janus.session import FORBIDDEN, NO_SUCH_FEED, JanusRefusal, JanusSession
from workers.webrtc.rtp import Counts
from workers.webrtc.tap import Drops

log = logging.getLogger(__name__)

_BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)


class Tell(Protocol):
    def __call__(self, kind: EventKind, *, user: User | None = None, track: Track | None = None) -> None: ...


class Feeds:
    """Of one room, across the sessions in which it is listened to. `changed`: one has ended or broken."""

    def __init__(self, time: HostClock, tell: Tell, changed: Callable[[], None], drops: Drops | None) -> None:
        self._time = time
        self._tell = tell
        self._changed = changed
        self._drops = drops
        self._feeds: dict[RoomId, Feed] = {}
        self._retry_at: dict[RoomId, float] = {}
        self._generations = itertools.count(1)
        self.restarts = 0

    def __iter__(self) -> Iterator[Feed]:
        return iter(list(self._feeds.values()))

    def __contains__(self, number: RoomId) -> bool:
        return number in self._feeds

    def find(self, track_id: str) -> tuple[Feed, Ear] | None:
        for feed in self:
            if (ear := feed.ear_of(track_id)) is not None:
                return feed, ear
        return None

    def counts(self) -> list[Counts]:
        streams = (ear.tap.stream for feed in self for ear in feed.ears.values() if ear.tap)
        return [stream.counts for stream in streams if stream is not None]

    async def tick(self) -> None:
        for feed in self:
            await feed.tick()

    async def begin(self, session: JanusSession, place: Place, number: RoomId, user: User) -> None:
        """Raises `JanusRefusal` where we may not be at all."""
        feed = Feed(number, user, place, next(self._generations), self._time, self._changed, self._drops)
        try:
            await feed.attach(session)
        except JanusRefusal as error:
            await feed.let_go()
            if error.number in FORBIDDEN:
                raise
            if error.number != NO_SUCH_FEED:  # he left between our looks
                log.warning("what %s publishes cannot be had: %s", user.id, error)
            return
        self._feeds[number] = feed
        for ear in feed.ears.values():
            self._tell(EventKind.TRACK_ADDED, user=user, track=ear.track)

    async def end(self, feed: Feed) -> None:
        self._feeds.pop(feed.number, None)
        self._retry_at.pop(feed.number, None)
        for ear in feed.ears.values():
            self._tell(EventKind.TRACK_REMOVED, user=feed.user, track=ear.track)
        await feed.let_go()

    async def mend(self, session: JanusSession, feed: Feed) -> None:
        """Make a broken feed's connection again, later each time that it breaks."""
        now = self._time.now()
        waits = list(itertools.islice(steps(_BACKOFF_S), feed.restarts + 1))
        due = self._retry_at.setdefault(feed.number, now + waits[-1])
        if now >= due:
            del self._retry_at[feed.number]
            log.warning("the connection for %s is made again: %s", feed.user.id, feed.broken)
            feed.restarts = min(feed.restarts + 1, len(_BACKOFF_S))
            self.restarts += 1
            await self.restart(session, feed)

    async def restart(self, session: JanusSession, feed: Feed) -> None:
        """Whoever goes on with the same media goes on with his tracks."""
        before = {ear.track.id: ear.track for ear in feed.ears.values()}
        await feed.let_go(session_lives=not session.broken.is_set())
        try:
            await feed.attach(session)
        except JanusRefusal:
            await self.end(feed)
            return
        after = {ear.track.id: ear.track for ear in feed.ears.values()}
        for track_id in before.keys() - after.keys():
            self._tell(EventKind.TRACK_REMOVED, user=feed.user, track=before[track_id])
        for track_id in after.keys() - before.keys():
            self._tell(EventKind.TRACK_ADDED, user=feed.user, track=after[track_id])
        await feed.follow()
