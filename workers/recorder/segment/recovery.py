"""What a killed recorder's `.part` still holds: the longest piece that any other tenure can go on from seamlessly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from models.vocabulary.ticks import AAC_TICKS, LEAD_90K, TICKS_PER_S, audio_frame_from, audio_tick, frame_tick
from workers.recorder.segment.encoding import Coded, stamped_audio, stamped_video
from workers.recorder.segment.slices import ClosedSlice, Part

#: PTS in mpegts have 33 bits: they wrap after 26.5 h.
_WRAP: Final = 1 << 33

#: What is being rewritten must not lie on what it is rewritten from: this process may be killed, too.
_SAVING: Final = ".saving"


@dataclass(frozen=True, slots=True)
class Kept:
    """So many packets of each stream, in file order, hold [start, end) whole."""

    start_90k: int
    end_90k: int
    pictures: int
    sounds: int


def contiguous(indices: Sequence[int]) -> list[int]:
    """Lengths of the prefixes, in coding order, that hold their frames without a gap."""
    if not indices:
        return []
    first = highest = indices[0]
    whole = []
    for count, n in enumerate(indices, start=1):
        if n < first:
            break
        highest = max(highest, n)
        if highest - first + 1 == count:
            whole.append(count)
    return whole


def kept(pictures: Sequence[int], sounds: Sequence[int], fps: int | None, *, audio: bool) -> Kept | None:
    """What to keep of frame numbers in coding order and AAC frame numbers, both known to be complete.

    The longest prefix whose pictures have no gap and whose sound reaches as far as they do.
    """
    sound_end = sounds[0] + max(contiguous(sounds), default=0) if sounds else 0
    if fps is None:
        count = sound_end - sounds[0] if sounds else 0
        return Kept(audio_tick(sounds[0]), audio_tick(sound_end), 0, count) if count else None
    for count in reversed(contiguous(pictures)):
        start, end = frame_tick(pictures[0], fps), frame_tick(pictures[0] + count, fps)
        if not audio:
            return Kept(start, end, count, 0)
        own = range(audio_frame_from(start), audio_frame_from(end))
        if not own or (sounds and sounds[0] == own[0] and own[-1] < sound_end):
            return Kept(start, end, count, len(own))
    return None


def recover(
    part: Path,
    out: Path,
    *,
    fps: int | None,
    audio: bool,
    near_90k: int = 0,
) -> ClosedSlice | None:
    """Write what a `.part` holds as the slice `out`, or None when it holds nothing whole. `part` is left alone.

    `near_90k`: where it is thought to begin, within 13 h, since PTS wrap. Sound alone does not say where its slice
    begins: at `near_90k`, if its first frame is the first that starts there. The slice's end is where the next
    tenure's first frame stands, with no discontinuity between.
    """
    try:
        source = av.open(str(part))
    except (av.FFmpegError, OSError):
        return None  # not even its tables were written
    with source:
        video = source.streams.video[0] if source.streams.video and fps is not None else None
        sound = source.streams.audio[0] if source.streams.audio and audio else None
        if (fps is not None and video is None) or (fps is None and sound is None):
            return None
        pictures, sounds = _whole_packets(source, video, sound)
        frames = [_picture_index(_unwrapped(p, near_90k), fps) for p in pictures] if fps is not None else []
        heard = [round(_unwrapped(p, near_90k) / AAC_TICKS) for p in sounds]
        found = kept(frames, heard, fps, audio=audio)
        if found is None:
            return None
        if fps is None and audio_frame_from(near_90k) == audio_frame_from(found.start_90k):
            found = replace(found, start_90k=near_90k)
        return _rewritten(out, (video, sound), found, _stamped(found, pictures, frames, sounds, heard, fps))


def _whole_packets(
    source: InputContainer, video: VideoStream | None, sound: AudioStream | None
) -> tuple[list[Packet[Any]], list[Packet[Any]]]:
    """Packets with a time, less a torn one at the end: each says how long it is (`slices`)."""
    pictures: list[Packet[Any]] = []
    sounds: list[Packet[Any]] = []
    try:
        for packet in source.demux([stream for stream in (video, sound) if stream is not None]):
            if packet.pts is not None and not packet.is_corrupt:
                (pictures if packet.stream is video else sounds).append(packet)
    except av.FFmpegError:
        pass  # the torn end: what came before it is what there is
    return pictures, sounds


def _unwrapped(packet: Packet[Any], near_90k: int) -> int:
    tick = cast(int, packet.pts) - LEAD_90K
    return near_90k + (tick - near_90k + _WRAP // 2) % _WRAP - _WRAP // 2


def _picture_index(tick_90k: int, fps: int) -> int:
    return round(tick_90k * fps / TICKS_PER_S)


def _stamped(
    found: Kept,
    pictures: list[Packet[Any]],
    frames: list[int],
    sounds: list[Packet[Any]],
    heard: list[int],
    fps: int | None,
) -> Iterator[Coded]:
    coded = [stamped_audio(p, j) for p, j in zip(sounds[: found.sounds], heard, strict=False)]
    if fps is not None:
        kept_pictures = enumerate(zip(pictures[: found.pictures], frames, strict=False), start=frames[0])
        coded += [stamped_video(p, n, i, fps) for i, (p, n) in kept_pictures]
    return iter(sorted(coded, key=lambda c: (c.dts_90k, c.video)))


def _rewritten(
    out: Path,
    templates: tuple[VideoStream | None, AudioStream | None],
    found: Kept,
    frames: Iterator[Coded],
) -> ClosedSlice:
    new = Part(out, *templates, suffix=_SAVING)
    try:
        for frame in frames:
            new.mux(frame)
    except BaseException:
        new.leave()
        raise
    return new.close(found.start_90k, found.end_90k)
