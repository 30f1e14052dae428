"""The channel whose users are URLs. Each has a task that keeps it open and a thread that reads it; one that hangs, ends or
never answers is nobody else's trouble, and is tried again for as long as it is wanted.

A user is there while his source is read. Times are those of arrival, on this host's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from models.vocabulary import pulls
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
    TrackKind,
    TrackSource,
    User,
)
from models.vocabulary.errors import ChannelAddressInvalid, ReelyardError
from models.vocabulary.pulls import Source
from models.vocabulary.timing import Clock
from net.connections import default_tls
from net.guard import resolve
from net.relay import Relay
from net.webfile import Web
from workers.recorder.capture.backoff import jittered
from workers.recorder.capture.pull.lane import Lane
from workers.recorder.capture.pull.opening import PLAYED_READ_S, FileWay, RelayWay, Way, WebWay
from workers.recorder.capture.pull.reading import Began, Came, Over, Reader, Said
from workers.recorder.capture.pull.redirects import NoRedirects
from workers.recorder.capture.unitwire import host_clock

log = logging.getLogger(__name__)

#: A start answers within 5 s: who is not there by then comes later.
SNAPSHOT_WITHIN_S: Final = 2.0
#: A source that is away for no longer keeps its user and his tracks.
GONE_AFTER_S: Final = 3.0
_BACKOFF_S: Final = (0.5, 20.0)
#: A source that was read for so long is tried again at once, should it break.
_GOOD_S: Final = 10.0
_RESOLVE_WITHIN_S: Final = 3.0
#: Of threads: those of sources that nobody wants any more may still be in a read that ends by its own time.
_THREADS: Final = 2 * pulls.MAX_USERS
_MOST_WARNINGS: Final = 10
_BEGINNINGS: Final = frozenset({EventKind.JOINED, EventKind.TRACK_ADDED})
_SOURCES: Final = {TrackKind.VIDEO: TrackSource.CAMERA, TrackKind.AUDIO: TrackSource.MICROPHONE}

_Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(slots=True)
class _Pulled:
    user: User
    url: str = field(repr=False)
    here: bool = False
    lanes: dict[TrackKind, Lane] = field(default_factory=dict)
    reader: Reader | None = None
    over: asyncio.Future[Over] | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # he is there, or known not to be
    keeping: asyncio.Task[None] | None = None
    leaving: asyncio.Task[None] | None = None
    warned: set[str] = field(default_factory=set)


class PullChannel:
    caps = Caps(
        joinable_many=True,
        hidden=True,
        encoded=True,
        keyframe_request=False,
        mute_events=False,
        layers=False,
        clock=ChannelClock.ARRIVAL,
        sources=frozenset(_SOURCES.values()),
    )

    def __init__(
        self,
        clock: Clock,
        allow_networks: _Networks,
        chance: Callable[[], float],
        *,
        snapshot_within_s: float = SNAPSHOT_WITHIN_S,
        gone_after_s: float = GONE_AFTER_S,
    ) -> None:
        self._clock = clock
        self._allow = allow_networks
        self._chance = chance
        self._snapshot_within_s = snapshot_within_s
        self._gone_after_s = gone_after_s
        self._clock_id = host_clock()
        self._events: asyncio.Queue[ChannelEvent] = asyncio.Queue()
        self._users: dict[str, _Pulled] = {}
        self._threads = asyncio.Semaphore(_THREADS)
        self._generations = itertools.count(1)
        self._chores: set[asyncio.Task[None]] = set()
        self._seq = 0
        self._told_t = float("-inf")
        self._synced = False
        self._later: list[ChannelEvent] = []  # what is no part of a snapshot, until that is complete
        self._closed = False
        self._units = self._gaps = self._reconnects = 0

    # -- the protocol

    async def open(self, room: Room) -> None:
        """Never fails for a source: who cannot be read now may be read later."""
        if room.address != pulls.SCHEME:
            raise ChannelAddressInvalid(f"{pulls.SCHEME} names nothing more: its users are told by the API")
        self.pull(room.pulls)
        settled = [asyncio.create_task(pulled.settled.wait()) for pulled in self._users.values()]
        if settled:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._snapshot_within_s):
                    await asyncio.gather(*settled)
        self._synced = True
        self._tell(EventKind.SYNCED)
        for event in self._later:
            self._put(event)

    async def events(self) -> AsyncIterator[ChannelEvent]:
        while True:
            event = await self._events.get()
            yield event
            if event.kind is EventKind.CLOSED:
                return

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        """There is one layer, and nobody to ask for a key unit: the pictures since the last one come first."""
        self._listen(track_id, sink)

    async def unsubscribe(self, track_id: str) -> None:
        self._listen(track_id, None)

    def _listen(self, track_id: str, sink: Sink | None) -> None:
        for pulled in self._users.values():
            for lane in pulled.lanes.values():
                if lane.track.id == track_id:
                    lane.listen(sink, self._clock.now())
                    _let_hear(pulled)

    async def request_keyframe(self, track_id: str) -> bool:
        return False

    def anchor(self, t: float) -> Anchor:
        return Anchor(self._clock_id, t)

    def time_of(self, anchor: Anchor) -> float | None:
        return anchor.zero_s if anchor.clock_id == self._clock_id else None

    def stats(self) -> Mapping[str, float]:
        lanes = [lane for pulled in self._users.values() for lane in pulled.lanes.values()]
        return {
            "units": self._units + sum(lane.units for lane in lanes),
            "gaps": self._gaps + sum(lane.gaps for lane in lanes),
            "reconnects": self._reconnects,
        }

    async def close(self) -> None:
        for pulled in self._users.values():
            _let_go(pulled)
        self._synced = True
        self._tell(EventKind.CLOSED, detail="closed by the recorder")
        self._closed = True
        await asyncio.gather(*self._chores, return_exceptions=True)

    # -- who is wanted

    def pull(self, wanted: Mapping[str, str]) -> None:
        """These users from now on, by their URLs. A user whose URL is another one is read anew."""
        for uid, pulled in list(self._users.items()):
            if wanted.get(uid) != pulled.url:
                _let_go(pulled)
                self._leave(pulled)
                del self._users[uid]
        for uid, url in wanted.items():
            if uid not in self._users and len(self._users) < pulls.MAX_USERS:
                pulled = self._users[uid] = _Pulled(User(uid), url)
                pulled.keeping = self._do(self._keep(pulled))

    # -- one source

    async def _keep(self, pulled: _Pulled) -> None:
        """Read it again and again; ends with a source that is complete."""
        waits = jittered(self._chance, *_BACKOFF_S)
        while True:
            began = self._clock.now()
            over = await self._read(pulled)
            pulled.reader = None
            if over.complete:
                self._leave(pulled)
                pulled.settled.set()
                return
            self._absent(pulled)
            self._warn(pulled, over.why)
            pulled.settled.set()
            self._reconnects += 1
            if self._clock.now() - began > _GOOD_S:
                waits = jittered(self._chance, *_BACKOFF_S)
            await self._clock.sleep_until(self._clock.now() + next(waits))

    async def _read(self, pulled: _Pulled) -> Over:
        """Until it ends, why ever."""
        await self._threads.acquire()
        loop = asyncio.get_running_loop()
        try:
            way = await self._way(pulls.source(pulled.url, files=True))
        except BaseException as error:
            self._threads.release()
            if isinstance(error, ReelyardError):
                return Over(error.text)
            raise
        over: asyncio.Future[Over] = loop.create_future()
        pulled.over = over
        reader = pulled.reader = Reader(way, self._clock.now, partial(self._said, loop, pulled, over))
        reader.start()
        return await over

    async def _way(self, source: Source) -> Way:
        if source.scheme == "file":
            return FileWay(source)
        if source.scheme in ("http", "https"):
            origin = f"{source.scheme}://{source.authority}"
            return WebWay(source, Web(self._allow, read_s=PLAYED_READ_S, login=source.credentials, origin=origin))
        addresses = await self._clock.in_thread(
            lambda: resolve(source.host, source.port, self._allow, timeout_s=_RESOLVE_WITHIN_S)
        )
        relay = await Relay.open(
            addresses,
            source.port,
            tls=default_tls() if source.secure else None,
            name=source.host,
            watch=NoRedirects() if source.scheme.startswith("rtsp") else None,
        )
        return RelayWay(source, relay)

    def _said(self, loop: asyncio.AbstractEventLoop, pulled: _Pulled, over: asyncio.Future[Over], said: Said) -> None:
        """In the reader's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to hear it
            loop.call_soon_threadsafe(self._hear, pulled, over, said)

    def _hear(self, pulled: _Pulled, over: asyncio.Future[Over], said: Said) -> None:
        if isinstance(said, Came):
            said.reader.taken(said.unit)
        is_wanted = pulled.reader is not None and pulled.over is over
        match said:
            case Over():
                self._threads.release()
                if not over.done():
                    over.set_result(said)
            case Began() if is_wanted:
                self._began(pulled, said)
            case Came() if is_wanted and said.kind in pulled.lanes:
                pulled.lanes[said.kind].push(said.unit)
            case _:
                pass  # nobody wants it any more

    # -- who is there

    def _began(self, pulled: _Pulled, began: Began) -> None:
        if pulled.leaving is not None:
            pulled.leaving.cancel()
            pulled.leaving = None
        if not pulled.here:
            pulled.here = True
            self._tell(EventKind.JOINED, user=pulled.user)
        for kind, lane in list(pulled.lanes.items()):
            if began.codecs.get(kind) == lane.track.codec:
                lane.broke()
            else:
                self._end(pulled, kind)
        for kind, codec in began.codecs.items():
            if kind not in pulled.lanes:
                track_id = f"{pulled.user.id}/{kind}/{next(self._generations)}"
                track = Track(track_id, pulled.user.id, kind, _SOURCES[kind], codec)
                pulled.lanes[kind] = Lane(track)
                self._tell(EventKind.TRACK_ADDED, user=pulled.user, track=track)
        _let_hear(pulled)
        for why in began.left_out:
            self._warn(pulled, why)
        pulled.settled.set()

    def _absent(self, pulled: _Pulled) -> None:
        if pulled.here and pulled.leaving is None:
            pulled.leaving = self._do(self._leave_later(pulled))

    async def _leave_later(self, pulled: _Pulled) -> None:
        await self._clock.sleep_until(self._clock.now() + self._gone_after_s)
        pulled.leaving = None
        self._leave(pulled)

    def _leave(self, pulled: _Pulled) -> None:
        for kind in list(pulled.lanes):
            self._end(pulled, kind)
        if pulled.here:
            pulled.here = False
            self._tell(EventKind.LEFT, user=pulled.user)

    def _end(self, pulled: _Pulled, kind: TrackKind) -> None:
        lane = pulled.lanes.pop(kind)
        self._units += lane.units
        self._gaps += lane.gaps
        self._tell(EventKind.TRACK_REMOVED, user=pulled.user, track=lane.track)

    # -- telling

    def _warn(self, pulled: _Pulled, why: str) -> None:
        """Once of each kind: a camera that is off stays off for days."""
        if why in pulled.warned or len(pulled.warned) >= _MOST_WARNINGS:
            return
        pulled.warned.add(why)
        try:
            shown = str(pulls.source(pulled.url, files=True))
        except ReelyardError:
            shown = "his URL"
        text = f"user {pulled.user.id} at {shown}: {why}"
        log.warning("%s", text)
        self._tell(EventKind.WARNING, user=pulled.user, detail=text)

    def _tell(self, kind: EventKind, *, user: User | None = None, track: Track | None = None, detail: str = "") -> None:
        event = ChannelEvent(self._clock.now(), 0, kind, user=user, track=track, detail=detail)
        ends = any(it.kind is not EventKind.WARNING for it in self._later)  # then what begins belongs behind it
        if self._synced or (kind in _BEGINNINGS and not ends):
            self._put(event)
        else:
            self._later.append(event)

    def _put(self, event: ChannelEvent) -> None:
        if not self._closed:
            self._seq += 1
            self._events.put_nowait(replace(event, t=max(event.t, self._told_t), seq=self._seq))
            self._told_t = max(event.t, self._told_t)

    def _do(self, chore: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task


def _let_hear(pulled: _Pulled) -> None:
    if pulled.reader is not None and any(lane.heard for lane in pulled.lanes.values()):
        pulled.reader.heard.set()


def _let_go(pulled: _Pulled) -> None:
    """Nobody wants it any more; its thread ends when its read does."""
    for task in (pulled.keeping, pulled.leaving):
        if task is not None:
            task.cancel()
    if pulled.reader is not None:
        pulled.reader.stop()
        pulled.reader = None
