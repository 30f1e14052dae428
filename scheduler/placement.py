"""Which node takes a recording: a pure choice. The caller holds the chosen node's row while it writes the tenure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
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


def ranked(seats: Iterable[Seat], weight: int, *, prefer: str = "", avoid: Collection[str] = ()) -> list[str]:
    """The nodes that could take it, the best first.

    `prefer` is the node where the recording's room is (its units need no network); `avoid` are nodes that just lost a
    tenure of it. Both give way when there is no other: a busy node is worse than a far one, and a suspect node is
    better than none. Ties go by name, so that every scheduler chooses alike.
    """
    fitting = [seat for seat in seats if seat.open and seat.has_room_for(weight)]
    fitting.sort(
        key=lambda seat: (
            seat.missed >= MISSED_GOES_LAST,
            seat.name in avoid,
            seat.name != prefer,
            seat.load_with(weight),
            seat.name,
        )
    )
    return [seat.name for seat in fitting]


def choose_ingest(seats: Iterable[Seat]) -> str | None:
    """The node whose ingest holds a new room: open, its ingest up, the least loaded."""
    able = [seat for seat in seats if seat.open and seat.ingest]
    if not able:
        return None
    return min(able, key=lambda seat: (seat.missed >= MISSED_GOES_LAST, seat.load_with(0), seat.name)).name
