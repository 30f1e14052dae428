"""What every channel keeps to, whatever it is made of: one story, played in a room of each kind, and judged by what came.

A stage is a kind of channel with people who can come and go there. The story is given as steps, so that a script can
be compiled from it as well as it can be acted.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import av

from models.vocabulary.channel import Caps, Channel, EventKind, Room, TrackKind, Unit
from tests.capture.kept import Kept, keeping
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

FPS = 15
SMALL = MediaPlan(width=160, height=90, fps=FPS, loop_s=2)
WIDE = MediaPlan(user_no=2, codec="h264", width=320, height=180, fps=FPS, loop_s=2)
LOSS_PCT = 30.0
#: What the story waits for is there by then, or never will be: the judge says what is missing.
WAITS_S = 20.0

Do = Literal["join", "leave", "mute", "unmute", "die", "lose", "lose_no_more", "record", "end"]


@dataclass(frozen=True, slots=True)
class Step:
    at_s: float
    uid: str  # nobody's where it is about recorders
    do: Do
    plan: MediaPlan = SMALL


#: alice is there before us, stops her camera for a while, and dies without a word; bob comes, goes, and comes again as
#: another picture; carol's packets get lost. A second recorder comes where a room may have two.
STORY = (
    Step(0.0, "alice", "join"),
    Step(0.0, "carol", "join", MediaPlan(user_no=3, width=160, height=90, fps=FPS, loop_s=2)),
    Step(1.0, "", "record"),
    Step(2.2, "bob", "join", MediaPlan(user_no=2, codec="vp8", width=160, height=90, fps=FPS, loop_s=2)),
    Step(3.0, "carol", "lose"),
    Step(3.5, "", "record"),
    Step(4.0, "alice", "mute"),
    Step(5.5, "alice", "unmute"),
    Step(6.0, "bob", "leave"),
    Step(7.0, "bob", "join", WIDE),
    Step(8.0, "carol", "lose_no_more"),
    Step(8.6, "alice", "die"),
    Step(10.5, "", "end"),
)
FIRST_JOINS, SECOND_JOINS = (step for step in STORY if step.do == "record")
MUTED = next(step for step in STORY if step.do == "mute")
UNMUTED = next(step for step in STORY if step.do == "unmute")
LOST = next(step for step in STORY if step.do == "lose")
LOST_NO_MORE = next(step for step in STORY if step.do == "lose_no_more")
BOB_LEAVES = next(step for step in STORY if step.do == "leave")
DIES = next(step for step in STORY if step.do == "die")
ENDS = STORY[-1]


class Stage(Protocol):
    caps: Caps
    exact_s: float  # how near a unit's time is to that of its source
    notices_death_within_s: float

    def begin(self) -> None:
        """Now is the story's zero."""

    def now(self) -> float:
        """On the recorder's clock."""
        ...

    def channel(self) -> Channel: ...

    def room(self, *, anchored: bool) -> Room: ...

    async def act(self, step: Step) -> None: ...

    async def reach(self, at_s: float) -> None:
        """That moment of the story. Where the people are real, a busy machine makes all that follows later."""

    async def until(self, true: Callable[[], bool], within_s: float) -> None:
        """Give what has happened time to come through; does nothing where that takes none."""

    def stalled_s(self, from_t: float, to_t: float) -> float:
        """For how long in between this process was kept from running: that is no channel's slowness."""
        ...

    def late_s(self) -> tuple[float, float]:
        """By how much it was late for what it had to do, most of the time and at the worst."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """When a step was taken, on the recorder's clock."""

    from_t: float
    to_t: float


@dataclass
class Told:
    """What the recorders kept of the story, and when it happened."""

    stage: Stage
    recorders: list[Kept] = field(default_factory=list)
    spans: dict[Step, Span] = field(default_factory=dict)
    agreed_s: float | None = None  # how far apart two recorders find one moment of the channel's clock
    unknown: list[bool] = field(default_factory=list)  # what requests about a track that is not there answered

    @property
    def first(self) -> Kept:
        return self.recorders[0]

    @property
    def shared_t(self) -> float:
        """From here on two recorders surely got the same."""
        return self.spans[SECOND_JOINS].to_t + 1.0

    def all_there(self) -> bool:
        return len(self.recorders) == (2 if self.stage.caps.joinable_many else 1)


async def tell(stage: Stage) -> Told:
    """Play the story with one recorder, or two where a room may have them."""
    for plan in {step.plan for step in STORY}:
        await asyncio.to_thread(_make, plan)
    stage.begin()
    told = Told(stage)
    joining: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        for step in STORY:
            await stage.until(partial(_is_ready, told, step), WAITS_S)
            await stage.reach(step.at_s)
            if step is FIRST_JOINS:
                await _record(told, step, stack)
                await _ask_for_nothing(told)
            elif step is SECOND_JOINS:
                if stage.caps.joinable_many:
                    joining.append(asyncio.create_task(_record(told, step, stack)))
            elif step is not ENDS:
                began_t = stage.now()
                await stage.act(step)
                told.spans[step] = Span(began_t, stage.now())
        await asyncio.gather(*joining)
        if len(told.recorders) > 1:
            now = stage.now()
            found = told.recorders[1].channel.time_of(told.first.channel.anchor(now))
            told.agreed_s = None if found is None else abs(found - now)
    return told


async def _record(told: Told, step: Step, stack: AsyncExitStack) -> None:
    stage, began_t = told.stage, told.stage.now()
    room = stage.room(anchored=step is SECOND_JOINS)
    kept = await stack.enter_async_context(keeping(stage.channel(), room))
    told.recorders.append(kept)
    told.spans[step] = Span(began_t, stage.now())


async def _ask_for_nothing(told: Told) -> None:
    channel = told.first.channel
    await channel.subscribe("nobody's", lambda _: None)
    await channel.unsubscribe("nobody's")
    told.unknown.append(await channel.request_keyframe("nobody's"))


def _is_ready(told: Told, step: Step) -> bool:
    """Whether everybody got of what happened so far what the judge will look at."""

    def pictures(uid: str, kept: Kept, after_t: float = 0.0) -> int:
        return sum(unit.t > after_t for unit in kept.of(uid, TrackKind.VIDEO))

    spans, everybody = told.spans, told.recorders
    if step is MUTED:
        return all(pictures("alice", kept) >= 2.2 * FPS for kept in everybody[:1])
    if step is BOB_LEAVES:
        return told.all_there() and all(pictures("bob", kept) >= FPS for kept in everybody)
    if step is DIES:
        both_t = max(spans[UNMUTED].to_t, told.shared_t if len(everybody) > 1 else 0.0)
        return all(pictures("alice", kept, both_t) >= 2.8 * FPS for kept in everybody)
    if step is ENDS:
        overdue = _took_s(told.stage, spans[DIES].to_t, told.stage.now()) > told.stage.notices_death_within_s
        settled_t, bobs = spans[LOST_NO_MORE].to_t + 1.0, spans[BOB_LEAVES].to_t
        return all(
            (overdue or kept.saw(EventKind.LEFT, "alice"))
            and pictures("carol", kept, settled_t) >= 1.3 * FPS
            and pictures("bob", kept, bobs) >= 2 * FPS
            for kept in everybody
        )
    return True


def _make(plan: MediaPlan) -> None:
    """Encode ahead what the story needs, so that nobody is late for his own entrance."""
    AudioLoop(plan).prepare()
    for gop in range(0, plan.loop_frames, plan.gop_frames):
        VideoLoop(plan).run(gop)


def judge(told: Told) -> None:
    """Everything that a channel promises (models/vocabulary/channel.py)."""
    for kept in told.recorders:
        _events_are_in_order(kept)
        _units_are_in_order(kept)
        _pictures_decode(kept)
        _bob_came_again(told.stage, kept)
        _the_camera_stopped(told, kept)
        _the_loss_is_said(told, kept)
        _the_dead_are_noticed(told, kept)
    _times_are_true(told)
    assert told.unknown == [False] and told.all_there()
    for second in told.recorders[1:]:
        _both_saw_the_same(told, second)


def _events_are_in_order(kept: Kept) -> None:
    events, kinds = kept.events, kept.kinds()
    assert [e.seq for e in events] == sorted({e.seq for e in events})
    assert all(a.t <= b.t + 1e-3 for a, b in itertools.pairwise(events[kinds.index(EventKind.SYNCED) :]))
    before = kinds[: kinds.index(EventKind.SYNCED)]
    assert kinds.count(EventKind.SYNCED) == 1 and set(before) <= {EventKind.JOINED, EventKind.TRACK_ADDED}
    there = {e.user.id for e in events[: len(before)] if e.user and e.kind is EventKind.JOINED}
    assert {"alice", "carol"} <= there <= {"alice", "bob", "carol"}
    present: set[str] = set()
    published: set[str] = set()
    for event in events:
        match event.kind:
            case EventKind.JOINED if event.user:
                assert event.user.id not in present
                present.add(event.user.id)
            case EventKind.LEFT if event.user:
                assert not any(kept.tracks[track].user == event.user.id for track in published), "tracks end first"
                present.remove(event.user.id)
            case EventKind.TRACK_ADDED if event.track:
                assert event.track.user in present and event.track.id not in published
                published.add(event.track.id)
            case EventKind.TRACK_REMOVED if event.track:
                published.remove(event.track.id)
            case _:
                pass


def _units_are_in_order(kept: Kept) -> None:
    for track in kept.tracks.values():
        units = kept.units[track.id]
        assert all(a.t < b.t for a, b in itertools.pairwise(units)), "time goes forward"
        assert {(u.track, u.codec) for u in units} <= {(track.id, track.codec)}
        if track.kind is TrackKind.VIDEO and units:
            assert units[0].key
        if track.kind is TrackKind.AUDIO:
            assert all(u.key and u.duration_s for u in units)


def _pictures_decode(kept: Kept) -> None:
    for track in kept.tracks.values():
        if track.kind is TrackKind.VIDEO and (units := kept.units[track.id]):
            assert len(sizes(units)) >= len(units) - 1


def _bob_came_again(stage: Stage, kept: Kept) -> None:
    story = [e.kind for e in kept.events if e.user and e.user.id == "bob" and e.track is None]
    assert story == [EventKind.JOINED, EventKind.LEFT, EventKind.JOINED]
    before, after = kept.tracks_of("bob", TrackKind.VIDEO)
    assert (before.codec, after.codec) == ("vp8", "h264") and before.id != after.id
    assert set(sizes(kept.units[before.id])) == {(160, 90)}
    assert set(sizes(kept.units[after.id])) == {(320, 180)}
    came_at = max(e.t for e in kept.events if e.kind is EventKind.JOINED)
    pictures = kept.units[after.id]
    assert _took_s(stage, came_at, pictures[0].t) < 1.0
    assert len(pictures) > 0.9 * FPS * (pictures[-1].t - pictures[0].t)


def _the_camera_stopped(told: Told, kept: Kept) -> None:
    from_t, to_t = told.spans[MUTED].to_t + 0.3, told.spans[UNMUTED].from_t - 0.1
    pictures, sounds = kept.of("alice", TrackKind.VIDEO), kept.of("alice", TrackKind.AUDIO)
    assert not [u for u in pictures if from_t < u.t < to_t]
    heard_t = max(from_t, sounds[0].t)  # the second recorder may still have been coming
    assert len([u for u in sounds if heard_t <= u.t < to_t]) > 0.9 * (to_t - heard_t) * 50
    assert len([u for u in pictures if u.t > to_t]) > 1.5 * FPS, "and went on"
    assert kept.saw(EventKind.MUTED, "alice") == kept.saw(EventKind.UNMUTED, "alice") == told.stage.caps.mute_events


def _the_loss_is_said(told: Told, kept: Kept) -> None:
    """Where packets are sent again little is lost; where not, each hole is marked, and the picture comes back."""
    units = [u for u in kept.of("carol", TrackKind.VIDEO) if u.t > told.spans[LOST].to_t + 0.7]
    holes = [(a, b) for a, b in itertools.pairwise(units) if round((b.t - a.t) * FPS) > 1]
    assert all(b.gap for _, b in holes)
    settled_t = told.spans[LOST_NO_MORE].to_t + 1.0
    after = [u for u in units if u.t > settled_t]
    assert len(after) >= 1.3 * FPS and _took_s(told.stage, settled_t - 1.0, after[0].t) < 1.2
    assert len(after) > 0.95 * FPS * (after[-1].t - after[0].t) and not any(u.gap for u in after)


def _the_dead_are_noticed(told: Told, kept: Kept) -> None:
    left = [e.t for e in kept.events if e.kind is EventKind.LEFT and e.user and e.user.id == "alice"]
    assert len(left) == 1
    assert _took_s(told.stage, told.spans[DIES].to_t, left[0]) < told.stage.notices_death_within_s


def _times_are_true(told: Told) -> None:
    """Picture n of a user was taken n/fps after he came: his units lie on that grid, and sound and picture agree."""
    kept, until_t = told.first, told.spans[MUTED].from_t - 0.1
    pictures = [u for u in kept.units[kept.tracks_of("alice", TrackKind.VIDEO)[0].id] if u.t < until_t]
    _near(told.stage, [_off_grid(u.t - pictures[-1].t, 1 / FPS) for u in pictures[FPS:]])
    sounds = [u for u in kept.of("alice", TrackKind.AUDIO) if u.t < until_t][25:]
    _near(told.stage, [_off_grid(u.t - sounds[-1].t, 0.02) for u in sounds])


def _both_saw_the_same(told: Told, second: Kept) -> None:
    """What both received is the same bytes at the same time."""
    assert told.agreed_s is not None and told.agreed_s < told.stage.exact_s
    for uid, kind in itertools.product(("alice", "carol"), TrackKind):
        theirs = {u.data: u.t for u in second.of(uid, kind) if not u.gap and len(u.data) > 40}
        ours = [u for u in told.first.of(uid, kind) if u.t > told.shared_t]
        apart = [_nearest(u, theirs[u.data]) for u in ours if u.data in theirs]
        if kind is TrackKind.VIDEO:
            assert len(apart) > 2.5 * FPS
            _near(told.stage, apart)


def _took_s(stage: Stage, from_t: float, to_t: float) -> float:
    return to_t - from_t - stage.stalled_s(from_t, to_t)


def _near(stage: Stage, errors_s: Sequence[float]) -> None:
    """Nearly always as exact as that; a busy machine may be late for a moment, and where it always is, so are the times."""
    often_s, worst_s = stage.late_s()
    sizes_s = sorted(map(abs, errors_s))
    assert sizes_s[len(sizes_s) * 3 // 4] < stage.exact_s + often_s, (sizes_s[-1], often_s)
    assert sizes_s[-1] < 5 * stage.exact_s + worst_s, worst_s


def _nearest(unit: Unit, t: float) -> float:
    """A synthetic user repeats himself every two seconds."""
    return abs(_off_grid(unit.t - t, SMALL.loop_s))


def _off_grid(elapsed_s: float, step_s: float) -> float:
    return elapsed_s - round(elapsed_s / step_s) * step_s


def sizes(units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Of the pictures that come out of a decoder, each."""
    decoder = av.CodecContext.create(units[0].codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return [(frame.width, frame.height) for frame in (*frames, *decoder.decode(None))]
