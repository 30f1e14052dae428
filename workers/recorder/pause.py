"""A pause: between which slot edges a take is on hold. Pure: wishes and ticks in, edges out."""

from __future__ import annotations

from typing import Final

from models.vocabulary.ticks import TICKS_PER_S, slot_end_after, slot_ticks

#: So long before it goes on, a take listens again: a key unit and the sound's run-up have to come.
WARM_90K: Final = TICKS_PER_S // 2


class Pause:
    """Running: both None. Asked for: `from_90k` is an edge ahead. On hold: `is_held`, from that edge on. Going on:
    `until_90k` is the edge from which there is to be recorded again; once it has come, `over`.
    """

    def __init__(self, slice_s: int, *, wanted: bool) -> None:
        self._slice_s = slice_s
        self.wanted = wanted
        self.from_90k: int | None = None
        self.until_90k: int | None = None
        self.is_held = False

    @property
    def limit_90k(self) -> int | None:
        """Record up to here, not further."""
        return None if self.is_held else self.from_90k

    @property
    def is_on(self) -> bool:
        """Nothing is to be recorded now, and nobody knows until when."""
        return self.is_held and self.until_90k is None

    def resume(self, since_90k: int | None, now_90k: int) -> None:
        """A take begins in the middle of a recording, which has been on hold since an edge, or is to be."""
        if since_90k is None and not self.wanted:
            return
        self.from_90k = self._edge_at_or_after(now_90k) if since_90k is None else since_90k
        self.is_held = True
        if not self.wanted:
            self._go_on(now_90k)

    def want(self, on: bool, now_90k: int | None) -> None:
        """`now_90k` is None before the clock has a zero: then it is only kept in mind."""
        if on == self.wanted:
            return
        self.wanted = on
        if now_90k is None:
            return
        if not on:
            self._go_on(now_90k)
        elif self.is_held:
            self.until_90k = None  # it was to go on, and has not yet
        else:
            self.from_90k = slot_end_after(now_90k, self._slice_s)

    def reached(self) -> None:
        """All that lies before the edge is recorded."""
        assert self.from_90k is not None
        self.is_held = True

    def over(self) -> None:
        self.from_90k = self.until_90k = None
        self.is_held = False

    def _go_on(self, now_90k: int) -> None:
        if not self.is_held:
            self.from_90k = None
            return
        assert self.from_90k is not None
        edge_90k = slot_end_after(now_90k + WARM_90K, self._slice_s)
        self.until_90k = max(edge_90k, self.from_90k + slot_ticks(self._slice_s))

    def _edge_at_or_after(self, tick_90k: int) -> int:
        return slot_end_after(tick_90k - 1, self._slice_s)
