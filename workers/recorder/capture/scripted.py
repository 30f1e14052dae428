"""The scripted channel: a room whose scene is a file, with real encoded media, on either clock.

The scene's time zero is `Room.opened_ms` on the wall clock, so recorders in any process see the same thing at the same
time; a unit's time differs between them by nothing but the clocks' reading (< 1 ms), and by nothing at all through `Anchor`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from heapq import heappop, heappush, heapreplace
from math import inf
from pathlib import Path
from typing import Any, Final

from models.vocabulary.channel import (
    Anchor,
    Caps,
    ChannelClock,
    ChannelEvent,
    EventKind,
    Layer,
    Room,
    Sink,
    TrackKind,
    Unit,
)
from models.vocabulary.errors import ChannelError
from models.vocabulary.timing import Clock
from workers.recorder.capture.feeds import Feed, feed_of
from workers.recorder.capture.news import News
from workers.recorder.capture.script import Script, load
from workers.recorder.capture.timeline import Happening, Publication, Timeline, compile_script
from workers.synthetic.media import VideoLoop

#: The rest of a track's loop is encoded ahead so much faster than it is played.
_AHEAD: Final = 0.9


class ScriptedChannel:
    caps = Caps(
        joinable_many=True,
        hidden=True,
        encoded=True,
        keyframe_request=True,
        mute_events=True,
        layers=False,
        clock=ChannelClock.SCRIPTED,
    )

    def __init__(self, clock: Clock, script: Script | Path) -> None:
        self._clock = clock
        self._script = script
        self._timeline = Timeline((), {})
        self._zero_t = 0.0
        self._clock_id = ""
        self._next = 0  # of the happenings
        self._due: list[tuple[float, int, _Listener]] = []
        self._listeners: dict[str, _Listener] = {}
        self._order = 0
        self._news = News()
        self._player: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._closed = False
        self._units = 0
        self._late_s = 0.0

    async def open(self, room: Room) -> None:
        if self._player is not None:
            raise ChannelError("this channel is open already")
        script = load(self._script) if isinstance(self._script, Path) else self._script
        self._timeline = compile_script(script)
        self._clock_id = _clock_id(script, room)
        played_ms = self._clock.wall_ms() - room.opened_ms
        self._zero_t = self._clock.now() - max(0, played_ms) / 1000  # below 0: a clock went back since
        self._tell_snapshot()
        self._restart()

    def events(self) -> AsyncIterator[ChannelEvent]:
        return self._news.events()

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        publication = self._timeline.publications.get(track_id)
        if publication is None or self._is_over(publication):
            return
        await self.unsubscribe(track_id)
        listener = _Listener(track_id, feed_of(publication, self._now_s()), sink)
        await self._clock.in_thread(listener.feed.prepare)
        if self._is_over(publication):  # while its media was made
            return
        self._listeners[track_id] = listener
        self._push(listener)
        self._do(self._encode_ahead(publication))
        self._restart()

    async def unsubscribe(self, track_id: str) -> None:
        if listener := self._listeners.pop(track_id, None):
            listener.sink = None

    async def request_keyframe(self, track_id: str) -> bool:
        listener = self._listeners.get(track_id)
        if listener is None:
            return False
        listener.feed.want_key()
        return True

    def anchor(self, t: float) -> Anchor:
        return Anchor(self._clock_id, t - self._zero_t)

    def time_of(self, anchor: Anchor) -> float | None:
        return anchor.zero_s + self._zero_t if anchor.clock_id == self._clock_id else None

    def stats(self) -> Mapping[str, float]:
        return {"units": self._units, "late_s": self._late_s}

    async def close(self) -> None:
        self._closed = True
        tasks = [*self._chores, *([self._player] if self._player else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listeners.clear()
        self._due.clear()
        self._news.stop()

    def _is_over(self, publication: Publication) -> bool:
        return self._closed or publication.to_s <= self._now_s()

    def _do(self, chore: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        task.add_done_callback(self._pass_on)

    # -- the room's time ---------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return self._clock.now() - self._zero_t

    async def _play(self) -> None:
        """One task for the whole room: everything due, then one sleep to whatever is next."""
        now_s = self._now_s()
        while (next_s := self._deliver(now_s)) != inf:
            await self._clock.sleep_until(self._zero_t + next_s)
            now_s = max(self._now_s(), next_s)  # the way there and back may round to just before it

    def _restart(self) -> None:
        """Something may be due before the sleeping player would wake."""
        if self._player is not None:
            self._player.cancel()
        self._player = asyncio.create_task(self._play())
        self._player.add_done_callback(self._pass_on)

    def _pass_on(self, task: asyncio.Task[None]) -> None:
        """What breaks in here is seen by whoever reads the events."""
        if not task.cancelled() and (error := task.exception()):
            self._news.fail(error)

    def _deliver(self, now_s: float) -> float:
        """Hand out what is due; when the next thing is. Happenings come before units of the same time."""
        happenings, due = self._timeline.happenings, self._due
        while True:
            told_s = happenings[self._next].at_s if self._next < len(happenings) else inf
            unit_s = due[0][0] if due else inf
            if min(told_s, unit_s) > now_s:
                return min(told_s, unit_s)
            if told_s <= unit_s:
                self._happen(happenings[self._next])
            else:
                self._hand_out(due[0][2], now_s)

    def _happen(self, it: Happening) -> None:
        self._next += 1
        self._tell(it, self._zero_t + it.at_s)
        if it.kind is EventKind.TRACK_REMOVED and it.track:
            self._listeners.pop(it.track.id, None)
        elif it.kind is EventKind.CLOSED:
            self._closed = True
            self._next = len(self._timeline.happenings)
            self._due.clear()
            self._listeners.clear()

    def _hand_out(self, listener: _Listener, now_s: float) -> None:
        if listener.sink is None:
            heappop(self._due)
            return
        feed, at_s = listener.feed, listener.feed.due_s
        content, key, gap, rotation, codec, duration_s = feed.take()
        if feed.due_s < inf:
            heapreplace(self._due, (feed.due_s, listener.order, listener))
        else:
            heappop(self._due)
        self._units += 1
        self._late_s = now_s - at_s
        listener.sink(Unit(listener.track_id, codec, content, self._zero_t + at_s, key, duration_s, gap, rotation))

    def _push(self, listener: _Listener) -> None:
        self._order += 1
        listener.order = self._order
        if listener.feed.due_s < inf:
            heappush(self._due, (listener.feed.due_s, listener.order, listener))

    # -- who is told what --------------------------------------------------------------------------------------

    def _tell_snapshot(self) -> None:
        now_s = self._now_s()
        there = [] if self._timeline.ends_s <= now_s else self._timeline.snapshot(now_s)
        for it in [*there, Happening(now_s, EventKind.SYNCED)]:
            self._tell(it, self._zero_t + now_s)
        while self._next < len(self._timeline.happenings) and self._timeline.happenings[self._next].at_s <= now_s:
            self._next += 1
        if self._timeline.ends_s <= now_s:
            self._happen(self._timeline.happenings[-1])

    def _tell(self, it: Happening, t: float) -> None:
        self._news.tell(ChannelEvent(t, 0, it.kind, it.user, it.track, it.detail, it.closing))

    async def _encode_ahead(self, publication: Publication) -> None:
        """Encode the loops ahead of their playing, off the event loop, a GOP at a time."""
        if publication.track.kind is TrackKind.AUDIO:
            return
        for span in publication.spans:
            plan = span.plan
            if span.to_s > self._now_s():
                await self._clock.sleep_until(self._zero_t + span.from_s - plan.gop_s)
            next_gop = int(max(self._now_s(), span.from_s) / plan.gop_s) + 1
            for gop in range(next_gop, next_gop + plan.loop_s // plan.gop_s):
                if gop * plan.gop_s >= span.to_s or publication.track.id not in self._listeners:
                    break
                await self._clock.in_thread(partial(VideoLoop(plan).run, gop * plan.gop_frames))
                await self._clock.sleep_until(self._clock.now() + plan.gop_s * _AHEAD)


class _Listener:
    __slots__ = ("feed", "order", "sink", "track_id")

    def __init__(self, track_id: str, feed: Feed, sink: Sink) -> None:
        self.track_id = track_id
        self.feed = feed
        self.sink: Callable[[Unit], None] | None = sink
        self.order = 0


def _clock_id(script: Script, room: Room) -> str:
    digest = hashlib.sha256(script.model_dump_json().encode()).hexdigest()
    return f"script:{digest[:16]}:{room.opened_ms}"
