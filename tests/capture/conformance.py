"""What every channel keeps to, whatever it is made of: one story, played in a room of each kind, and judged by what came.

A stage is a kind of channel with people who can come and go there. The story is given as steps, so that a script can
be compiled from it as well as it can be acted.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Literal, Protocol

import av

from models.vocabulary.channel import Caps, Channel, EventKind, Room, TrackKind, Unit
from tests.capture.kept import Kept, keeping
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

FPS = 15
SMALL = MediaPlan(width=160, height=90, fps=FPS, loop_s=2)
WIDE = MediaPlan(user_no=2, codec="h264", width=320, height=180, fps=FPS, loop_s=2)


@dataclass(frozen=True, slots=True)
class Step:
    at_s: float
    uid: str
    do: Literal["join", "leave", "mute", "unmute", "die", "lose", "lose_no_more"]
    plan: MediaPlan = SMALL


#: alice is there before us, stops her camera for a while, and dies without a word; bob comes, goes, and comes again as
#: another picture; carol's packets get lost.
STORY = (
    Step(0.0, "alice", "join"),
    Step(0.0, "carol", "join", MediaPlan(user_no=3, width=160, height=90, fps=FPS, loop_s=2)),
    Step(2.2, "bob", "join", MediaPlan(user_no=2, codec="vp8", width=160, height=90, fps=FPS, loop_s=2)),
    Step(3.0, "carol", "lose"),
    Step(4.0, "alice", "mute"),
    Step(5.5, "alice", "unmute"),
    Step(6.0, "bob", "leave"),
    Step(7.0, "bob", "join", WIDE),
    Step(8.0, "carol", "lose_no_more"),
    Step(8.6, "alice", "die"),
)
FIRST_JOINS_S, SECOND_JOINS_S, ENDS_S = 1.0, 3.5, 10.5
LOSS_PCT = 30.0
MUTED_S = (4.0, 5.5)
LOST_S = (3.0, 8.0)


class Stage(Protocol):
    caps: Caps
    exact_s: float  # how near a unit's time is to that of its source
    notices_death_within_s: float

    def begin(self) -> None:
        """Now is the story's zero."""

    def channel(self) -> Channel: ...

    def room(self, *, anchored: bool) -> Room: ...

    async def act(self, step: Step) -> None: ...

    def time_of(self, at_s: float) -> float:
        """A moment of the story on the recorder's clock."""
        ...

    async def sleep_until(self, at_s: float) -> None: ...


@dataclass
class Told:
    """What two recorders kept of the story."""

    stage: Stage
    first: Kept
    second: Kept | None
    agreed_s: float | None = None  # how far apart the two find one moment of the channel's clock
    unknown: list[bool] = field(default_factory=list)  # what requests about a track that is not there answered

    @property
    def recorders(self) -> list[Kept]:
        return [self.first, *([self.second] if self.second else [])]


async def tell(stage: Stage) -> Told:
    """Play the story with one recorder, or two where a room may have them."""
    for plan in {step.plan for step in STORY}:
        await asyncio.to_thread(_make, plan)
    stage.begin()
    acting = {step: asyncio.create_task(_act(stage, step)) for step in STORY}
    async with AsyncExitStack() as stack:
        await stage.sleep_until(FIRST_JOINS_S)
        await asyncio.gather(*(task for step, task in acting.items() if step.at_s < FIRST_JOINS_S))
        first = await stack.enter_async_context(keeping(stage.channel(), stage.room(anchored=False)))
        told = Told(stage, first, None)
        await first.channel.subscribe("nobody's", lambda _: None)
        await first.channel.unsubscribe("nobody's")
        told.unknown.append(await first.channel.request_keyframe("nobody's"))
        if stage.caps.joinable_many:
            await stage.sleep_until(SECOND_JOINS_S)
            told.second = await stack.enter_async_context(keeping(stage.channel(), stage.room(anchored=True)))
        await stage.sleep_until(ENDS_S)
        if told.second is not None:
            now = stage.time_of(ENDS_S)
            found = told.second.channel.time_of(first.channel.anchor(now))
            told.agreed_s = None if found is None else abs(found - now)
        await asyncio.gather(*acting.values())
    return told


def _make(plan: MediaPlan) -> None:
    """Encode ahead what the story needs, so that nobody is late for his own entrance."""
    AudioLoop(plan).prepare()
    for gop in range(0, plan.loop_frames, plan.gop_frames):
        VideoLoop(plan).run(gop)


async def _act(stage: Stage, step: Step) -> None:
    await stage.sleep_until(step.at_s)
    await stage.act(step)


def judge(told: Told) -> None:
    """Everything that a channel promises (models/vocabulary/channel.py)."""
    for kept in told.recorders:
        _events_are_in_order(kept)
        _units_are_in_order(kept)
        _pictures_decode(kept)
        _bob_came_again(kept)
        _the_camera_stopped(told.stage, kept)
        _the_loss_is_said(told.stage, kept)
        _the_dead_are_noticed(told.stage, kept)
    _times_are_true(told.stage, told.first)
    assert told.unknown == [False]
    if told.second is not None:
        _both_saw_the_same(told, told.second)


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


def _bob_came_again(kept: Kept) -> None:
    story = [e.kind for e in kept.events if e.user and e.user.id == "bob" and e.track is None]
    assert story == [EventKind.JOINED, EventKind.LEFT, EventKind.JOINED]
    before, after = kept.tracks_of("bob", TrackKind.VIDEO)
    assert (before.codec, after.codec) == ("vp8", "h264") and before.id != after.id
    assert set(sizes(kept.units[before.id])) == {(160, 90)}
    assert set(sizes(kept.units[after.id])) == {(320, 180)}
    came_at = max(e.t for e in kept.events if e.kind is EventKind.JOINED)
    pictures = kept.units[after.id]
    assert pictures[0].t - came_at < 1.0
    assert len(pictures) > 0.9 * FPS * (pictures[-1].t - pictures[0].t)


def _the_camera_stopped(stage: Stage, kept: Kept) -> None:
    from_t, to_t = stage.time_of(MUTED_S[0] + 0.3), stage.time_of(MUTED_S[1] - 0.1)
    pictures, sounds = kept.of("alice", TrackKind.VIDEO), kept.of("alice", TrackKind.AUDIO)
    assert not [u for u in pictures if from_t < u.t < to_t]
    heard_t = max(from_t, sounds[0].t)  # the second recorder may still have been coming
    assert len([u for u in sounds if heard_t <= u.t < to_t]) > 0.9 * (to_t - heard_t) * 50
    assert len([u for u in pictures if u.t > to_t]) > 1.5 * FPS, "and went on"
    assert kept.saw(EventKind.MUTED, "alice") == kept.saw(EventKind.UNMUTED, "alice") == stage.caps.mute_events


def _the_loss_is_said(stage: Stage, kept: Kept) -> None:
    """Where packets are sent again little is lost; where not, each hole is marked, and the picture comes back."""
    units = [u for u in kept.of("carol", TrackKind.VIDEO) if u.t > stage.time_of(LOST_S[0] + 0.7)]
    holes = [(a, b) for a, b in itertools.pairwise(units) if round((b.t - a.t) * FPS) > 1]
    assert all(b.gap for _, b in holes)
    after = [u for u in units if u.t > stage.time_of(LOST_S[1] + 1.0)]
    assert len(after) > 0.95 * FPS * (ENDS_S - LOST_S[1] - 1.2) and not any(u.gap for u in after)


def _the_dead_are_noticed(stage: Stage, kept: Kept) -> None:
    left = [e.t for e in kept.events if e.kind is EventKind.LEFT and e.user and e.user.id == "alice"]
    assert len(left) == 1 and left[0] < stage.time_of(8.6 + stage.notices_death_within_s)


def _times_are_true(stage: Stage, kept: Kept) -> None:
    """Picture n of a user was taken n/fps after he came: his units lie on that grid, and sound and picture agree."""
    pictures = [u for u in kept.units[kept.tracks_of("alice", TrackKind.VIDEO)[0].id] if u.t < stage.time_of(3.9)]
    offsets = [_off_grid(u.t - pictures[-1].t, 1 / FPS) for u in pictures[FPS:]]
    _near(stage, offsets)
    sounds = [u for u in kept.of("alice", TrackKind.AUDIO) if u.t < stage.time_of(3.9)][25:]
    _near(stage, [_off_grid(u.t - sounds[-1].t, 0.02) for u in sounds])


def _both_saw_the_same(told: Told, second: Kept) -> None:
    """What both received is the same bytes at the same time."""
    first = told.first
    assert told.agreed_s is not None and told.agreed_s < told.stage.exact_s
    for uid, kind in itertools.product(("alice", "carol"), TrackKind):
        theirs = {u.data: u.t for u in second.of(uid, kind) if not u.gap and len(u.data) > 40}
        ours = [u for u in first.of(uid, kind) if u.t > told.stage.time_of(SECOND_JOINS_S + 1)]
        apart = [_nearest(u, theirs[u.data]) for u in ours if u.data in theirs]
        if kind is TrackKind.VIDEO:
            assert len(apart) > 2.5 * FPS
            _near(told.stage, apart)


def _near(stage: Stage, errors_s: Sequence[float]) -> None:
    """Nearly always as exact as that; a busy machine may be late for a moment."""
    sizes_s = sorted(map(abs, errors_s))
    assert sizes_s[len(sizes_s) * 3 // 4] < stage.exact_s, sizes_s[-1]
    assert sizes_s[-1] < 5 * stage.exact_s


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
