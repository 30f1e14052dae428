"""Who came and went in an individual recording, as a channel would have told it: streams in, comings and events out. Pure.

What was recorded of a user says when he was there: from his first segment on, up to the end of the last one that no
long pause follows. What the recorder lost is no reason to send him away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from models.vocabulary.channel import EventKind, Track, TrackKind, TrackSource, User
from models.vocabulary.states import HoleState
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import TICKS_PER_S
from workers.recorder.merging.recorded import IndexedStream, Recorded, Segment
from workers.recorder.mixer.seen import HOLD_90K

#: Who has nothing recorded for longer was away; in a shorter pause his last picture is held, so he is there.
AWAY_90K: Final = HOLD_90K
#: A pause below this is none: edges between segments lie on milliseconds.
_NO_PAUSE_90K: Final = TICKS_PER_S // 10


@dataclass(frozen=True, slots=True)
class Coming:
    """A stream from one start of its sender's to the next pause: a track of the channel, in segments."""

    track: Track
    segments: tuple[Segment, ...]

    @property
    def start_90k(self) -> int:
        return self.segments[0].start_90k

    @property
    def end_90k(self) -> int:
        return self.segments[-1].end_90k


@dataclass(frozen=True, slots=True)
class Happening:
    at_90k: int
    kind: EventKind
    user: User | None = None
    track: Track | None = None

    @property
    def begins(self) -> bool:
        return self.kind in (EventKind.JOINED, EventKind.TRACK_ADDED)


def comings(recorded: Recorded) -> list[Coming]:
    """In order of time."""
    found = [
        Coming(_track(indexed.stream, n), run)
        for indexed in recorded.streams or ()
        for n, run in enumerate(_runs(indexed))
    ]
    return sorted(found, key=lambda coming: (coming.start_90k, coming.track.id))


def happenings(recorded: Recorded, found: Sequence[Coming]) -> list[Happening]:
    """In order of time; of several at once, endings first, and users in the order in which they first came."""
    told: list[Happening] = []
    for coming in found:
        told.append(Happening(coming.start_90k, EventKind.TRACK_ADDED, track=coming.track))
        told.append(Happening(coming.end_90k, EventKind.TRACK_REMOVED, track=coming.track))
    by_user = sorted(found, key=lambda coming: coming.track.user)
    for uid, mine in groupby(by_user, key=lambda coming: coming.track.user):
        for start_90k, end_90k in _presences(mine):
            told.append(Happening(start_90k, EventKind.JOINED, User(uid)))
            told.append(Happening(end_90k, EventKind.LEFT, User(uid)))
    rank = {user.uid: n for n, user in enumerate(recorded.users)}

    def order(it: Happening) -> tuple[int, bool, bool, int, str]:
        uid = it.user.id if it.user is not None else it.track.user if it.track is not None else ""
        second = (it.user is None) == it.begins  # a track comes after its user, and goes before him
        return it.at_90k, it.begins, second, rank.get(uid, len(rank)), uid

    return sorted(told, key=order)


def _runs(indexed: IndexedStream) -> Iterator[tuple[Segment, ...]]:
    segments = sorted(indexed.segments, key=lambda s: s.start_90k)
    if not segments:
        return
    run = [segments[0]]
    for before, after in pairwise(segments):
        if _paused(indexed, before.end_90k, after.start_90k):
            yield tuple(run)
            run = []
        run.append(after)
    yield tuple(run)


def _paused(indexed: IndexedStream, from_90k: int, to_90k: int) -> bool:
    """Whether its sender was away between, or sent nothing."""
    if to_90k - from_90k < _NO_PAUSE_90K:
        return False
    between = (hole for hole in indexed.holes if hole.start_90k < to_90k and hole.end_90k > from_90k)
    return any(hole.state is HoleState.PAUSED for hole in between)


def _presences(mine: Iterable[Coming]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for coming in sorted(mine, key=lambda coming: coming.start_90k):
        if found and coming.start_90k - found[-1][1] <= AWAY_90K:
            found[-1] = (found[-1][0], max(found[-1][1], coming.end_90k))
        else:
            found.append((coming.start_90k, coming.end_90k))
    return found


def _track(stream: Stream, n: int) -> Track:
    kind = TrackKind(stream.medium)
    plain = TrackSource.MICROPHONE if kind is TrackKind.AUDIO else TrackSource.CAMERA
    named = [part for part in stream.type.split("-")[1:] if part in set(TrackSource)]
    return Track(f"{stream.track}#{n}", stream.uid, kind, TrackSource(named[0]) if named else plain, "")
