"""Which node takes a recording: a pure choice. The caller holds the chosen node's row while it writes the tenure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

#: A node that left so many dispatches in a row unclaimed goes last: its worker hangs, or its queue is not read.
MISSED_GOES_LAST: Final = 2


@dataclass(frozen=True, slots=True)
class Seat:
    """A live node, as the choice sees it. Capacity and load in hundredths of a core."""

    name: str
    capacity: int
    used: int
    draining: bool = False
    cordoned: bool = False
    missed: int = 0
    ingest: bool = False  # an ingest is up beside it

    @property
    def open(self) -> bool:
        return not (self.draining or self.cordoned)

    def has_room_for(self, weight: int) -> bool:
        return self.used + weight <= self.capacity

    def load_with(self, weight: int) -> float:
        return (self.used + weight) / self.capacity if self.capacity else float("inf")


@dataclass(frozen=True, slots=True)
class Ask:
    """A seat that is wanted. `prefer` is the node where the recording's room is (its units need no network); `avoid` is
    one that just lost a tenure of it. Both give way when there is no other: a busy node is worse than a far one, and a
    suspect node is better than none.
    """

    key: str
    weight: int
    prefer: str = ""
    avoid: Collection[str] = ()

    def finds(self, seat: Seat) -> bool:
        return seat.open and seat.has_room_for(self.weight)

    def order(self, seat: Seat) -> tuple[bool, bool, bool, float, str]:
        """The least is the best. Ties go by name, so that every scheduler chooses alike."""
        missed = seat.missed >= MISSED_GOES_LAST
        return missed, seat.name in self.avoid, seat.name != self.prefer, seat.load_with(self.weight), seat.name


def ranked(seats: Iterable[Seat], weight: int, *, prefer: str = "", avoid: Collection[str] = ()) -> list[str]:
    """The nodes that could take it, the best first."""
    ask = Ask("", weight, prefer, avoid)
    return [seat.name for seat in sorted(filter(ask.finds, seats), key=ask.order)]


def seated(asks: Iterable[Ask], seats: Iterable[Seat]) -> dict[str, str]:
    """Who sits where, by the asks' keys: each takes the best seat that those before it have left. Who finds none is missing."""
    left = {seat.name: seat for seat in seats}
    found: dict[str, str] = {}
    for ask in asks:
        best = min(filter(ask.finds, left.values()), key=ask.order, default=None)
        if best is not None:
            found[ask.key] = best.name
            left[best.name] = replace(best, used=best.used + ask.weight)
    return found


def choose_ingest(seats: Iterable[Seat]) -> str | None:
    """The node whose ingest holds a new room: open, its ingest up, the least loaded."""
    able = [seat for seat in seats if seat.open and seat.ingest]
    if not able:
        return None
    return min(able, key=lambda seat: (seat.missed >= MISSED_GOES_LAST, seat.load_with(0), seat.name)).name
