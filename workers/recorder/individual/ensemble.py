"""All streams of an individual recording: units and events in, closed slices and holes out. Knows no clock: driven by calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from models.vocabulary import keys
from models.vocabulary.channel import Track, TrackKind, Unit
from models.vocabulary.spec import RecordingSpec
from models.vocabulary.states import HoleState
from models.vocabulary.streams import Stream, stream_of
from models.vocabulary.ticks import TICKS_PER_S, slot_ticks
from workers.recorder.individual.copied import Copied
from workers.recorder.individual.snapshots import SUFFIX as JPEG
from workers.recorder.individual.snapshots import OnSnapshot, Snapshots
from workers.recorder.individual.transcoded import TAIL_90K, Transcoded
from workers.recorder.segment.slices import ClosedSlice

#: A sender whose units come so soon after the recorder's (second) coming was there all along.
THERE_90K: Final = 5 * TICKS_PER_S
#: At a hand-over, so long is waited for a key unit behind the edge.
CUT_WAIT_90K: Final = 3 * TICKS_PER_S
#: Units that wait for their time; more come only from a sender whose clock has run away.
_MAX_WAITING: Final = 5_000

DIED: Final = "the recorder died"
NOT_YET: Final = "he had not begun to send"
ABSENT: Final = "not there, or sent nothing"
LOST: Final = "what he sent was lost on its way"


class OnHole(Protocol):
    def __call__(self, track: str, start_90k: int, end_90k: int, cause: str, state: HoleState) -> None: ...


OnOpen = Callable[[str, int, str, str], None]  # track, first tick, name of the file that is being written, shape


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier process of this tenure has recorded: where each stream ends, and where that process died."""

    ends_90k: Mapping[str, int] = field(default_factory=dict)
    died_90k: int | None = None


@dataclass(slots=True)
class _Lane:
    track: Track
    stream: Stream
    voice: Copied | Transcoded | None = None
    waiting: deque[tuple[int, Unit]] = field(default_factory=deque)
    ends_90k: int | None = None  # it was unpublished or muted here
    gone: bool = False  # for good
    handed_over: bool = False


class Ensemble:
    """One tenure's streams, from `first_90k` on. `push` everything before a tick, then `advance` to it.

    `advance` and `finish` may raise `DiskFull`; then only `abort` may follow. Slices are named as the contract says.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        folder: Path,
        *,
        first_90k: int,
        name: Callable[[Stream, int, str], str],
        on_slice: Callable[[ClosedSlice], None],
        on_open: OnOpen,
        on_hole: OnHole,
        on_warning: Callable[[str], None],
        want_key: Callable[[str], None],
        before: Before | None = None,
        on_snapshot: OnSnapshot = lambda *_: None,
    ) -> None:
        self.spec = spec
        self._snapshots: Snapshots | None = None
        if spec.snapshots is not None and spec.has_video:
            self._snapshots = Snapshots(
                spec.snapshots.interval_s,
                lambda stream, at_90k: folder / name(stream, at_90k, JPEG),
                on_snapshot=on_snapshot,
                want_key=want_key,
            )
        self.position_90k = self.first_90k = first_90k
        self._folder, self._name = folder, name
        self._on_slice, self._on_open, self._on_hole = on_slice, on_open, on_hole
        self._on_warning, self._want_key = on_warning, want_key
        self._before = before or Before()
        self._lanes: dict[str, _Lane] = {}  # by the channel's track
        self._ends: dict[str, int] = {}  # of streams that this process has recorded, by the timeline's track
        self._lossy: set[str] = set()  # timeline tracks whose pause before the slice at hand is a loss
        self._cut_90k: int | None = None
        self.copied = self.dropped = 0

    # -- what happens -------------------------------------------------------------------------------------------

    def follow(self, track: Track) -> None:
        """A track is published, or subscribed to (again)."""
        lane = self._lanes.get(track.id)
        if lane is None or lane.gone:
            taken = [other.stream.track for other in self._lanes.values() if not other.gone]
            self._retire(lane)
            self._lanes[track.id] = _Lane(track, stream_of(track, taken))

    def pause(self, track_id: str, at_90k: int) -> None:
        """It was muted: what it sent before is recorded, and a slice ends with it."""
        if (lane := self._lanes.get(track_id)) is not None:
            lane.ends_90k = at_90k

    def leave(self, track_id: str, at_90k: int) -> None:
        """It was unpublished, or is not subscribed to any more."""
        if (lane := self._lanes.get(track_id)) is not None:
            lane.ends_90k, lane.gone = at_90k, True
            if self._snapshots is not None:
                self._snapshots.leave(track_id)

    def push(self, unit: Unit, at_90k: int) -> None:
        lane = self._lanes.get(unit.track)
        if lane is None or lane.gone:
            return
        if self._snapshots is not None and lane.track.kind is TrackKind.VIDEO:
            self._snapshots.push(lane.stream, unit, at_90k)
        if len(lane.waiting) >= _MAX_WAITING:
            lane.waiting.popleft()
            self.dropped += 1
        lane.waiting.append((at_90k, unit))

    # -- recording ----------------------------------------------------------------------------------------------

    def advance(self, to_90k: int) -> None:
        """Record all that lies before a tick."""
        for track_id, lane in list(self._lanes.items()):
            self._bring(lane, to_90k)
            if lane.gone and not lane.waiting and (lane.ends_90k is None or lane.ends_90k <= to_90k):
                self._retire(lane)
                del self._lanes[track_id]
        self.position_90k = max(self.position_90k, to_90k)
        if self._snapshots is not None:
            self._snapshots.advance(to_90k)

    def cut(self, at_90k: int) -> None:
        """Another tenure goes on behind a slot's edge: each stream ends with its first unit there that begins a slice."""
        self._cut_90k = at_90k

    @property
    def handed_over(self) -> bool:
        """Whether nothing behind the cut is waited for any more."""
        if self._cut_90k is None or self.position_90k < self._cut_90k + TAIL_90K:
            return False
        waited = self.position_90k >= self._cut_90k + CUT_WAIT_90K
        return waited or all(lane.handed_over or not _is_open(lane) for lane in self._lanes.values())

    def finish(self, end_90k: int) -> int:
        """Close everything before a tick. Answers where the last stream ends."""
        self.advance(end_90k)
        for lane in self._lanes.values():
            if isinstance(lane.voice, Transcoded):
                self._spoken(lane.voice, end_90k + TAIL_90K, lane)
                lane.voice.stop(end_90k if self._cut_90k is None else min(end_90k, self._cut_90k))
            self._retire(lane)
        self._lanes.clear()
        return max([self.first_90k, *self._ends.values()])

    def abort(self) -> None:
        """Let go of everything; the open slices' `.part` stay with what they hold."""
        for lane in self._lanes.values():
            if lane.voice is not None:
                lane.voice.abort()

    # -- how ----------------------------------------------------------------------------------------------------

    def _bring(self, lane: _Lane, to_90k: int) -> None:
        while lane.waiting and lane.waiting[0][0] < to_90k:
            at_90k, unit = lane.waiting.popleft()
            if lane.ends_90k is not None and at_90k >= lane.ends_90k and not lane.gone:
                self._end(lane)  # he is back
            self._sing(lane, unit, at_90k)
        match lane.voice:
            case Transcoded() as voice:
                edge = lane.ends_90k if self._cut_90k is None else self._cut_90k
                if edge is not None and to_90k >= edge + (TAIL_90K if self._cut_90k is not None else 0):
                    voice.stop(edge)
                    lane.handed_over = self._cut_90k is not None
                else:
                    voice.advance(to_90k if edge is None else min(to_90k, edge))
            case Copied() as voice if not lane.handed_over:
                voice.look(to_90k)
        if lane.ends_90k is not None and to_90k >= lane.ends_90k:
            self._end(lane)

    def _sing(self, lane: _Lane, unit: Unit, at_90k: int) -> None:
        if lane.handed_over:
            return
        voice = lane.voice = lane.voice or self._voice(lane, unit)
        if not voice.open:
            (self._lossy.add if unit.gap else self._lossy.discard)(lane.stream.track)
        if self._cut_90k is not None and at_90k >= self._cut_90k and isinstance(voice, Copied):
            lane.handed_over = voice.cut(unit, at_90k)
            if lane.handed_over:
                return
        voice.push(unit, at_90k)

    def _spoken(self, voice: Transcoded, until_90k: int, lane: _Lane) -> None:
        """What units behind an end say of the sound before it."""
        while voice.open and lane.waiting and lane.waiting[0][0] < until_90k:
            at_90k, unit = lane.waiting.popleft()
            voice.push(unit, at_90k)

    def _end(self, lane: _Lane) -> None:
        if isinstance(lane.voice, Transcoded):
            lane.voice.stop(lane.ends_90k)
        elif lane.voice is not None:
            lane.voice.stop()
        lane.ends_90k = None

    def _retire(self, lane: _Lane | None) -> None:
        if lane is None or lane.voice is None:
            return
        lane.voice.stop()
        self.copied += lane.voice.counts.copied
        self.dropped += lane.voice.counts.dropped
        lane.voice = None

    def _voice(self, lane: _Lane, unit: Unit) -> Copied | Transcoded:
        from_90k = max(self._ends.get(lane.stream.track, 0), self._before.ends_90k.get(lane.stream.track, 0))
        from_90k = max(self.first_90k, from_90k)
        from_90k += -from_90k % 90
        is_sound = lane.track.kind is TrackKind.AUDIO
        if is_sound and not (self.spec.stream_mode == "original" and unit.codec == "opus"):
            return Transcoded(
                lane.stream,
                self.spec,
                self._folder,
                self._opened,
                self._closed,
                on_warning=self._on_warning,
                from_90k=from_90k,
            )
        track_id = lane.track.id
        return Copied(
            lane.stream,
            lane.track.kind,
            self.spec.slice_s,
            self._opened,
            self._closed,
            on_warning=self._on_warning,
            want_key=lambda: self._want_key(track_id),
            from_90k=from_90k,
        )

    def _opened(self, stream: Stream, start_90k: int, suffix: str, shape: str = "") -> Path:
        path = self._folder / self._name(stream, start_90k, suffix)
        self._account(stream.track, start_90k)
        self._on_open(stream.track, start_90k, path.name, shape)
        return path

    def _closed(self, slice_: ClosedSlice) -> None:
        self._ends[slice_.track] = slice_.end_90k
        self._on_slice(slice_)

    def _account(self, track: str, start_90k: int) -> None:
        """Say what lies between the stream's last slice and this one."""
        end_90k = self._ends.get(track)
        if end_90k is not None:
            state, cause = (HoleState.LOST, LOST) if track in self._lossy else (HoleState.PAUSED, ABSENT)
            self._hole(track, end_90k, start_90k, cause, state)
            return
        self._ends[track] = start_90k
        ended_90k, died_90k, first_90k = self._before.ends_90k.get(track), self._before.died_90k, self.first_90k
        came_soon = start_90k - first_90k <= THERE_90K
        if ended_90k is not None:
            reach = slot_ticks(self.spec.slice_s) + THERE_90K
            was_there = died_90k is None or died_90k - ended_90k <= reach
            lost_to = (start_90k if came_soon else max(ended_90k, first_90k)) if was_there else ended_90k
            self._hole(track, ended_90k, lost_to, DIED, HoleState.LOST)
            self._hole(track, lost_to, start_90k, ABSENT, HoleState.PAUSED)
        elif first_90k == 0 or not came_soon:
            self._hole(track, first_90k, start_90k, NOT_YET, HoleState.PAUSED)

    def _hole(self, track: str, start_90k: int, end_90k: int, cause: str, state: HoleState) -> None:
        if start_90k < end_90k:
            self._on_hole(track, start_90k, end_90k, cause, state)


def _is_open(lane: _Lane) -> bool:
    return lane.voice is not None and lane.voice.open


def stream_name(sid: str, cname: str, t0_ms: int, epoch: int) -> Callable[[Stream, int, str], str]:
    """How this tenure's slices are called."""

    def name(stream: Stream, start_90k: int, suffix: str) -> str:
        return keys.stream_segment_name(sid, cname, stream, t0_ms, start_90k, epoch, suffix)

    return name
