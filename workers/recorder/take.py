"""A take: one tenure's capture of one channel, from joining it to the last closed slice.

The shell round what is made: it keeps the recording clock, follows who is there, and says when it is over. On hold it
stays in the channel and makes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.vocabulary import pipe
from models.vocabulary.channel import (
    Anchor,
    Channel,
    ChannelEvent,
    Closing,
    EventKind,
    Layer,
    Room,
    Track,
    TrackKind,
    Unit,
)
from models.vocabulary.errors import ChannelUnreachable
from models.vocabulary.spec import Mode, RecordingSpec
from models.vocabulary.ticks import frame_at_or_after, frame_tick, seconds, ticks
from models.vocabulary.timing import Clock
from workers.recorder.capture.reception import Change, Reception
from workers.recorder.capture.roster import Roster
from workers.recorder.chores import Chores
from workers.recorder.individual.ensemble import CUT_WAIT_90K, Before, Ensemble, OnHole, OnOpen, stream_name
from workers.recorder.individual.snapshots import OnSnapshot
from workers.recorder.mixer.director import doubts
from workers.recorder.mixer.gallery import Download, download
from workers.recorder.mixer.layers import first_layer
from workers.recorder.mixer.valve import Valve
from workers.recorder.pause import Pause
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.stretch import Stretch

log = logging.getLogger(__name__)

Reason = Literal["finish", "cut", "idle", "kicked", "token", "limit", "closed", "stdin"]
_CLOSES: Mapping[Closing, Reason] = {Closing.CLOSED: "closed", Closing.KICKED: "kicked", Closing.EXPIRED: "token"}
#: Once told to finish nobody waits for the playout delay: what left its sender before the end has this long to arrive.
LAST_UNITS_S = 0.25
#: So often we look who has fallen silent.
LOOK_EVERY_S = 0.5
#: Copied units have no grid; they are written in steps so long.
STEPS_A_SECOND = 10


@dataclass(frozen=True, slots=True)
class Zero:
    """The recording's zero: on the recorder's clock, on the wall, and on the channel's own clock."""

    at_s: float
    t0_ms: int
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Ending:
    reason: Reason
    head_90k: int


class Take:
    def __init__(
        self,
        begin: pipe.Begin,
        clock: Clock,
        channel: Channel,
        folder: Path,
        *,
        resume_at_90k: int,
        on_joined: Callable[[], None],
        on_zero: Callable[[Zero], None],
        on_first_frame: Callable[[int], None],
        on_slice: Callable[[ClosedSlice], None],
        on_warning: Callable[[str], None],
        on_stream: Callable[[Change, int], None] = lambda _change, _at_ms: None,
        on_open: OnOpen = lambda *_: None,
        on_hole: OnHole = lambda *_: None,
        on_held: Callable[[int], None] = lambda _at_90k: None,
        on_paused: Callable[[int, int], None] = lambda _start_90k, _end_90k: None,
        on_snapshot: OnSnapshot = lambda *_: None,
        before: Before | None = None,
        download: Download = download,
    ) -> None:
        self._begin = begin
        self._mixes = begin.spec.mode is Mode.MIX
        self._spec = begin.spec if self._mixes else _stepped(begin.spec)
        self._clock = clock
        self._channel = channel
        self._folder = folder
        self._resume_at_90k = resume_at_90k
        self._on_joined = on_joined
        self._on_zero = on_zero
        self._on_first_frame = on_first_frame
        self._on_slice = on_slice
        self._on_warning = on_warning
        self._download = download

        self._on_stream, self._on_open, self._on_hole = on_stream, on_open, on_hole
        self._on_held = on_held  # nothing is recorded from this edge on
        self._on_paused = on_paused  # nothing was to be recorded from this edge to that
        self._before = before
        self._on_snapshot = on_snapshot

        self._roster = Roster(begin.spec)
        self._reception = Reception()
        self._look_at_s = 0.0
        self._delay_s = begin.spec.playout_delay_ms / 1000
        self._zero: Zero | None = None
        self._made: Stretch | Ensemble | None = None
        self._head_90k = resume_at_90k
        self._pause = Pause(begin.spec.slice_s, wanted=begin.on_hold)
        self._valve = Valve(begin.spec.video.fps)
        self._layers: dict[str, Layer] = {}  # asked for, by track
        self._ending: Reason | None = None
        self._until_90k: int | None = None
        self._changed = asyncio.Event()
        self._chores = Chores(self._broke)
        self._broken: BaseException | None = None
        self._is_over = False
        self._synced = False  # it is known who is there
        self._opened_at_s = 0.0
        self._asked_at_s = 0.0  # when it was last looked whether anybody is there
        self.late_ms = 0.0
        self.last_user_90k = begin.last_user_90k

    # -- orders -------------------------------------------------------------------------------------------------

    def finish(self, reason: Reason = "finish") -> None:
        """Record what has been sent until now, not further."""
        if self._ending is None:
            self._ending = reason
            self._delay_s = min(self._delay_s, LAST_UNITS_S)
            if self._zero is not None:
                self._end_at(self._grid(max(self.position_90k, 0)))
            self._changed.set()

    def cut(self, at_90k: int) -> None:
        """Record up to a slot's edge; before the clock has a zero there is nothing to wait for."""
        if self._zero is None:
            self._ending = self._ending or "cut"
        if isinstance(self._made, Ensemble):
            self._made.cut(at_90k)
            at_90k += CUT_WAIT_90K  # key units are where they are
        self._end_at(at_90k)
        self._changed.set()

    def hold(self, on: bool) -> None:
        """Mixing only. Record nothing from the next slot's edge on, or record again from the next one on."""
        self._pause.want(on, None if self._zero is None else self.position_90k)
        self._prepare()
        self._changed.set()

    def _end_at(self, tick_90k: int) -> None:
        """Of several ends the first counts."""
        self._until_90k = tick_90k if self._until_90k is None else min(self._until_90k, tick_90k)

    def respec(self, spec: RecordingSpec) -> None:
        """A new wish for subscriptions and layout; what is recorded in (canvas, fps, slots) stays as it began."""
        before = {track.id: self._roster.takes(track) for track in self._roster.tracks()}
        self._spec = spec.model_copy(update={"video": self._spec.video, "slice_s": self._spec.slice_s})
        self._roster.respec(self._spec)
        if isinstance(self._made, Stretch):
            self._made.respec(self._spec)
        for track in self._roster.tracks():
            if self._roster.takes(track) != before[track.id]:  # a track that is asked for again may stumble
                self._follow(track)

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def position_90k(self) -> int:
        """Now, on the recording clock."""
        return 0 if self._zero is None else ticks(self._clock.now() - self._zero.at_s)

    @property
    def users(self) -> int:
        return self._roster.present

    @property
    def overloaded(self) -> bool:
        """Whether pictures are encoded with less care because the machine cannot keep up."""
        return self._valve.open

    # -- the take -----------------------------------------------------------------------------------------------

    async def run(self) -> Ending:
        begin = self._begin
        room = Room(
            address=begin.channel_address or begin.spec.channel,
            appid=begin.spec.appid,
            cname=begin.spec.cname,
            uid=begin.spec.uid,
            opened_ms=begin.opened_ms,
            credentials=begin.credentials,
            anchored=begin.anchor is not None,
        )
        await self._channel.open(room)
        self._opened_at_s = self._asked_at_s = self._clock.now()
        self._chores.do(self._follow_events())
        try:
            self._on_joined()
            self._resume_clock()
            while True:
                if self._made is not None and self._has_come():
                    await self._produce(self._made)
                if self._over() or self._until_90k is not None:
                    return Ending(self._ending or "cut", self._head_90k)
                await self._nap()
        finally:
            self._is_over = True
            if self._made is not None:
                self._drop(self._made)
            await self._chores.close()
            await self._channel.close()

    def _has_come(self) -> bool:
        """What a hold ends with waits for its edge: until then the hold may be wished back."""
        until_90k = self._pause.until_90k
        return until_90k is None or self.position_90k >= until_90k

    def _resume_clock(self) -> None:
        """A later tenure finds the zero that an earlier one has set."""
        if self._begin.t0_ms is None or self._ending is not None:
            return
        at_s = None
        if (point := self._begin.anchor) is not None:
            at_s = self._channel.time_of(Anchor(point.clock_id, point.zero_s))
        if at_s is None:
            at_s = self._clock.now() - (self._clock.wall_ms() - self._begin.t0_ms) / 1000
        self._zero = Zero(at_s, self._begin.t0_ms, self._channel.anchor(at_s))
        now_90k = max(self._resume_at_90k, self.position_90k)
        self._pause.resume(self._begin.held_90k, now_90k)
        if self._pause.from_90k is None:
            self._start(now_90k)
            return
        if self.last_user_90k is not None:  # nobody was idle on hold
            idle_90k = max(0, self._pause.from_90k - self.last_user_90k)
            self.last_user_90k = max(self.last_user_90k, self.position_90k - idle_90k)
        if self._begin.held_90k is None:
            self._on_held(self._pause.from_90k)
        self._prepare()

    def _prepare(self) -> None:
        """Have something ready for when a hold is to end, and nothing while nobody knows when."""
        if not self._pause.is_held:
            return
        until_90k = self._pause.until_90k
        if isinstance(self._made, Stretch) and self._made.first_90k != until_90k:
            self._drop(self._made)
        if self._made is None and until_90k is not None and self._ending is None:
            self._start(until_90k)
            for track in self._roster.tracks():
                if track.kind is TrackKind.VIDEO and self._roster.takes(track):
                    self._want_key(track.id)

    def _start(self, from_90k: int) -> None:
        assert self._zero is not None
        first_90k = self._grid(from_90k)
        if self._mixes:
            self._made = self._mixing(first_90k, self._zero.t0_ms)
        else:
            self._made = self._copying(first_90k, self._zero.t0_ms)
        if not self._pause.is_held:
            self._on_first_frame(first_90k)
        self._changed.set()

    def _drop(self, made: Stretch | Ensemble) -> None:
        """Of what was not finished nothing counts but what lies on disk."""
        self._made = None
        made.abort()
        self._let_go(made)

    def _let_go(self, made: Stretch | Ensemble) -> None:
        if isinstance(made, Stretch):
            self._chores.do(made.close())

    def _copying(self, first_90k: int, t0_ms: int) -> Ensemble:
        ensemble = Ensemble(
            self._spec,
            self._folder,
            first_90k=first_90k,
            name=stream_name(self._begin.sid, self._spec.cname, t0_ms, self._begin.epoch),
            on_slice=self._on_slice,
            on_open=self._on_open,
            on_hole=self._on_hole,
            on_warning=self._on_warning,
            want_key=self._want_key,
            before=self._before,
            on_snapshot=self._on_snapshot,
        )
        for track in self._roster.tracks():
            if self._roster.takes(track):
                ensemble.follow(track)
        return ensemble

    def _mixing(self, first_90k: int, t0_ms: int) -> Stretch:
        stretch = Stretch(
            self._spec,
            self._begin,
            self._clock,
            self._folder,
            first_90k=first_90k,
            t0_ms=t0_ms,
            download=self._download,
            on_slice=self._on_slice,
            on_warning=self._on_warning,
            want_key=self._want_key,
        )
        stretch.hurry(self._valve.open)
        for sentence in doubts(self._spec, self._channel.caps.sources):
            self._on_warning(sentence)
        return stretch

    async def _produce(self, made: Stretch | Ensemble) -> None:
        """Record up to the end, or to a hold's edge."""
        fps = self._spec.video.fps
        n = frame_at_or_after(made.first_90k, fps)
        try:
            if self._pause.is_held:
                self._goes_on(made.first_90k)
            while not self._ends_at(frame_tick(n, fps)):
                await self._due(frame_tick(n, fps))
                if self._ends_at(frame_tick(n, fps)):
                    break
                if isinstance(made, Stretch):
                    self._show(made, frame_tick(n, fps))
                elif made.handed_over:
                    break
                made.advance(frame_tick(n + 1, fps))
                n += 1
                self._over()
            self._is_over = self._pause.limit_90k is None
            self._head_90k = made.finish(frame_tick(n, fps))
        except BaseException:
            self._drop(made)
            raise
        self._made = None
        self._let_go(made)
        if self._pause.limit_90k is not None:
            self._pause.reached()
            self._on_held(self._head_90k)

    def _goes_on(self, first_90k: int) -> None:
        """The hold is over."""
        assert self._pause.from_90k is not None
        self._on_paused(self._pause.from_90k, first_90k)
        self._pause.over()
        self._on_first_frame(first_90k)

    def _ends_at(self, tick_90k: int) -> bool:
        return any(end is not None and tick_90k >= end for end in (self._until_90k, self._pause.limit_90k))

    async def _due(self, tick_90k: int) -> None:
        """Wait until a frame may be drawn: its time and the playout delay are over."""
        assert self._zero is not None
        due_s = self._zero.at_s + seconds(tick_90k) + self._delay_s
        if self._clock.now() < due_s:
            await self._clock.sleep_until(due_s)
            self.late_ms = 0.0
        else:
            await asyncio.sleep(0)  # behind: catch up, but let units and orders in
        self.late_ms = max(0.0, (self._clock.now() - due_s) * 1000)
        if isinstance(self._made, Stretch) and self._spec.has_video and self._valve.tick(self.late_ms):
            self._turned(self._made)

    def _turned(self, stretch: Stretch) -> None:
        """The valve has opened or closed."""
        stretch.hurry(self._valve.open)
        self._on_warning(
            "this machine cannot keep up: pictures are encoded with less care"
            if self._valve.open
            else "this machine keeps up again: pictures are encoded with all care"
        )

    def _show(self, stretch: Stretch, tick_90k: int) -> None:
        if not self._spec.has_video:
            return
        self._roster.look(tick_90k + ticks(self._delay_s))
        layers = stretch.show(self._roster.seen(), tick_90k)
        if layers is not None and self._channel.caps.layers:
            self._choose_layers(layers)

    def _choose_layers(self, wanted: Mapping[str, Layer]) -> None:
        """Ask anew for tracks whose cell needs another layer than they come in."""
        for track in self._roster.tracks():
            if wanted.get(track.id, self._layers.get(track.id)) != self._layers.get(track.id):
                self._layers[track.id] = wanted[track.id]
                self._follow(track)

    def _over(self) -> bool:
        """Whether the take is to end: told to, or nobody has been there for too long."""
        if self._broken is not None:
            raise self._broken
        now_s = self._clock.now()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            for change in self._reception.look(now_s):
                self._streams(change)
        since_s, self._asked_at_s = now_s - self._asked_at_s, now_s
        if self._pause.wanted:  # no idle time runs
            self._opened_at_s += since_s
            if self.last_user_90k is not None:
                self.last_user_90k += ticks(since_s)
        if self._roster.present:
            self._opened_at_s = now_s
            if self._zero is not None:
                self.last_user_90k = self.position_90k
        elif self._ending is None and not self._pause.wanted:
            idle_s = now_s - self._opened_at_s
            if self._zero is not None and self.last_user_90k is not None and self._synced:
                idle_s = seconds(self.position_90k - self.last_user_90k)
            if idle_s >= self._spec.max_idle_s:
                self.finish("idle")
        return self._ending is not None

    async def _nap(self) -> None:
        """Until something changes, or it is time to look whether anybody came."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout=0.25)
        except TimeoutError:
            return

    def _grid(self, tick_90k: int) -> int:
        fps = self._spec.video.fps
        return frame_tick(frame_at_or_after(tick_90k, fps), fps)

    # -- the channel --------------------------------------------------------------------------------------------

    def _broke(self, error: BaseException) -> None:
        """A chore's failure is the take's: a deaf take would record a frozen picture for ever."""
        self._broken = self._broken or error
        self._changed.set()

    async def _follow_events(self) -> None:
        async for event in self._channel.events():
            self._happened(event)
        if self._ending is None and not self._is_over:
            raise ChannelUnreachable("the channel fell silent without a word")

    def _happened(self, event: ChannelEvent) -> None:
        at_90k = 0 if self._zero is None else max(0, ticks(event.t - self._zero.at_s))
        tracks = self._roster.tracks()
        self._roster.happened(event, at_90k)
        if isinstance(self._made, Ensemble):
            for track in tracks:
                if track not in self._roster.tracks():
                    self._made.leave(track.id, at_90k)
            if event.kind is EventKind.MUTED and event.track is not None:
                self._made.pause(event.track.id, at_90k)
        match event.kind:
            case EventKind.TRACK_ADDED if event.track is not None:
                self._follow(event.track)
            case EventKind.TRACK_REMOVED if event.track is not None:
                self._streams(self._reception.removed(event.track.id))
            case EventKind.SYNCED:
                self._synced = True
            case EventKind.CLOSED:
                self.finish(_CLOSES[event.closing])
            case _:
                pass
        self._changed.set()

    def _streams(self, change: Change | None) -> None:
        if change is not None and self._zero is not None:
            self._on_stream(change, self._zero.t0_ms + round((change.at_s - self._zero.at_s) * 1000))

    def _follow(self, track: Track) -> None:
        wanted = self._roster.takes(track)
        if wanted:
            self._reception.added(track)
        else:
            self._streams(self._reception.removed(track.id))
        if isinstance(self._made, Ensemble):
            if wanted:
                self._made.follow(track)
            else:
                self._made.leave(track.id, max(0, self.position_90k))
        channel = self._channel
        layer = self._layers.setdefault(track.id, first_layer(self._spec)) if wanted else Layer.HIGH
        self._chores.do(channel.subscribe(track.id, self._unit, layer) if wanted else channel.unsubscribe(track.id))

    def _unit(self, unit: Unit) -> None:
        if self._is_over or (self._zero is None and (self._ending is not None or self._pause.wanted)):
            return  # nothing is recorded any more, or is to begin with
        if self._zero is None:
            late_ms = round((self._clock.now() - unit.t) * 1000)
            self._zero = Zero(unit.t, self._clock.wall_ms() - late_ms, self._channel.anchor(unit.t))
            self._on_zero(self._zero)
            self._start(0)
        at_90k = ticks(unit.t - self._zero.at_s)
        self._roster.picture(unit.track, at_90k)
        self._streams(self._reception.unit(unit.track, unit.t))
        if self._made is not None:
            self._made.push(unit, at_90k)

    def _want_key(self, track_id: str) -> None:
        self._chores.do(self._channel.request_keyframe(track_id))


def _stepped(spec: RecordingSpec) -> RecordingSpec:
    return spec.model_copy(update={"video": spec.video.model_copy(update={"fps": STEPS_A_SECOND})})
