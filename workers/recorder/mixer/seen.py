"""Who was seen when, as values: what the layout knows of users. Times are ticks of the recording clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from models.vocabulary.channel import ClientKind, TrackSource
from models.vocabulary.ticks import TICKS_PER_S

#: How long the last picture of a stream that has stopped is held.
HOLD_90K: Final = 7 * TICKS_PER_S // 2

#: What a track keeps of its past: more than can lie between the newest event and the picture being drawn.
_SPANS_KEPT: Final = 16


class Stop(StrEnum):
    UNPUBLISHED = "unpublished"
    MUTED = "muted"


class Shown(StrEnum):
    """What a track shows at some time."""

    NOTHING = "nothing"  # never published by then: an audio-only user
    PICTURE = "picture"  # its newest picture
    HELD = "held"  # its last picture
    BACKGROUND = "background"  # of the user if he has one, else of the canvas
    CANVAS = "canvas"  # the background of the canvas, also where the user has one
    BLACK = "black"


@dataclass(frozen=True, slots=True)
class Span:
    """Pictures flowed in [from, until)."""

    from_90k: int
    until_90k: int | None = None
    stop: Stop = Stop.UNPUBLISHED


@dataclass(frozen=True, slots=True)
class SeenVideo:
    track: str
    spans: tuple[Span, ...] = ()  # in order of time, the last may be open
    source: TrackSource = TrackSource.CAMERA

    def started(self, at_90k: int) -> SeenVideo:
        """Published, or unmuted. Twice is as good as once."""
        if self.spans and self.spans[-1].until_90k is None:
            return self
        return replace(self, spans=(*self.spans, Span(at_90k))[-_SPANS_KEPT:])

    def stopped(self, at_90k: int, how: Stop) -> SeenVideo:
        """Unpublished, or muted."""
        if not self.spans or self.spans[-1].until_90k is not None:
            return self
        return replace(self, spans=(*self.spans[:-1], replace(self.spans[-1], until_90k=at_90k, stop=how)))

    def newest(self, t_90k: int) -> Span | None:
        """The last span that had begun by then."""
        return next((span for span in reversed(self.spans) if span.from_90k <= t_90k), None)


@dataclass(frozen=True, slots=True)
class SeenUser:
    """A user whose media is recorded: a host, not an audience. `order` numbers joinings; a rejoin is a new one."""

    uid: str
    order: int
    joined_90k: int
    left_90k: int | None = None
    client: ClientKind = ClientKind.NONE
    videos: tuple[SeenVideo, ...] = ()

    def present(self, t_90k: int) -> bool:
        return self.joined_90k <= t_90k and (self.left_90k is None or t_90k < self.left_90k)

    def video_at(self, t_90k: int) -> tuple[SeenVideo, Span] | None:
        """The track that stands for the user: one that flows before one that stopped, the newest before older ones."""
        return _standing(self.videos, t_90k)

    def source_at(self, source: TrackSource, t_90k: int, number: int = -1) -> tuple[SeenVideo, Span] | None:
        """The track of one source: the `number`-th that was published, or the one that stands for all of them."""
        videos = [v for v in self.videos if v.source is source and v.spans]
        if number >= 0:
            videos = sorted(videos, key=lambda v: v.spans[0].from_90k)[number : number + 1]
        return _standing(videos, t_90k)


def _standing(videos: Sequence[SeenVideo], t_90k: int) -> tuple[SeenVideo, Span] | None:
    candidates = [(v, span) for v in videos if (span := v.newest(t_90k)) is not None]
    return max(candidates, key=lambda c: _preference(c[1], t_90k), default=None)


def _preference(span: Span, t_90k: int) -> tuple[bool, int]:
    flows = span.until_90k is None or t_90k < span.until_90k
    return flows, span.from_90k if flows or span.until_90k is None else span.until_90k


def shown(span: Span | None, client: ClientKind, t_90k: int) -> Shown:
    """The 3.5 s rule (contract §4): held for 3.5 s, then the background. Clients of the web's 3.x hold nothing:
    unpublished, the canvas is seen, muted, it is black."""
    if span is None:
        return Shown.NOTHING
    if span.until_90k is None or t_90k < span.until_90k:
        return Shown.PICTURE
    if t_90k >= span.until_90k + HOLD_90K:
        return Shown.BACKGROUND
    if client is ClientKind.WEB3:
        return Shown.BLACK if span.stop is Stop.MUTED else Shown.CANVAS
    return Shown.HELD
