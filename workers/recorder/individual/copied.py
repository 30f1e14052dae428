"""A copied stream: units in as they were sent, closed slices out. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import av
from av.audio.stream import AudioStream
from av.packet import Packet

from models.vocabulary.channel import TrackKind, Unit
from models.vocabulary.streams import Shape, Stream
from models.vocabulary.ticks import LEAD_90K, TICKS_PER_S, slot_ticks
from workers.recorder.individual.cutting import Cuts, Look, Stamps, Verdict, edge
from workers.recorder.individual.header import SUFFIXES, Header, Headers
from workers.recorder.segment.encoding import TICK, Coded
from workers.recorder.segment.slices import OnSlice, Part

_MAX_UNIT_BYTES: Final = 8 << 20
#: Units in a row that nothing can be begun with, after which the record says so.
_HOPELESS: Final = 300
#: Who has sent nothing for so long is not asked for key units.
_FLOWS_90K: Final = 2 * TICKS_PER_S


class Opens(Protocol):
    """Where the files of a stream lie, and who is told that one is being written."""

    def __call__(self, stream: Stream, start_90k: int, suffix: str, shape: str = "") -> Path: ...


@dataclass(slots=True)
class CopyCounts:
    copied: int = 0
    dropped: int = 0  # before a key unit, or not readable


class Copied:
    """One stream of one user. `push` may raise `DiskFull`; then only `abort` may follow."""

    def __init__(
        self,
        stream: Stream,
        kind: TrackKind,
        slice_s: int,
        opens: Opens,
        on_slice: OnSlice,
        *,
        on_warning: Callable[[str], None],
        want_key: Callable[[], None],
        from_90k: int,
    ) -> None:
        self.stream = stream
        self.counts = CopyCounts()
        self._video = kind is TrackKind.VIDEO
        self._cuts = Cuts(slot_ticks(slice_s), keyed=self._video, forced=True)
        self._stamps = Stamps()
        self._headers = Headers()
        self._header: Header | None = None
        self._opens, self._on_slice = opens, on_slice
        self._on_warning, self._want_key = on_warning, want_key
        self._part: Part | None = None
        self._from_90k = from_90k  # nothing may begin before
        self._tells_order = False  # units say themselves how much later than they are sent they are shown
        self._fruitless = 0
        self._heard_90k = from_90k - _FLOWS_90K

    @property
    def open(self) -> bool:
        return self._part is not None

    def push(self, unit: Unit, at_90k: int) -> None:
        self._heard_90k = max(self._heard_90k, at_90k)
        look = self._look(unit)
        verdict = Verdict.DROP
        if at_90k >= self._from_90k and len(unit.data) <= _MAX_UNIT_BYTES and unit.codec in SUFFIXES:
            key = unit.key and look is not None  # a key unit that cannot be read begins nothing
            verdict = self._cuts.judge(at_90k, key=key, look=look, size=len(unit.data))
        if verdict is Verdict.OPEN and unit.codec != "h264" and look is None and self._video:
            verdict = Verdict.ADD  # what is forced to begin without a key unit can be read in mpegts only
        match verdict:
            case Verdict.DROP:
                self._drop(unit)
                return
            case Verdict.OPEN:
                self._begin(look or self._cuts.look or Look(unit.codec), at_90k, len(unit.data))
            case Verdict.ADD:
                self._cuts.added(at_90k, len(unit.data))
        self._write(unit, at_90k)

    def look(self, now_90k: int) -> None:
        """Nothing more comes that lies before: close what its sender has left open, ask for what is missing."""
        if self._cuts.paused(now_90k):
            self.stop()
        if now_90k - self._heard_90k < _FLOWS_90K and self._cuts.wants_key(now_90k):
            self._want_key()

    def cut(self, unit: Unit, at_90k: int) -> bool:
        """Close the slice where this unit would begin another. False: it begins none, more must follow."""
        if self._part is not None and (unit.key or not self._video):
            self._close(self._cuts.ends(at_90k))
        return self._part is None

    def stop(self) -> int | None:
        """Close the slice behind its last unit. Where it ends; None when none was open."""
        if self._part is None:
            return None
        end_90k = self._cuts.end_90k
        self._close(end_90k)
        return end_90k

    def abort(self) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            part.leave()

    def _look(self, unit: Unit) -> Look | None:
        """How the stream looks from this unit on; None where it does not say."""
        if not self._video:
            return Look(unit.codec)
        if not unit.key or unit.codec not in SUFFIXES:
            return None
        header = self._headers.of(unit.codec, unit.data)
        if header is None:
            return None
        self._header = header
        return Look(unit.codec, header.width, header.height, unit.rotation % 360)

    def _begin(self, look: Look, at_90k: int, size: int) -> None:
        start_90k = max(edge(at_90k), self._from_90k)
        if self._part is not None:
            end_90k = self._cuts.ends(at_90k)
            self._close(end_90k)
            start_90k = max(start_90k, end_90k)
        suffix = SUFFIXES[look.codec]
        path = self._opens(self.stream, start_90k, suffix, _shape(look))
        video = self._header.stream if self._video and self._header is not None else None
        self._part = Part(path, video, None if self._video else _opus())
        self._stamps = Stamps()
        self._cuts.opened(start_90k, at_90k, look, size)

    def _write(self, unit: Unit, at_90k: int) -> None:
        assert self._part is not None
        self._tells_order |= unit.shown_later_s > 0
        if self._tells_order:
            pts, dts = self._stamps.told(at_90k, round(unit.shown_later_s * TICKS_PER_S))
        else:
            reordered = self._header is not None and self._header.reordered
            pts, dts = self._stamps.stamp(at_90k, reordered=reordered)
        packet = Packet(unit.data)
        packet.time_base = TICK
        packet.pts, packet.dts = LEAD_90K + pts, LEAD_90K + dts
        packet.is_keyframe = unit.key or not self._video
        if unit.duration_s is not None:
            packet.duration = round(unit.duration_s * TICKS_PER_S)
        self._part.mux(Coded(self._video, pts, dts, packet))
        self.counts.copied += 1
        self._fruitless = 0

    def _close(self, end_90k: int) -> None:
        part, look, start_90k = self._part, self._cuts.look, self._cuts.start_90k
        assert part is not None and look is not None and start_90k is not None
        self._part = None
        self._cuts.closed()
        self._from_90k = end_90k
        self._on_slice(replace(part.close(start_90k, end_90k), track=self.stream.track, shape=_shape(look)))

    def _drop(self, unit: Unit) -> None:
        self.counts.dropped += 1
        self._fruitless += 1
        if self._fruitless == _HOPELESS:
            self._on_warning(
                f"the {self.stream.type} of user {self.stream.uid} cannot be copied ({unit.codec}): left out"
            )


def _shape(look: Look) -> str:
    return str(Shape(look.width, look.height, look.rotation)) if look.width else ""


_OPUS: list[AudioStream] = []


def _opus() -> AudioStream:
    """The template of an Opus stream. What WebRTC sends says in itself how many channels it has; decoders give two."""
    if not _OPUS:
        container = av.open("/dev/null", "w", format="null")
        stream = container.add_stream("libopus", rate=48_000, layout="stereo")
        container.start_encoding()
        _OPUS.append(stream)
    return _OPUS[0]
