"""The replay channel: an individual recording as the room that it was recorded from. It says nothing that was not recorded.

For the virtual clock: files are read, and fetched, while time stands still, each when its first unit is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from heapq import merge
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Final

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
    Unit,
    User,
)
from models.vocabulary.ticks import TICKS_PER_S, seconds, ticks
from models.vocabulary.timing import Clock
from workers.recorder.capture.news import News
from workers.recorder.merging.cast import Coming, comings, happenings
from workers.recorder.merging.recorded import Recorded, Segment
from workers.recorder.merging.units import units_of

#: The file of a segment while it is read.
Opened = Callable[[Segment], AbstractContextManager[Path]]

CLOCK_ID: Final = "recorded"
#: Tick 0 lies so long after the opening: whoever is there from the first tick on is known by then.
ZERO_S: Final = 1.0
#: Units arrive so much after their time, so that whoever comes with them is subscribed to; and endings after the units.
_LAG_90K: Final = TICKS_PER_S // 1000

_Due = tuple[int, ChannelEvent | Unit | None]  # and from which tick on


class Replay:
    caps = Caps(
        joinable_many=False,
        hidden=True,
        encoded=True,
        keyframe_request=False,
        mute_events=False,
        layers=False,
        clock=ChannelClock.SCRIPTED,
    )

    def __init__(self, clock: Clock, recorded: Recorded, opened: Opened) -> None:
        self._clock = clock
        self._recorded = recorded
        self._opened = opened
        self._zero_t = 0.0
        self._units = 0
        self._sinks: dict[str, Sink] = {}
        self._news = News()
        self._player: asyncio.Task[None] | None = None

    async def open(self, room: Room) -> None:
        self._zero_t = self._clock.now() + ZERO_S
        self._news.tell(self._event(EventKind.SYNCED, -ticks(ZERO_S)))
        self._player = asyncio.create_task(self._play())
        self._player.add_done_callback(self._pass_on)

    def events(self) -> AsyncIterator[ChannelEvent]:
        return self._news.events()

    async def subscribe(self, track_id: str, sink: Sink, layer: Layer = Layer.HIGH) -> None:
        self._sinks[track_id] = sink

    async def unsubscribe(self, track_id: str) -> None:
        self._sinks.pop(track_id, None)

    async def request_keyframe(self, track_id: str) -> bool:
        return False  # what was recorded was recorded

    def anchor(self, t: float) -> Anchor:
        return Anchor(CLOCK_ID, t - self._zero_t)

    def time_of(self, anchor: Anchor) -> float | None:
        return anchor.zero_s + self._zero_t if anchor.clock_id == CLOCK_ID else None

    def stats(self) -> Mapping[str, float]:
        return {"units": self._units}

    async def close(self) -> None:
        if self._player is not None:
            self._player.cancel()
            await asyncio.gather(self._player, return_exceptions=True)
        self._sinks.clear()
        self._news.stop()

    # -- what is played -----------------------------------------------------------------------------------------

    async def _play(self) -> None:
        there = comings(self._recorded)
        with ExitStack() as stack:
            sent = [stack.enter_context(closing(self._sent(coming))) for coming in there]
            for due_90k, told in merge(self._said(there), *sent, key=itemgetter(0)):
                await self._clock.sleep_until(self._zero_t + seconds(due_90k))
                match told:
                    case ChannelEvent():
                        self._tell(told)
                    case Unit():
                        self._hand_out(told)
                    case _:
                        pass

    def _tell(self, event: ChannelEvent) -> None:
        self._news.tell(event)
        if event.kind is EventKind.TRACK_REMOVED and event.track is not None:
            self._sinks.pop(event.track.id, None)

    def _hand_out(self, unit: Unit) -> None:
        sink = self._sinks.get(unit.track)
        if sink is not None:
            unit.t += self._zero_t
            self._units += 1
            sink(unit)

    def _said(self, there: list[Coming]) -> list[_Due]:
        found: list[_Due] = []
        for it in happenings(self._recorded, there):
            due_90k = it.at_90k + (0 if it.begins else 2 * _LAG_90K)
            found.append((due_90k, self._event(it.kind, it.at_90k, it.user, it.track)))
        end_90k = self._recorded.end_90k
        found.append((end_90k, self._event(EventKind.CLOSED, end_90k)))
        return sorted(found, key=itemgetter(0))

    def _sent(self, coming: Coming) -> Generator[_Due, None, None]:
        yield coming.start_90k, None  # no file is opened before its time
        due_90k = 0
        lost = [False, *(a.end_90k < b.start_90k for a, b in pairwise(coming.segments))]
        for segment, lost_before in zip(coming.segments, lost, strict=True):
            yield max(due_90k, segment.start_90k), None
            with self._opened(segment) as path:
                for unit in units_of(path, coming.track.id, segment, lost_before=lost_before):
                    due_90k = max(due_90k, ticks(unit.t) + _LAG_90K)
                    yield due_90k, unit

    def _event(
        self, kind: EventKind, at_90k: int, user: User | None = None, track: Track | None = None
    ) -> ChannelEvent:
        return ChannelEvent(self._zero_t + seconds(at_90k), 0, kind, user, track)

    def _pass_on(self, task: asyncio.Task[None]) -> None:
        """What breaks in here is seen by whoever reads the events."""
        if not task.cancelled() and (error := task.exception()):
            self._news.fail(error)
