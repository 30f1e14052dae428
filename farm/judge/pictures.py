"""The pictures of a recording, decoded one after another, each with its place on the recording clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av

from farm.judge.transport import packets_of, unwrap
from models.vocabulary.ticks import LEAD_90K, seconds


def frames(paths: Sequence[Path]) -> Iterator[tuple[float, av.VideoFrame]]:
    """(seconds on the recording clock, frame), in order of display. Raises `ValueError` on a file that cannot be read."""
    near = 0
    for path in paths:
        for frame in _frames_of(path):
            if frame.pts is None:
                continue
            near = unwrap(frame.pts, near)
            yield seconds(near - LEAD_90K), frame


def _frames_of(path: Path) -> Iterator[av.VideoFrame]:
    """Nothing refers across the edge of a segment, so each is decoded by itself."""
    try:
        for packet, is_video in packets_of(path):
            if is_video:
                yield from packet.decode()
    except av.error.FFmpegError as error:
        raise ValueError(f"{path.name}: cannot be decoded: {error.strerror}") from error
