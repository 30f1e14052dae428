"""The units of one publication, in order of time, from any moment on. Pure but for the cache of encoded media.

Unit n of a track lies at n / rate seconds of the script's time: flashes and beeps of all users fall on its whole
seconds, and a picture's number says when it was taken. A drifting user's clock stretches his rate.
"""

from __future__ import annotations

import zlib
from math import ceil, inf
from typing import Final, Protocol

from models.vocabulary.channel import TrackKind
from workers.recorder.capture.timeline import Publication, Span
from workers.synthetic.media import AUDIO_UNIT_S, UNITS_PER_S, AudioLoop, VideoLoop

#: (bytes, key, gap, rotation, codec, duration_s)
Content = tuple[bytes, bool, bool, int, str, float | None]
#: Requests for a key unit are answered at most so often: each answer costs the encoding of up to a GOP.
KEY_EVERY_S: Final = 0.25
_NOT_OPUS: Final = b"\xff\x00"  # RFC 6716 §3.2.5: code 3 with no frames is malformed


class Feed(Protocol):
    due_s: float  # of the next unit, on the script's time; infinite when there are no more

    def take(self) -> Content:
        """The unit that is due."""
        ...

    def want_key(self) -> None: ...

    def prepare(self) -> None:
        """Encode what the first unit needs. Blocks; for a thread."""
        ...


def feed_of(publication: Publication, from_s: float) -> Feed:
    return (_AudioFeed if publication.track.kind is TrackKind.AUDIO else _VideoFeed)(publication, from_s)


class _Numbered:
    """Walks over the numbers of the units that are sent."""

    def __init__(self, publication: Publication, from_s: float) -> None:
        self._spans = iter(publication.spans)
        self._speed = 1 + publication.drift_ppm * 1e-6
        self._seed = zlib.crc32(publication.track.id.encode())
        self._gap = False
        self.due_s = inf
        self._n = -1
        self._enter(next(self._spans, None), from_s)

    def _units_per_s(self, span: Span) -> float:
        raise NotImplementedError

    def _begin(self, span: Span) -> None:
        raise NotImplementedError

    def want_key(self) -> None:
        """Sound has no key units, or nothing but."""

    def _enter(self, span: Span | None, from_s: float) -> None:
        """Stand before the first unit that is sent at or after `from_s`."""
        while span is not None:
            rate = self._units_per_s(span) * self._speed
            first = max(0, ceil(max(from_s, span.from_s) * rate - 1e-6))
            self._end = ceil(span.to_s * rate - 1e-6) if span.to_s < inf else inf
            self._gap = self._gap or (span.stalled and from_s < span.to_s)
            if first < self._end and not (span.muted or span.stalled):
                self._span, self._rate, self._n = span, rate, first - 1
                self._begin(span)
                self._advance()
                return
            span = next(self._spans, None)
        self.due_s = inf

    def _advance(self) -> None:
        self._n += 1
        while self._n < self._end and self._span.loss_pct and self._is_lost(self._n):
            self._n += 1
            self._gap = True
        if self._n < self._end:
            self.due_s = self._n / self._rate
        else:
            self._enter(next(self._spans, None), self._span.to_s)

    def _is_lost(self, n: int) -> bool:
        return zlib.crc32(n.to_bytes(8, "big"), self._seed) % 10_000 < self._span.loss_pct * 100

    def _take_gap(self) -> bool:
        gap, self._gap = self._gap, False
        return gap


class _AudioFeed(_Numbered):
    def _units_per_s(self, span: Span) -> float:
        return UNITS_PER_S

    def _begin(self, span: Span) -> None:
        self._loop = AudioLoop(span.plan)

    def prepare(self) -> None:
        if self.due_s < inf:
            self._loop.prepare()

    def take(self) -> Content:
        body = _NOT_OPUS if self._span.corrupt else self._loop.unit(self._n).content
        gap = self._take_gap()
        self._advance()
        return body, True, gap, 0, "opus", AUDIO_UNIT_S


class _VideoFeed(_Numbered):
    def _units_per_s(self, span: Span) -> float:
        return span.plan.fps

    def _begin(self, span: Span) -> None:
        """A camera that starts, or starts again, sends a key unit first."""
        self._loop = VideoLoop(span.plan)
        self._run: tuple[bytes, ...] = ()
        self._run_first = 0

    def want_key(self) -> None:
        if self.due_s < inf and self._n - self._run_first >= KEY_EVERY_S * self._span.plan.fps:
            self._run = ()

    def prepare(self) -> None:
        if self.due_s < inf:
            self._run, self._run_first = self._loop.run(self._n), self._n

    def take(self) -> Content:
        at = self._n - self._run_first
        if at >= len(self._run):
            self._run, self._run_first, at = self._loop.run(self._n), self._n, 0
        body = self._run[at]
        plan, gap = self._span.plan, self._take_gap()
        if self._span.corrupt:
            body = _undecodable(plan.codec, len(body))
        self._advance()
        return body, at == 0, gap, plan.rotation, plan.codec, None


def _undecodable(codec: str, length: int) -> bytes:
    """As long as the real unit: an H.264 slice of noise without parameter sets, or VP8 with a broken start code."""
    noise = (b"\xa5\x5a\xc3\x3c" * (length // 4 + 1))[:length]
    return (b"\0\0\0\1\x65" if codec == "h264" else b"\x10\0\0\xff\xff\xff") + noise
