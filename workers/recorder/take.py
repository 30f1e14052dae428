"""A take: one tenure's capture of one channel, from joining it to the last closed slice.

The shell round what is made: it keeps the recording clock, follows who is there, and says when it is over. On hold it
stays in the channel and makes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from models.vocabulary import pipe
from models.vocabulary.channel import Channel, ChannelEvent, EventKind, Pulling, Room, Track, TrackKind, Unit
from models.vocabulary.errors import ChannelUnreachable
from models.vocabulary.spec import Mode, RecordingSpec
from models.vocabulary.ticks import frame_at_or_after, frame_tick, ticks
from models.vocabulary.timing import Clock
from workers.recorder.capture.reception import Change
from workers.recorder.capture.roster import Roster
from workers.recorder.chores import Chores
from workers.recorder.ending import CLOSES, End, Ending, Reason
from workers.recorder.idleness import Idleness
from workers.recorder.individual.ensemble import CUT_WAIT_90K, Before, Ensemble, OnHole, OnOpen
from workers.recorder.individual.snapshots import OnSnapshot
from workers.recorder.making import Made, Making, stepped
from workers.recorder.mixer.gallery import Download, download
from workers.recorder.mixer.layers import first_layer
from workers.recorder.pace import Pace
from workers.recorder.pause import Pause
from workers.recorder.segment.slices import ClosedSlice
from workers.recorder.stretch import Stretch
from workers.recorder.subscriptions import Subscriptions
from workers.recorder.zero import Zero, first_zero, later_zero

#: Once told to finish nobody waits for the playout delay: what left its sender before the end has this long to arrive.
LAST_UNITS_S = 0.25


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
        self._spec = begin.spec if self._mixes else stepped(begin.spec)
        self._clock = clock
        self._channel = channel
        self._pulls: Mapping[str, str] = begin.secrets.pulls
        self._resume_at_90k = resume_at_90k
        self._on_joined = on_joined
        self._on_zero = on_zero
        self._on_first_frame = on_first_frame
        self._on_warning = on_warning
        self._on_stream = on_stream
        self._on_held = on_held  # nothing is recorded from this edge on
        self._on_paused = on_paused  # nothing was to be recorded from this edge to that
        self._roster = Roster(begin.spec)
        self._pace = Pace(clock, begin.spec.video.fps, begin.spec.playout_delay_ms / 1000)
        self._zero: Zero | None = None
        self._made: Made | None = None
        self._head_90k = resume_at_90k
        self._pause = Pause(begin.spec.slice_s, wanted=begin.on_hold)
        self._end = End()
        self._changed = asyncio.Event()
        self._chores = Chores(self._broke)
        self._subscriptions = Subscriptions(
            channel, self._roster, spawn=self._chores.do, on_unit=self._unit, on_change=self._streams
        )
        self._making = Making(
            begin,
            clock,
            folder,
            on_slice=on_slice,
            on_open=on_open,
            on_hole=on_hole,
            on_snapshot=on_snapshot,
            on_warning=on_warning,
            want_key=self._subscriptions.want_key,
            before=before,
            download=download,
        )
        self._broken: BaseException | None = None
        self._is_over = False
        self._idleness = Idleness(begin.last_user_90k)

    # -- orders -------------------------------------------------------------------------------------------------

    def finish(self, reason: Reason = "finish") -> None:
        """Record what has been sent until now, not further."""
        if self._end.reason is None:
            self._end.because(reason)
            self._pace.delay_s = min(self._pace.delay_s, LAST_UNITS_S)
            if self._zero is not None:
                self._end.at(self._grid(max(self.position_90k, 0)))
            self._changed.set()

    def cut(self, at_90k: int) -> None:
        """Record up to a slot's edge; before the clock has a zero there is nothing to wait for."""
        if self._zero is None:
            self._end.because("cut")
        if isinstance(self._made, Ensemble):
            self._made.cut(at_90k)
            at_90k += CUT_WAIT_90K  # key units are where they are
        self._end.at(at_90k)
        self._changed.set()

    def hold(self, on: bool) -> None:
        """Mixing only. Record nothing from the next slot's edge on, or record again from the next one on."""
        self._pause.want(on, None if self._zero is None else self.position_90k)
        self._prepare()
        self._changed.set()

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

    def pull(self, users: Mapping[str, str]) -> None:
        """Of a channel whose users are URLs: these by their uids from now on."""
        self._pulls = users
        if isinstance(self._channel, Pulling):
            self._channel.pull(users)

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def position_90k(self) -> int:
        """Now, on the recording clock."""
        return 0 if self._zero is None else self._zero.tick_of(self._clock.now())

    @property
    def last_user_90k(self) -> int | None:
        return self._idleness.last_user_90k

    @property
    def users(self) -> int:
        return self._roster.present

    @property
    def late_ms(self) -> float:
        return self._pace.late_ms

    @property
    def overloaded(self) -> bool:
        return self._pace.overloaded

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
            pulls=self._pulls,
            anchored=begin.anchor is not None,
        )
        await self._channel.open(room)
        self._idleness.came(self._clock.now())
        self._chores.do(self._follow_events())
        try:
            self._on_joined()
            self._resume_clock()
            while True:
                if self._made is not None and self._has_come():
                    await self._produce(self._made)
                if self._over() or self._end.until_90k is not None:
                    return self._end.ending(self._head_90k)
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
        if self._begin.t0_ms is None or self._end.reason is not None:
            return
        self._zero = later_zero(self._begin.t0_ms, self._begin.anchor, self._resume_at_90k, self._channel, self._clock)
        now_90k = max(self._resume_at_90k, self.position_90k)
        self._pause.resume(self._begin.held_90k, now_90k)
        if self._pause.from_90k is None:
            self._start(now_90k)
            return
        self._idleness.was_held(self._pause.from_90k, self.position_90k)
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
        if self._made is None and until_90k is not None and self._end.reason is None:
            self._start(until_90k)
            for track in self._roster.tracks():
                if track.kind is TrackKind.VIDEO and self._roster.takes(track):
                    self._subscriptions.want_key(track.id)

    def _start(self, from_90k: int) -> None:
        assert self._zero is not None
        first_90k = self._grid(from_90k)
        if self._mixes:
            stretch = self._making.stretch(self._spec, first_90k, self._zero.t0_ms, self._channel.caps.sources)
            stretch.hurry(self._pace.overloaded)
            self._made = stretch
        else:
            taken = [track for track in self._roster.tracks() if self._roster.takes(track)]
            self._made = self._making.ensemble(self._spec, first_90k, self._zero.t0_ms, taken)
        if not self._pause.is_held:
            self._on_first_frame(first_90k)
        self._changed.set()

    def _drop(self, made: Made) -> None:
        """Of what was not finished nothing counts but what lies on disk."""
        self._made = None
        made.abort()
        self._let_go(made)

    def _let_go(self, made: Made) -> None:
        if isinstance(made, Stretch):
            self._chores.do(made.close())

    async def _produce(self, made: Made) -> None:
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
        return any(end is not None and tick_90k >= end for end in (self._end.until_90k, self._pause.limit_90k))

    async def _due(self, tick_90k: int) -> None:
        """Wait until a frame may be drawn: its time and the playout delay are over."""
        assert self._zero is not None
        await self._pace.due(self._zero.time_of(tick_90k))
        if isinstance(self._made, Stretch) and self._spec.has_video and (turned := self._pace.turned()) is not None:
            self._made.hurry(self._pace.overloaded)
            self._on_warning(turned)

    def _show(self, stretch: Stretch, tick_90k: int) -> None:
        if not self._spec.has_video:
            return
        self._roster.look(tick_90k + ticks(self._pace.delay_s))
        layers = stretch.show(self._roster.seen(), tick_90k)
        if layers is not None:
            self._subscriptions.choose(layers)

    def _over(self) -> bool:
        """Whether the take is to end: told to, or nobody has been there for too long."""
        if self._broken is not None:
            raise self._broken
        now_s = self._clock.now()
        self._subscriptions.look(now_s)
        now_90k = None if self._zero is None else self.position_90k
        idle_s = self._idleness.look(now_s, now_90k, present=self._roster.present > 0, held=self._pause.wanted)
        if idle_s is not None and idle_s >= self._spec.max_idle_s:
            self.finish("idle")
        return self._end.reason is not None

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
        if self._end.reason is None and not self._is_over:
            raise ChannelUnreachable("the channel fell silent without a word")

    def _happened(self, event: ChannelEvent) -> None:
        at_90k = 0 if self._zero is None else max(0, self._zero.tick_of(event.t))
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
                self._subscriptions.gone(event.track.id)
            case EventKind.SYNCED:
                self._idleness.synced()
            case EventKind.WARNING:
                self._on_warning(event.detail)
            case EventKind.CLOSED:
                self.finish(CLOSES[event.closing])
            case _:
                pass
        self._changed.set()

    def _streams(self, change: Change) -> None:
        if self._zero is not None:
            self._on_stream(change, self._zero.wall_ms(change.at_s))

    def _follow(self, track: Track) -> None:
        wanted = self._subscriptions.follow(track, first_layer(self._spec))
        if isinstance(self._made, Ensemble):
            if wanted:
                self._made.follow(track)
            else:
                self._made.leave(track.id, max(0, self.position_90k))

    def _unit(self, unit: Unit) -> None:
        if self._is_over or (self._zero is None and (self._end.reason is not None or self._pause.wanted)):
            return  # nothing is recorded any more, or is to begin with
        if self._zero is None:
            self._zero = first_zero(unit.t, self._channel, self._clock)
            self._on_zero(self._zero)
            self._start(0)
        at_90k = self._zero.tick_of(unit.t)
        self._roster.picture(unit.track, at_90k)
        self._subscriptions.heard(unit)
        if self._made is not None:
            self._made.push(unit, at_90k)
