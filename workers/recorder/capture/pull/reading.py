"""One source, read by a thread of its own from opening to its end. What it has to say it tells through `tell`, in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from models.vocabulary.channel import TrackKind, Unit
from models.vocabulary.errors import StreamUndecodable
from workers.recorder.capture.pull.alignment import Live, Played
from workers.recorder.capture.pull.opening import Opened, Way, in_words
from workers.recorder.capture.pull.tapping import Tap, Tapped, taps_of

log = logging.getLogger(__name__)

#: The first units of a live source may come in a burst of what is past: so long is looked how late the latest one is.
PRIME_S: Final = 0.4
#: What is played is handed out so early: so long the next segment may be in coming without being late.
EARLY_S: Final = 2.0
#: … and not before somebody hears it, so that its beginning is recorded; but for no longer than this.
HEARD_WITHIN_S: Final = 3.0
_LOOK_EVERY_S: Final = 0.02
#: Handed out and not taken yet: a source that floods us is read no faster than it is recorded.
MOST_WAITING_BYTES: Final = 16 << 20
#: Sound from before we came is not recorded; pictures are, as of then, to begin with a key unit.
_PAST_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Began:
    """The source is open."""

    codecs: dict[TrackKind, str]
    left_out: list[str]  # why, of streams that are not taken


@dataclass(frozen=True, slots=True)
class Came:
    kind: TrackKind
    unit: Unit  # its track is for the channel to say
    reader: Reader = field(repr=False)


@dataclass(frozen=True, slots=True)
class Over:
    why: str
    complete: bool = False  # it was read to its end, and nothing more is to come


Said = Began | Came | Over


@dataclass(slots=True)
class _Held:
    tap: Tap
    tapped: Tapped
    at: float


@dataclass(slots=True)
class Reader:
    way: Way
    now: Callable[[], float]
    tell: Callable[[Said], None] = field(repr=False)
    heard: threading.Event = field(default_factory=threading.Event)  # somebody has subscribed to it
    _stopped: threading.Event = field(default_factory=threading.Event)
    _taken: threading.Condition = field(default_factory=threading.Condition)
    _waiting_bytes: int = 0
    _last_t: float = 0.0

    def start(self) -> None:
        threading.Thread(target=self._run, name="pull", daemon=True).start()

    def stop(self) -> None:
        """From any thread; `Over` is still told."""
        self._stopped.set()
        self.heard.set()
        self.way.stop()

    def taken(self, unit: Unit) -> None:
        """To be called for each unit that was told."""
        with self._taken:
            self._waiting_bytes -= len(unit.data)
            self._taken.notify()

    def _wait_for_room(self, size: int) -> None:
        with self._taken:
            while self._waiting_bytes > MOST_WAITING_BYTES and not self._stopped.is_set():
                self._taken.wait(_LOOK_EVERY_S)
            self._waiting_bytes += size

    def _run(self) -> None:
        over = Over("it failed")
        try:
            began = self.now()
            opened = self.way.open()
            try:
                self._read(opened, began)
            finally:
                opened.container.close()
            over = Over(self.way.trouble() or "it has ended", complete=self.way.is_complete())
        except Exception as error:  # libav's, Python's, ours: whatever it is, only this source is over
            over = Over(in_words(error, self.way))
            log.debug("a source is over: %s", over.why)
        finally:
            self.way.close()
            self.tell(over)

    def _read(self, opened: Opened, began: float) -> None:
        taps, left_out = taps_of(opened.container)
        if not taps:
            raise StreamUndecodable("; ".join(left_out) or "there is neither sound nor picture in it")
        self.tell(Began({tap.kind: tap.codec for tap in taps}, left_out))
        if isinstance(opened.alignment, Played):
            self.heard.wait(HEARD_WITHIN_S)
        by_index = {tap.index: tap for tap in taps}
        placing = _Placing(opened.alignment, began, self._hand_out)
        for packet in opened.container.demux([opened.container.streams[index] for index in by_index]):
            if self._stopped.is_set():
                return
            if packet.size:
                tap = by_index[packet.stream_index]
                for tapped in tap.units(packet):
                    placing.take(_Held(tap, tapped, self.now()))
        placing.flush()
        self._sleep_until(self._last_t if isinstance(opened.alignment, Played) else 0.0)

    def _sleep_until(self, t: float) -> None:
        while (left_s := t - self.now()) > 0 and not self._stopped.is_set():
            self._stopped.wait(min(left_s, _LOOK_EVERY_S))

    def _hand_out(self, held: _Held, t: float, gap: bool, early: bool) -> None:
        if early:
            self._sleep_until(t - EARLY_S)
        self._last_t = max(self._last_t, t)
        tap, tapped = held.tap, held.tapped
        unit = Unit(
            track="",
            codec=tap.codec,
            data=tapped.data,
            t=t,
            key=tapped.key,
            duration_s=tapped.duration_s,
            gap=gap,
            shown_later_s=tapped.shown_later_s,
        )
        self._wait_for_room(len(unit.data))
        self.tell(Came(tap.kind, unit, self))


class _Placing:
    """Units to their times; the first ones of a live source are held until it is known how late they are."""

    def __init__(
        self, alignment: Live | Played, began: float, hand_out: Callable[[_Held, float, bool, bool], None]
    ) -> None:
        self._alignment = alignment
        self._earliest_t = began - _PAST_S
        self._hand_out = hand_out
        self._live = isinstance(alignment, Live)
        self._held: list[_Held] = []
        self._first_at: float | None = None
        self._gap = False

    def take(self, held: _Held) -> None:
        if self._first_at is None:
            self._first_at = held.at
        if isinstance(self._alignment, Live) and held.at - self._first_at < PRIME_S:
            self._alignment.see(held.tapped.stamp_s, held.at)
            self._held.append(held)
            return
        self.flush()
        self._place(held)

    def flush(self) -> None:
        waited, self._held = self._held, []
        for held in waited:
            self._place(held)

    def _place(self, held: _Held) -> None:
        placed = self._alignment.place(held.tap.index, held.tapped.stamp_s, held.at)
        if placed.t < self._earliest_t and held.tap.kind is TrackKind.AUDIO:
            return
        self._hand_out(held, max(placed.t, self._earliest_t), placed.broken, not self._live)
