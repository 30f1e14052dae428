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
PRIME_S: Final = 0.25
#: What is played is handed out so early.
EARLY_S: Final = 0.05
#: … and not before somebody hears it, so that its beginning is recorded; but for no longer than this.
HEARD_WITHIN_S: Final = 3.0
_LOOK_EVERY_S: Final = 0.02
#: Sound from before we came is not asked for; pictures are, to begin with a key unit.
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

    def start(self) -> None:
        threading.Thread(target=self._run, name="pull", daemon=True).start()

    def stop(self) -> None:
        """From any thread; `Over` is still told."""
        self._stopped.set()
        self.heard.set()
        self.way.stop()

    def _run(self) -> None:
        over = Over("it failed")
        try:
            opened = self.way.open()
            try:
                self._read(opened)
            finally:
                opened.container.close()
            over = Over(self.way.trouble() or "it has ended", complete=self.way.is_complete())
        except Exception as error:  # libav's, Python's, ours: whatever it is, only this source is over
            over = Over(in_words(error, self.way))
            log.debug("a source is over: %s", over.why)
        finally:
            self.way.close()
            self.tell(over)

    def _read(self, opened: Opened) -> None:
        taps, left_out = taps_of(opened.container)
        if not taps:
            raise StreamUndecodable("; ".join(left_out) or "there is neither sound nor picture in it")
        self.tell(Began({tap.kind: tap.codec for tap in taps}, left_out))
        if isinstance(opened.alignment, Played):
            self.heard.wait(HEARD_WITHIN_S)
        by_index = {tap.index: tap for tap in taps}
        placing = _Placing(opened.alignment, self._hand_out)
        for packet in opened.container.demux([opened.container.streams[index] for index in by_index]):
            if self._stopped.is_set():
                return
            if packet.size:
                tap = by_index[packet.stream_index]
                for tapped in tap.units(packet):
                    placing.take(_Held(tap, tapped, self.now()))
        placing.flush()

    def _hand_out(self, held: _Held, t: float, gap: bool, early: bool) -> None:
        while early and (left_s := t - EARLY_S - self.now()) > 0 and not self._stopped.is_set():
            self._stopped.wait(min(left_s, _LOOK_EVERY_S))
        tap, tapped = held.tap, held.tapped
        self.tell(
            Came(
                tap.kind,
                Unit(
                    track="",
                    codec=tap.codec,
                    data=tapped.data,
                    t=t,
                    key=tapped.key,
                    duration_s=tapped.duration_s,
                    gap=gap,
                    shown_later_s=tapped.shown_later_s,
                ),
            )
        )


class _Placing:
    """Units to their times; the first ones of a live source are held until it is known how late they are."""

    def __init__(self, alignment: Live | Played, hand_out: Callable[[_Held, float, bool, bool], None]) -> None:
        self._alignment = alignment
        self._hand_out = hand_out
        self._live = isinstance(alignment, Live)
        self._held: list[_Held] = []
        self._began: float | None = None
        self._gap = False

    def take(self, held: _Held) -> None:
        if self._began is None:
            self._began = held.at
        if isinstance(self._alignment, Live) and held.at - self._began < PRIME_S:
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
        assert self._began is not None
        if placed.t < self._began - _PAST_S and held.tap.kind is TrackKind.AUDIO:
            return
        self._hand_out(held, max(placed.t, self._began - _PAST_S), placed.broken, not self._live)
