"""Where the slices of one copied stream begin and end, and how its units are stamped. Pure: ticks and flags, no libav.

Two recorders that hear the same units cut alike: a slice ends at the first key unit of a later slot, or where the
pictures begin to look different, whenever the recorder began. So a hand-over needs no cut that both agree on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from models.vocabulary.ticks import TICKS_PER_S

#: Edges lie on whole milliseconds, so that the name of a file says exactly where it begins.
TICKS_PER_MS: Final = 90
#: No unit for so long, and the sender has paused: his next unit begins a new slice.
PAUSE_90K: Final = 15 * TICKS_PER_S
#: A slice that waits for a key unit in vain is cut all the same (contract §3).
FORCED_90K: Final = 330 * TICKS_PER_S
FORCED_BYTES: Final = 50 << 20
#: An edge is overdue: a key unit is asked for so often.
ASK_90K: Final = TICKS_PER_S
#: What a single unit is taken to last.
LONE_UNIT_90K: Final = TICKS_PER_S // 30
LONGEST_UNIT_90K: Final = TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Look:
    """What a slice's header says of its units: another one needs another slice."""

    codec: str
    width: int = 0
    height: int = 0
    rotation: int = 0


class Verdict(Enum):
    DROP = auto()  # nothing can be decoded from it
    ADD = auto()
    OPEN = auto()  # it begins a slice


def edge(at_90k: int) -> int:
    """The edge of a slice that a unit begins."""
    return at_90k - at_90k % TICKS_PER_MS


@dataclass(slots=True)
class _Open:
    start_90k: int
    look: Look
    highest_90k: int
    lasts_90k: int = LONE_UNIT_90K  # as the newest unit did
    bytes: int = 0


class Cuts:
    """`keyed`: only key units can begin a slice (pictures); else any unit can (sound)."""

    def __init__(self, slot_90k: int, *, keyed: bool, forced: bool = False) -> None:
        self._slot_90k, self._keyed, self._forced = slot_90k, keyed, forced
        self._open: _Open | None = None
        self._asked_90k: int | None = None

    @property
    def start_90k(self) -> int | None:
        """Of the slice that is open."""
        return None if self._open is None else self._open.start_90k

    @property
    def end_90k(self) -> int:
        """Where the open slice ends if nothing more comes."""
        assert self._open is not None
        end = self._open.highest_90k + self._open.lasts_90k
        return edge(end) + TICKS_PER_MS * (end % TICKS_PER_MS > 0)

    def judge(self, at_90k: int, *, key: bool, look: Look | None, size: int) -> Verdict:
        """`look`: of a key unit; None where it says nothing new. An OPEN ends the slice before: see `ends`."""
        now = self._open
        if now is None:
            return Verdict.OPEN if (key or not self._keyed) and look is not None else Verdict.DROP
        if look is not None and look.codec != now.look.codec and self._keyed and not key:
            return Verdict.DROP
        if key or not self._keyed:
            later = at_90k // self._slot_90k > now.start_90k // self._slot_90k
            paused = at_90k - now.highest_90k > PAUSE_90K
            if later or paused or (look is not None and look != now.look):
                return Verdict.OPEN
        if self._forced and (at_90k - now.start_90k >= FORCED_90K or now.bytes + size > FORCED_BYTES):
            return Verdict.OPEN
        return Verdict.ADD

    def ends(self, at_90k: int) -> int:
        """Where the open slice ends when a unit begins another: there, unless the sender had paused."""
        assert self._open is not None
        if at_90k - self._open.highest_90k > PAUSE_90K:
            return self.end_90k
        return max(edge(at_90k), edge(self._open.highest_90k) + TICKS_PER_MS)

    def opened(self, start_90k: int, at_90k: int, look: Look, size: int) -> None:
        lasts = LONE_UNIT_90K if self._open is None else self._open.lasts_90k
        self._open, self._asked_90k = _Open(start_90k, look, at_90k, lasts, size), None

    def added(self, at_90k: int, size: int) -> None:
        now = self._open
        assert now is not None
        if at_90k > now.highest_90k:
            now.lasts_90k = min(at_90k - now.highest_90k, LONGEST_UNIT_90K)
            now.highest_90k = at_90k
        now.bytes += size

    def closed(self) -> None:
        self._open = None

    @property
    def look(self) -> Look | None:
        return None if self._open is None else self._open.look

    def paused(self, now_90k: int) -> bool:
        return self._open is not None and now_90k - self._open.highest_90k > PAUSE_90K

    def wants_key(self, now_90k: int) -> bool:
        """Whether to ask for a key unit now: there is nothing to begin with, or an edge is overdue."""
        now = self._open
        due = now is None or now_90k // self._slot_90k > now.start_90k // self._slot_90k
        if not (self._keyed and due) or (self._asked_90k is not None and now_90k - self._asked_90k < ASK_90K):
            return False
        self._asked_90k = now_90k
        return True


class Stamps:
    """PTS and DTS of a slice's units, in coding order: each DTS after the one before and never behind its PTS.

    `reordered`: the encoder sends pictures in another order than they are shown in, by less than the lead.
    """

    LEAD_90K: Final = TICKS_PER_S // 2

    def __init__(self) -> None:
        self._last_90k: int | None = None

    def stamp(self, at_90k: int, *, reordered: bool) -> tuple[int, int]:
        """(pts, dts), ticks of the recording clock."""
        dts = at_90k - self.LEAD_90K if reordered else at_90k
        if self._last_90k is not None:
            dts = max(dts, self._last_90k + 1)
        self._last_90k = dts
        return max(at_90k, dts), dts

    def told(self, at_90k: int, later_90k: int) -> tuple[int, int]:
        """Of a unit that comes in its place in coding order, and says how much later it is shown."""
        dts = at_90k if self._last_90k is None else max(at_90k, self._last_90k + 1)
        self._last_90k = dts
        return max(at_90k + later_90k, dts), dts
