"""The chronicle of a take: what happens in it, as facts of the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from models.vocabulary import journal
from models.vocabulary.states import HoleState
from models.vocabulary.streams import ALL, MIX
from models.vocabulary.ticks import TICKS_PER_S
from workers.recorder.zero import Zero

#: A later tenure's recorder has everybody's first key units by then.
WARM_90K: Final = 2 * TICKS_PER_S


class Chronicle:
    """`write` takes facts in order. A mixed recording is one track; of single streams each tells its own holes."""

    def __init__(self, write: Callable[[journal.Entry], None], *, mixes: bool) -> None:
        self._write = write
        self._mixes = mixes
        self._died_at_90k: int | None = None
        self._first_90k: int | None = None  # of a single streams' recording, until it is warm

    def goes_on_from(self, died_at_90k: int | None) -> None:
        """An earlier process of this spool got so far."""
        self._died_at_90k = died_at_90k

    def zero(self, zero: Zero) -> None:
        self._write(journal.Zero(t0_ms=zero.t0_ms, clock_id=zero.anchor.clock_id, zero_s=zero.anchor.zero_s))

    def first_frame(self, at_90k: int) -> None:
        """What lies between an earlier process's last frame and ours is lost: nobody else has captured it."""
        if not self._mixes:
            self._first_90k = at_90k
        if self._died_at_90k is None:
            self._write(journal.First(track=MIX if self._mixes else ALL, at_90k=at_90k))
        elif self._mixes and self._died_at_90k < at_90k:
            self.hole(MIX, self._died_at_90k, at_90k, "the recorder died", HoleState.LOST)

    def position(self, now_90k: int) -> None:
        """How far the recording clock has come; told again and again."""
        if self._first_90k is not None and now_90k - self._first_90k >= WARM_90K:
            self._first_90k = None
            self._write(journal.Warm(at_90k=now_90k))

    def hole(self, track: str, start_90k: int, end_90k: int, cause: str, state: HoleState) -> None:
        assert state in (HoleState.LOST, HoleState.PAUSED)
        self._write(journal.Gap(track=track, start_90k=start_90k, end_90k=end_90k, cause=cause, state=state))

    def hold_begins(self, at_90k: int) -> None:
        self._write(journal.Held(track=MIX, at_90k=at_90k))

    def hold_ends(self, start_90k: int, end_90k: int) -> None:
        """What lies between an earlier process's last frame and the hold is lost, and only that."""
        if self._died_at_90k is not None:
            if self._died_at_90k < start_90k:
                self.hole(MIX, self._died_at_90k, start_90k, "the recorder died", HoleState.LOST)
            self._died_at_90k = end_90k
        self._write(journal.Paused(track=MIX, start_90k=start_90k, end_90k=end_90k))

    def opened(self, track: str, start_90k: int, file: str, shape: str) -> None:
        """A slice of a single stream is being written."""
        self._write(journal.Opened(track=track, start_90k=start_90k, file=file, shape=shape))

    def closed(self, end_90k: int) -> None:
        """The take is over."""
        self._write(journal.Closed(end_90k=end_90k))
