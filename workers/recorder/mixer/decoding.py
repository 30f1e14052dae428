"""One video track: its encoded units as they come, its newest picture as of a tick. Nothing it meets ever raises out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from models.vocabulary.channel import Unit
from models.vocabulary.ticks import TICKS_PER_S
from workers.recorder.mixer.tile import Picture

_DECODERS: Final = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d"}

#: Units kept undecoded: 20 s at 30 fps, far more than any playout delay; and their bytes.
_MAX_UNITS: Final = 600
_MAX_BYTES: Final = 32 << 20
#: A picture larger than this is an attack, not a camera.
_MAX_PIXELS: Final = 4096 * 2304
#: Failed units in a row after which a stream counts as undecodable.
_HOPELESS: Final = 30
#: … or key units: what follows a failed one is not tried, so units alone would take half a minute to add up.
_HOPELESS_KEYS: Final = 3
#: After a loss the last good picture is held until a key unit, but no longer than this.
_FREEZE_90K: Final = 2 * TICKS_PER_S
#: How often a key unit is asked for.
_ASK_90K: Final = TICKS_PER_S

OnWarning = Callable[[str], None]
WantKey = Callable[[str], None]


@dataclass(slots=True)
class VideoCounts:
    decoded: int = 0
    dropped: int = 0  # units that could not be used: before a key unit, after a loss, corrupt, one too many
    late: int = 0  # units older than the picture already drawn; decoded, since others refer to them


class VideoTrack:
    """Decodes in one thread. `picture` is the newest one as of the last `advance`."""

    def __init__(self, track: str, on_warning: OnWarning, want_key: WantKey) -> None:
        self.track = track
        self.picture: Picture | None = None
        self.counts = VideoCounts()
        self.last_unit_90k = 0
        self._on_warning, self._want_key = on_warning, want_key
        self._units: deque[tuple[int, Unit]] = deque()
        self._bytes = 0
        self._codec = ""
        self._context: VideoCodecContext | None = None
        self._frozen_since_90k: int | None = None  # waiting for a key unit after a loss
        self._drawn_90k: int | None = None
        self._asked_90k: int | None = None
        self._failures = 0  # in a row
        self._failed_keys = 0  # key units among them
        self._fruitless = 0  # units in a row that brought no picture
        self._reported = False

    def push(self, unit: Unit, at_90k: int) -> None:
        self.last_unit_90k = max(self.last_unit_90k, at_90k)
        if self._drawn_90k is not None and at_90k <= self._drawn_90k:
            self.counts.late += 1
        self._units.append((at_90k, unit))
        self._bytes += len(unit.data)
        while len(self._units) > _MAX_UNITS or self._bytes > _MAX_BYTES:
            self._drop_oldest()

    def advance(self, tick_90k: int) -> None:
        """Decode all units up to a tick."""
        self.hold(tick_90k)
        if self.picture is None and self._context is None:
            self._ask(tick_90k)
        self._drawn_90k = tick_90k

    def hold(self, until_90k: int) -> None:
        """Decode all units up to a tick; others that have come (a muted camera's black ones, say) are not looked at."""
        units = self._units
        while units and units[0][0] <= until_90k:
            at_90k, unit = units.popleft()
            self._bytes -= len(unit.data)
            if self._usable(unit, at_90k):
                self._decode(unit, at_90k)

    def skim(self, tick_90k: int) -> None:
        """Nobody looks at it: keep only what a later `advance` needs to show it at once."""
        keys = [i for i, (at_90k, unit) in enumerate(self._units) if unit.key and at_90k <= tick_90k]
        if keys and keys[-1] > 0:
            self._context = None  # it misses what is dropped here; the key unit opens another
            for _ in range(keys[-1]):
                self._take()

    def close(self) -> None:
        self._context = None
        self._units.clear()
        self.picture = None

    def _take(self) -> tuple[int, Unit]:
        at_90k, unit = self._units.popleft()
        self._bytes -= len(unit.data)
        return at_90k, unit

    def _drop_oldest(self) -> None:
        self._take()
        self.counts.dropped += 1
        self._context = None

    def _lost(self, at_90k: int) -> None:
        if self._frozen_since_90k is None:
            self._frozen_since_90k = at_90k

    def _usable(self, unit: Unit, at_90k: int) -> bool:
        if unit.codec != self._codec:
            self._codec, self._context = unit.codec, None
        elif not (unit.key or unit.gap) and self._context is not None and self._frozen_since_90k is None:
            return True  # nearly all
        if unit.key:
            self._frozen_since_90k = None
            if self._fruitless:
                self._context = None  # a corrupt unit can leave a decoder that refuses even whole ones for ever
            return True
        if unit.gap:
            self._lost(at_90k)
        waited = self._frozen_since_90k is not None and at_90k - self._frozen_since_90k <= _FREEZE_90K
        if self._context is None or waited:
            self.counts.dropped += 1
            self._ask(at_90k)
            return False
        return True

    def _decode(self, unit: Unit, at_90k: int) -> None:
        try:
            if self._context is None:
                self._context = _opened(unit.codec)
            frames = self._context.decode(Packet(unit.data))
        except (av.FFmpegError, KeyError, ValueError):
            self._failed(unit, at_90k)
            return
        if not frames:
            self._fruitless += 1
            return
        self._failures = self._failed_keys = self._fruitless = 0
        self.counts.decoded += len(frames)
        self.picture = Picture(frames[-1], unit.rotation % 360)

    def _failed(self, unit: Unit, at_90k: int) -> None:
        self.counts.dropped += 1
        self._failures += 1
        self._failed_keys += unit.key
        self._fruitless += 1
        self._lost(at_90k)
        self._ask(at_90k)
        hopeless = self._failures >= _HOPELESS or self._failed_keys >= _HOPELESS_KEYS or self._codec not in _DECODERS
        if hopeless and not self._reported:
            self._reported = True
            self._on_warning(f"track {self.track} cannot be decoded ({self._codec}) and is left out")

    def _ask(self, at_90k: int) -> None:
        if self._asked_90k is None or at_90k - self._asked_90k >= _ASK_90K:
            self._asked_90k = at_90k
            self._want_key(self.track)


def _opened(codec: str) -> VideoCodecContext:
    context = av.CodecContext.create(_DECODERS[codec], "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1  # libav's own threads cost 17-22 % more
    context.options = {"max_pixels": str(_MAX_PIXELS)}
    if codec == "av1":
        context.options |= {"max_frame_delay": "1"}
    return context
