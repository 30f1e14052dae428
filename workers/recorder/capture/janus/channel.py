"""The channel of Janus' VideoRoom (1.x). The recorder is no participant: nobody in the room sees it or hears of it.

Janus puts its own sender reports in the place of the publishers', all on its host's clock: that clock is the room's,
and two recorders of one room find the same zero on it. Who is there is read from the room's list twice a second; that
a user's own media ended is told at once. A broken connection is made again for as long as the recording wants it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from models.vocabulary.address import JanusAddress, RoomId, janus
from models.vocabulary.channel import (
    Anchor,
    Caps,
    ChannelClock,
    ChannelEvent,
    EventKind,
    Layer,
    Room,
    Sink,
    Track,
    TrackSource,
    User,
)
from models.vocabulary.errors import (
    AddressRefused,
    ChannelError,
    ChannelRefused,
    ChannelUnreachable,
    FetchFailed,
)
from models.vocabulary.timing import Clock
from net.guard import resolve
from workers.recorder.capture.backoff import steps
from workers.recorder.capture.janus.feed import Ear, Feed, Place
from workers.recorder.capture.janus.participants import Participant, participants
from workers.recorder.capture.janus.session import (
    FORBIDDEN,
    NO_SUCH_FEED,
    NO_SUCH_ROOM,
    Handle,
    JanusRefusal,
    JanusSession,
)
from workers.webrtc import ice
from workers.webrtc.senderclock import SenderClock
from workers.webrtc.tap import Drops

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.5
_TICK_S: Final = 0.03
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_FEED_BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
_RESOLVE_WITHIN_S: Final = 3.0
#: Janus reports every second. Its clock is waited for so long by the first units, and so long by who needs it to begin.
_HOLD_S: Final = 1.6
_ANCHOR_WITHIN_S: Final = 4.0

_Networks = Sequence[IPv4Network | IPv6Network]


class JanusChannel:
    caps = Caps(
        joinable_many=True,
        hidden=True,
        encoded=True,
        keyframe_request=True,
        mute_events=False,
        layers=True,
        clock=ChannelClock.SHARED,
        sources=frozenset({TrackSource.CAMERA, TrackSource.MICROPHONE, TrackSource.SCREEN}),
    )

    def __init__(
        self, clock: Clock, allow_networks: _Networks, ice_addresses: Sequence[str], drops: Drops | None = None
    ) -> None:
        """`ice_addresses`: local addresses that media may come to; `drops`: packets lost on purpose, by tests."""
        ice.keep_to(ice_addresses)
        self._clock = clock
        self._allow = allow_networks
        self._drops = drops
        self._session: JanusSession | None = None
        self._control: Handle | None = None
        self._events: asyncio.Queue[ChannelEvent] = asyncio.Queue()
        self._participants: dict[RoomId, Participant] = {}
        self._users: dict[str, User] = {}
        self._feeds: dict[RoomId, Feed] = {}
        self._retry_at: dict[RoomId, float] = {}
        self._sender = SenderClock(reports_needed=1)
        self._transit_s: float | None = None
        self._hold_until: float | None = None
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._generations = itertools.count(1)
        self._seq = 0
        self._closed = False
        self._units = self._reconnects = self._restarts = 0

    # -- the protocol

    async def open(self, room: Room) -> None:
        """Raises ChannelAddressInvalid, ChannelRefused, ChannelUnreachable, AddressRefused."""
        address = janus(room.address)
        token = room.credentials.get("token", "")
        self._address, self._users_by = address, address.users
        self._api_token = token if address.token == "api" else ""  # noqa: S105  (a choice, not a token)
        self._place = Place(address.room_of(room.cname), token if address.token == "pin" else "")  # noqa: S105  (as above)
        self._clock_id = f"janus:{address.host}:{address.port}"
        try:
            await self._connect()
            await self._look_round(must_exist=not room.anchored)
        except JanusRefusal as error:
            await self._drop_session()
            raise ChannelRefused(str(error)) from error
        except BaseException:
            await self._drop_session()
            raise
        self._tell(EventKind.SYNCED)
        self._tasks = [asyncio.create_task(self._stay()), asyncio.create_task(self._tick())]
        if room.anchored:
            await self._learn_clock()

    async def events(self) -> AsyncIterator[ChannelEvent]:
        while True:
            event = await self._events.get()
            yield event
            if event.kind is EventKind.CLOSED:
                return

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        feed, ear = self._find(track_id)
        if feed is not None and ear is not None:
            ear.listen(sink, layer)
            await feed.follow()

    async def unsubscribe(self, track_id: str) -> None:
        feed, ear = self._find(track_id)
        if feed is not None and ear is not None and ear.sink is not None:
            ear.listen(None, ear.layer)
            await feed.follow()

    async def request_keyframe(self, track_id: str) -> bool:
        _, ear = self._find(track_id)
        if ear is None or ear.tap is None or ear.sink is None:
            return False
        ear.tap.want_key()
        return True

    def anchor(self, t: float) -> Anchor:
        transit_s = self._transit()
        return Anchor("", 0.0) if transit_s is None else Anchor(self._clock_id, t - transit_s)

    def time_of(self, anchor: Anchor) -> float | None:
        transit_s = self._transit()
        return None if transit_s is None or anchor.clock_id != self._clock_id else anchor.zero_s + transit_s

    def stats(self) -> Mapping[str, float]:
        streams = [ear.tap.stream for feed in self._feeds.values() for ear in feed.ears.values() if ear.tap]
        counts = [stream.counts for stream in streams if stream is not None]
        return {
            "lost": sum(count.lost for count in counts),
            "nacked": sum(count.nacked for count in counts),
            "plis": sum(count.plis for count in counts),
            "dropped_units": sum(count.dropped_units for count in counts),
            "reconnects": self._reconnects,
            "restarts": self._restarts,
        }

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._end("closed by the recorder")
        await self._drop_session()

    # -- the feeds' surroundings

    @property
    def sender(self) -> SenderClock:
        return self._sender

    def now(self) -> float:
        return self._clock.now()

    def holds(self) -> bool:
        if self._transit_s is not None:
            return False
        if self._hold_until is None:
            self._hold_until = self.now() + _HOLD_S
        return self._transit() is None and self.now() < self._hold_until

    def changed(self) -> None:
        self._look.set()

    # -- Janus' clock

    def _transit(self) -> float | None:
        """Ours minus Janus' clock, with the least delay between; the last known while a connection is made again."""
        known = self._sender.transit_s()
        if known is not None:
            self._transit_s = known
        return self._transit_s

    async def _learn_clock(self) -> None:
        """By whatever is published; what nobody listens to is switched off when somebody subscribes."""
        feed = next(iter(self._feeds.values()), None)
        if feed is None:
            return
        await feed.follow(even_unheard=True)
        with contextlib.suppress(TimeoutError):  # wall time is the other way to find the zero
            async with asyncio.timeout(_ANCHOR_WITHIN_S):
                while self._transit() is None:  # noqa: ASYNC110  (reports have no event)
                    await asyncio.sleep(_TICK_S)

    # -- the connection

    async def _connect(self) -> None:
        hosts = await self._clock.in_thread(lambda: _addresses(self._address, self._allow))
        self._session = await JanusSession.open(self._address, hosts, self._api_token)
        self._control = await self._session.attach(lambda _: None)

    async def _drop_session(self) -> None:
        session, self._session, self._control = self._session, None, None
        feeds = list(self._feeds.values())
        await asyncio.gather(*(feed.let_go(session_lives=False) for feed in feeds), return_exceptions=True)
        if session is not None:
            await session.close()

    async def _stay(self) -> None:
        """Look at the room again and again; ends only with the room."""
        try:
            while True:
                try:
                    await self._wait()
                    await self._look_round(must_exist=True)
                except ChannelUnreachable as error:
                    await self._reconnect(error.text)
        except JanusRefusal as error:
            self._end("the room was destroyed" if error.number == NO_SUCH_ROOM else str(error))
        except Exception as error:
            self._end(f"the recorder failed: {type(error).__name__}")
            raise

    async def _wait(self) -> None:
        """Until it is time to look, or something calls for it. Raises `ChannelUnreachable` when the session broke."""
        assert self._session is not None
        with contextlib.suppress(TimeoutError):  # nothing called
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._look.wait()
        self._look.clear()
        if self._session.broken.is_set():
            raise ChannelUnreachable(self._session.why)

    async def _reconnect(self, why: str) -> None:
        """Whoever is there again goes on with his tracks; a Janus that was restarted may have no room yet."""
        log.warning("the connection to Janus is made again: %s", why)
        self._reconnects += 1
        self._tell(EventKind.RECONNECTING, detail=why)
        await self._drop_session()
        self._sender = SenderClock(reports_needed=1)
        for wait_s in steps(_BACKOFF_S):
            await self._clock.sleep_until(self.now() + wait_s)
            try:
                await self._connect()
                await self._restart_feeds()
                await self._look_round(must_exist=False)
            except (ChannelUnreachable, AddressRefused, JanusRefusal) as error:
                log.info("Janus cannot be reached yet: %s", error)
                await self._drop_session()
            else:
                self._tell(EventKind.CONNECTED)
                return

    async def _restart_feeds(self) -> None:
        listed = await self._list(must_exist=False)
        for number, feed in list(self._feeds.items()):
            if number in listed and listed[number].publishes:
                await self._restart(feed)
            else:
                await self._end_feed(feed)

    # -- the room

    async def _list(self, *, must_exist: bool) -> dict[RoomId, Participant]:
        assert self._control is not None
        try:
            said = await self._control.ask({"request": "listparticipants", "room": self._place.room})
        except JanusRefusal as error:
            if error.number != NO_SUCH_ROOM or must_exist:
                raise
            return {}
        return participants(said.body.get("participants", []), self._users_by)

    async def _look_round(self, *, must_exist: bool) -> None:
        listed = await self._list(must_exist=must_exist)
        for number, feed in list(self._feeds.items()):
            if number not in listed or not listed[number].publishes or feed.ended:
                await self._end_feed(feed)
            elif feed.broken:
                await self._mend(feed)
        self._leave({number for number in self._participants if number not in listed})
        for number, participant in listed.items():
            self._join(number, participant)
            if participant.publishes and number not in self._feeds:
                await self._begin_feed(number, participant)

    def _join(self, number: RoomId, participant: Participant) -> None:
        self._participants[number] = participant
        if participant.user not in self._users:
            user = self._users[participant.user] = User(participant.user, name=participant.name)
            self._tell(EventKind.JOINED, user=user)

    def _leave(self, gone: set[RoomId]) -> None:
        for number in gone:
            participant = self._participants.pop(number)
            if all(other.user != participant.user for other in self._participants.values()):
                self._tell(EventKind.LEFT, user=self._users.pop(participant.user))

    async def _begin_feed(self, number: RoomId, participant: Participant) -> None:
        assert self._session is not None
        feed = Feed(number, participant.user, self._place, next(self._generations), self)
        try:
            await feed.attach(self._session, self._drops)
        except JanusRefusal as error:
            await feed.let_go()
            if error.number in FORBIDDEN:
                raise
            if error.number != NO_SUCH_FEED:  # he left between our looks
                log.warning("what %s publishes cannot be had: %s", participant.user, error)
            return
        self._feeds[number] = feed
        for ear in feed.ears.values():
            self._tell(EventKind.TRACK_ADDED, user=self._users[feed.user], track=ear.track)

    async def _end_feed(self, feed: Feed) -> None:
        self._feeds.pop(feed.number, None)
        self._retry_at.pop(feed.number, None)
        for ear in feed.ears.values():
            self._tell(EventKind.TRACK_REMOVED, user=self._users[feed.user], track=ear.track)
        await feed.let_go()

    async def _mend(self, feed: Feed) -> None:
        """Make a feed's connection again, later each time that it breaks."""
        waits = list(itertools.islice(steps(_FEED_BACKOFF_S), feed.restarts + 1))
        due = self._retry_at.setdefault(feed.number, self.now() + waits[-1])
        if self.now() >= due:
            del self._retry_at[feed.number]
            log.warning("the connection for %s is made again: %s", feed.user, feed.broken)
            feed.restarts = min(feed.restarts + 1, len(_FEED_BACKOFF_S))
            self._restarts += 1
            await self._restart(feed)

    async def _restart(self, feed: Feed) -> None:
        assert self._session is not None
        before = {ear.track.id: ear.track for ear in feed.ears.values()}
        await feed.let_go(session_lives=not self._session.broken.is_set())
        try:
            await feed.attach(self._session, self._drops)
        except JanusRefusal:
            await self._end_feed(feed)
            return
        after = {ear.track.id: ear.track for ear in feed.ears.values()}
        self._tell_changes(self._users[feed.user], before, after)
        await feed.follow()

    def _tell_changes(self, user: User, before: Mapping[str, Track], after: Mapping[str, Track]) -> None:
        for track_id in before.keys() - after.keys():
            self._tell(EventKind.TRACK_REMOVED, user=user, track=before[track_id])
        for track_id in after.keys() - before.keys():
            self._tell(EventKind.TRACK_ADDED, user=user, track=after[track_id])

    # -- what is told

    def _find(self, track_id: str) -> tuple[Feed | None, Ear | None]:
        for feed in self._feeds.values():
            if (ear := feed.ear_of(track_id)) is not None:
                return feed, ear
        return None, None

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for feed in list(self._feeds.values()):
                await feed.tick()

    def _tell(self, kind: EventKind, *, user: User | None = None, track: Track | None = None, detail: str = "") -> None:
        if not self._closed:
            self._seq += 1
            self._events.put_nowait(ChannelEvent(self.now(), self._seq, kind, user, track, detail))

    def _end(self, why: str) -> None:
        self._tell(EventKind.CLOSED, detail=why)
        self._closed = True


def _addresses(address: JanusAddress, allow: _Networks) -> list[str]:
    """Blocks; for a thread. Raises ChannelUnreachable, AddressRefused, ChannelError."""
    try:
        return [str(found) for found in resolve(address.host, address.port, allow, timeout_s=_RESOLVE_WITHIN_S)]
    except FetchFailed as error:
        raise ChannelUnreachable(error.text) from error
    except AddressRefused as error:
        raise ChannelError(error.text) from error
