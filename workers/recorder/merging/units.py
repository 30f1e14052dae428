"""The units of one segment's file, as they were sent, at their times on the recording's clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from models.vocabulary.channel import Unit
from models.vocabulary.errors import StorageError
from models.vocabulary.ticks import TICKS_PER_S, seconds
from workers.recorder.individual.recovery import tick_of
from workers.recorder.merging.recorded import Segment

#: WebM rounds to milliseconds: what it says may be half a one late, and a picture that is late misses its frame.
_EARLY_90K: Final = TICKS_PER_S // 2000
_WEBM: Final = ".webm"
#: What segments are, and no more: a playlist in the place of one would have other files of this host read.
_ONLY: Final = {"format_whitelist": "mpegts,matroska,webm", "protocol_whitelist": "file"}


def units_of(path: Path, track_id: str, segment: Segment, *, lost_before: bool) -> Iterator[Unit]:
    """In the order in which they were sent, one in memory at a time; `t` is in seconds from the recording's zero.

    Raises `StorageError` on a file that cannot be read. A part that is damaged is a loss, as on the way.
    """
    gap = lost_before
    try:
        with av.open(str(path), options=_ONLY) as source:
            stream = next((s for s in source.streams if isinstance(s, VideoStream | AudioStream)), None)
            if stream is None:
                raise StorageError(f"{path.name} has neither pictures nor sound")
            codec, is_video = _codec(stream), isinstance(stream, VideoStream)
            early_90k = _EARLY_90K if is_video and path.suffix == _WEBM else 0
            for packet in source.demux(stream):
                if packet.pts is None:
                    continue
                if packet.is_corrupt:
                    gap = True
                    continue
                at_90k = max(tick_of(packet, segment.start_90k) - early_90k, segment.start_90k)
                is_key = packet.is_keyframe or not is_video
                turned = segment.rotation if is_video else 0
                yield Unit(track_id, codec, bytes(packet), seconds(at_90k), is_key, gap=gap, rotation=turned)
                gap = False
    except (av.FFmpegError, OSError) as error:
        raise StorageError(f"{path.name} cannot be read: {error.strerror}") from error


def _codec(stream: VideoStream | AudioStream) -> str:
    """As units name it: libav names decoders, and has several for some."""
    return stream.codec_context.codec.canonical_name
