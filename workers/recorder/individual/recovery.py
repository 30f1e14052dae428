"""What a killed recorder's `.part` of a copied stream still holds, as a slice."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from models.vocabulary import journal
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import LEAD_90K, TICKS_PER_S
from workers.recorder.individual.cutting import TICKS_PER_MS, Stamps, edge
from workers.recorder.segment.encoding import TICK, Coded
from workers.recorder.segment.recovery import recover
from workers.recorder.segment.slices import ClosedSlice, Part

_WRAP: Final = 1 << 33
_SAVING: Final = ".saving"


def recover_stream(part: Path, out: Path, opened: journal.Opened) -> ClosedSlice | None:
    """Write what a `.part` holds as the slice `out`, or None when it holds nothing whole. `part` is left alone.

    It ends where the last unit begins that came: nothing proves that this one is complete.
    """
    if Stream.of(opened.track).medium == "audio" and part.name.removesuffix(".part").endswith(".ts"):
        found = recover(part, out, fps=None, audio=True, near_90k=opened.start_90k)
        return None if found is None else replace(found, track=opened.track)
    try:
        source = av.open(str(part))
    except (av.FFmpegError, OSError):
        return None  # not even its tables were written
    with source:
        return _copied(source, out, opened)


def _copied(source: InputContainer, out: Path, opened: journal.Opened) -> ClosedSlice | None:
    streams = [s for s in source.streams if isinstance(s, VideoStream | AudioStream)]
    if not streams:
        return None
    stream = streams[0]
    units = _units(source, stream)
    if len(units) < 2:
        return None
    ticks = [tick_of(unit, opened.start_90k) for unit in units]
    end_90k = max(edge(ticks[-1]), edge(max(ticks[:-1])) + TICKS_PER_MS)
    reordered = ticks != sorted(ticks)
    is_video = isinstance(stream, VideoStream)
    templates = (stream, None) if isinstance(stream, VideoStream) else (None, stream)
    new = Part(out, *templates, suffix=_SAVING)
    stamps = Stamps()
    try:
        for unit, tick in zip(units[:-1], ticks, strict=False):
            pts, dts = stamps.stamp(tick, reordered=reordered)
            unit.time_base = TICK
            unit.pts, unit.dts = LEAD_90K + pts, LEAD_90K + dts
            new.mux(Coded(is_video, pts, dts, unit))
    except BaseException:
        new.leave()
        raise
    return replace(new.close(opened.start_90k, end_90k), track=opened.track, shape=opened.shape)


def _units(source: InputContainer, stream: VideoStream | AudioStream) -> list[Packet[Any]]:
    found: list[Packet[Any]] = []
    with suppress(av.FFmpegError):  # the torn end: what came before it is what there is
        found.extend(packet for packet in source.demux(stream) if packet.pts is not None)
    return found


def tick_of(unit: Packet[Any], near_90k: int) -> int:
    """On the recording's clock; 33 bits of it are in mpegts."""
    assert unit.time_base is not None
    tick = round(cast(int, unit.pts) * unit.time_base * TICKS_PER_S) - LEAD_90K
    return near_90k + (tick - near_90k + _WRAP // 2) % _WRAP - _WRAP // 2
