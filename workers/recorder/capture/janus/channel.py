"""The channel of Janus' VideoRoom (1.x). The recorder is no participant: nobody in the room sees it or hears of it.

Janus puts its own sender reports in the place of the publishers', all on its host's clock: that clock is the room's,
and two recorders of one room find the same zero on it. Who is there is read from the room's list; that a user's own
media ended is told at once. A broken connection is made again for as long as the recording wants it.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from workers.recorder.capture.janus.feed import Place
from workers.recorder.capture.janus.feeds import Feeds
from workers.recorder.capture.janus.hostclock import HostClock
from workers.recorder.capture.janus.participants import Participant, participants
from workers.recorder.capture.janus.session import NO_SUCH_ROOM, Handle, JanusRefusal, JanusSession
from workers.recorder.capture.news import News
from workers.webrtc import ice
from workers.webrtc.tap import Drops

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.5
#: Who has just come publishes in a moment: for so long he is looked for more often.
_LOOK_SOON_S: Final = 0.1
_SETTLES_S: Final = 2.0
_TICK_S: Final = 0.03
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_RESOLVE_WITHIN_S: Final = 3.0

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
        self._session: JanusSession | None = None
        self._control: Handle | None = None
        self._news = News()
        self._participants: dict[RoomId, Participant] = {}
        self._users: dict[str, User] = {}
        self._look = asyncio.Event()
        self._look_soon_until = float("-inf")
        self._time = HostClock(clock.now)
        self._feeds = Feeds(self._time, self._tell, self._look.set, drops)
        self._tasks: list[asyncio.Task[None]] = []
        self._reconnects = 0

    # -- the protocol

    async def open(self, room: Room) -> None:
        """Raises ChannelAddressInvalid, ChannelRefused, ChannelUnreachable, AddressRefused."""
        address = janus(room.address)
        token = room.credentials.get("token", "")
        self._address, self._users_by = address, address.users
        self._api_token = token if address.token == "api" else ""  # noqa: S105  (a choice, not a token)
        self._place = Place(address.room_of(room.cname), token if address.token == "pin" else "")  # noqa: S105  (as above)
        self._time.clock_id = f"janus:{address.host}:{address.port}"
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
        if room.anchored and (feed := next(iter(self._feeds), None)) is not None:
            # by whatever is published; what nobody listens to is switched off when somebody subscribes
            await feed.follow(even_unheard=True)
            await self._time.learned()

    def events(self) -> AsyncIterator[ChannelEvent]:
        return self._news.events()

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        if (found := self._feeds.find(track_id)) is not None:
            feed, ear = found
            ear.listen(sink, layer)
            await feed.follow()

    async def unsubscribe(self, track_id: str) -> None:
        if (found := self._feeds.find(track_id)) is not None and found[1].sink is not None:
            feed, ear = found
            ear.listen(None, ear.layer)
            await feed.follow()

    async def request_keyframe(self, track_id: str) -> bool:
        found = self._feeds.find(track_id)
        return found is not None and found[1].want_key()

    def anchor(self, t: float) -> Anchor:
        return self._time.anchor(t)

    def time_of(self, anchor: Anchor) -> float | None:
        return self._time.time_of(anchor)

    def stats(self) -> Mapping[str, float]:
        counts = self._feeds.counts()
        return {
            "lost": sum(count.lost for count in counts),
            "nacked": sum(count.nacked for count in counts),
            "plis": sum(count.plis for count in counts),
            "dropped_units": sum(count.dropped_units for count in counts),
            "reconnects": self._reconnects,
            "restarts": self._feeds.restarts,
        }

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._end("closed by the recorder")
        await self._drop_session()

    # -- the connection

    async def _connect(self) -> None:
        hosts = await self._clock.in_thread(lambda: _addresses(self._address, self._allow))
        self._session = await JanusSession.open(self._address, hosts, self._api_token)
        self._control = await self._session.attach(lambda _: None)

    async def _drop_session(self) -> None:
        session, self._session, self._control = self._session, None, None
        await asyncio.gather(*(feed.let_go(session_lives=False) for feed in self._feeds), return_exceptions=True)
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
            soon = self._clock.now() < self._look_soon_until
            async with asyncio.timeout(_LOOK_SOON_S if soon else _LOOK_EVERY_S):
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
        self._time.renew()
        for wait_s in steps(_BACKOFF_S):
            await self._clock.sleep_until(self._clock.now() + wait_s)
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
        assert self._session is not None
        listed = await self._list(must_exist=False)
        for feed in self._feeds:
            if feed.number in listed and listed[feed.number].publishes:
                await self._feeds.restart(self._session, feed)
            else:
                await self._feeds.end(feed)

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
        assert self._session is not None
        listed = await self._list(must_exist=must_exist)
        for feed in self._feeds:
            if feed.number not in listed or not listed[feed.number].publishes or feed.ended:
                await self._feeds.end(feed)
            elif feed.broken:
                await self._feeds.mend(self._session, feed)
        self._leave({number for number in self._participants if number not in listed})
        for number, participant in listed.items():
            self._join(number, participant)
            if participant.publishes and number not in self._feeds:
                await self._feeds.begin(self._session, self._place, number, self._users[participant.user])

    def _join(self, number: RoomId, participant: Participant) -> None:
        if number not in self._participants and not participant.publishes:
            self._look_soon_until = self._clock.now() + _SETTLES_S
        self._participants[number] = participant
        if participant.user not in self._users:
            user = self._users[participant.user] = User(participant.user, name=participant.name)
            self._tell(EventKind.JOINED, user=user)

    def _leave(self, gone: set[RoomId]) -> None:
        for number in gone:
            participant = self._participants.pop(number)
            if all(other.user != participant.user for other in self._participants.values()):
                self._tell(EventKind.LEFT, user=self._users.pop(participant.user))

    # -- what is told

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self._feeds.tick()

    def _tell(self, kind: EventKind, *, user: User | None = None, track: Track | None = None, detail: str = "") -> None:
        self._news.tell(ChannelEvent(self._clock.now(), 0, kind, user, track, detail))

    def _end(self, why: str) -> None:
        self._news.close(self._clock.now(), why)


def _addresses(address: JanusAddress, allow: _Networks) -> list[str]:
    """Blocks; for a thread. Raises ChannelUnreachable, AddressRefused, ChannelError."""
    try:
        return [str(found) for found in resolve(address.host, address.port, allow, timeout_s=_RESOLVE_WITHIN_S)]
    except FetchFailed as error:
        raise ChannelUnreachable(error.text) from error
    except AddressRefused as error:
        raise ChannelError(error.text) from error
