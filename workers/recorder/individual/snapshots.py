"""Snapshots: a JPEG of each user's picture, once in every interval of the recording's clock. Key units alone are decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av.packet import Packet
from PIL import Image

from models.vocabulary.channel import Unit
from models.vocabulary.streams import Stream
from models.vocabulary.ticks import TICKS_PER_S

SUFFIX: Final = ".jpg"
_QUALITY: Final = 85
_DECODERS: Final = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d"}
_MAX_PIXELS: Final = 4096 * 2304
#: A key unit is asked for so often, of who has sent something in the last second.
_ASK_90K: Final = TICKS_PER_S
_MAX_WAITING: Final = 64
#: By what a picture must be turned so that it stands upright, clockwise.
_TURNS: Final = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}

OnSnapshot = Callable[[Stream, int, Path], None]


@dataclass(slots=True)
class _Sitter:
    stream: Stream
    taken: int = -1  # the interval of his newest snapshot
    heard_90k: int = 0
    asked_90k: int = -_ASK_90K


class Snapshots:
    def __init__(
        self,
        interval_s: int,
        path: Callable[[Stream, int], Path],
        *,
        on_snapshot: OnSnapshot,
        want_key: Callable[[str], None],
    ) -> None:
        self._interval_90k = interval_s * TICKS_PER_S
        self._path, self._on_snapshot, self._want_key = path, on_snapshot, want_key
        self._sitters: dict[str, _Sitter] = {}
        self._waiting: deque[tuple[_Sitter, int, Unit]] = deque()

    def push(self, stream: Stream, unit: Unit, at_90k: int) -> None:
        sitter = self._sitters.setdefault(unit.track, _Sitter(stream))
        sitter.heard_90k = max(sitter.heard_90k, at_90k)
        if unit.key and at_90k // self._interval_90k > sitter.taken and len(self._waiting) < _MAX_WAITING:
            self._waiting.append((sitter, at_90k, unit))

    def leave(self, track_id: str) -> None:
        self._sitters.pop(track_id, None)

    def advance(self, now_90k: int) -> None:
        """Take one of those that are due, so that many users do not hold up everybody; ask for what they lack."""
        while self._waiting:
            sitter, at_90k, unit = self._waiting.popleft()
            if at_90k // self._interval_90k > sitter.taken and self._take(sitter, at_90k, unit):
                break
        for track_id, sitter in self._sitters.items():
            is_due = now_90k // self._interval_90k > sitter.taken
            flows = now_90k - sitter.heard_90k < TICKS_PER_S
            if is_due and flows and now_90k - sitter.asked_90k >= _ASK_90K:
                sitter.asked_90k = now_90k
                self._want_key(track_id)

    def _take(self, sitter: _Sitter, at_90k: int, unit: Unit) -> bool:
        image = picture(unit)
        if image is None:
            return False  # the next key unit may be better
        sitter.taken = at_90k // self._interval_90k
        path = self._path(sitter.stream, at_90k)
        half = path.with_suffix(".half")
        try:
            image.save(half, "JPEG", quality=_QUALITY)
            half.rename(path)
        except OSError:
            half.unlink(missing_ok=True)  # a full disk costs this one; the recording itself will say that it is full
            return False
        self._on_snapshot(sitter.stream, at_90k, path)
        return True


def picture(unit: Unit) -> Image.Image | None:
    """A key unit as an upright image; None where it cannot be decoded."""
    try:
        context = av.CodecContext.create(_DECODERS[unit.codec], "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        context.options = {"max_pixels": str(_MAX_PIXELS)}
        frames = [*context.decode(Packet(unit.data)), *context.decode(None)]
    except (av.FFmpegError, KeyError, ValueError):
        return None
    if not frames:
        return None
    image: Image.Image = frames[0].to_image()  # type: ignore[no-untyped-call]  # PyAV does not say what it returns
    turn = _TURNS.get(unit.rotation % 360)
    return image if turn is None else image.transpose(turn)
