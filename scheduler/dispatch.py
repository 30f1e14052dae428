"""Place a tenure on a node with room, and, once that is committed, wake the node up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from models.repositories import nodes, tenures, timeline
from models.tables import Recording
from models.vocabulary.errors import NoWorkers
from models.vocabulary.states import Role
from scheduler import placement, rooms, weights
from scheduler.placement import Seat

MAX_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A placed tenure whose message is to be sent after COMMIT."""

    node: str
    sid: str
    epoch: int
    shown: str = ""  # what it is, for the operator's eyes: `appid/cname`


def seats(session: Session) -> list[Seat]:
    """The live nodes with their loads."""
    loads = tenures.loads(session)
    return [rooms.seat_of(node, loads.get(node.name, 0)) for node in nodes.live(session)]


class Seating:
    """The seats as one round of placing sees them: read once, then counted on. A farm's loads are a sum over all of its
    tenures, too much for each of two thousand recordings of a dead node. Whether there is room is judged exactly later,
    under the node's row lock.
    """

    def __init__(self) -> None:
        self._seats: dict[str, Seat] | None = None

    def seats(self, session: Session) -> list[Seat]:
        if self._seats is None:
            self._seats = {seat.name: seat for seat in seats(session)}
        return list(self._seats.values())

    def taken(self, node: str, weight: int) -> None:
        if self._seats is not None and (seat := self._seats.get(node)) is not None:
            self._seats[node] = replace(seat, used=seat.used + weight)


def place(
    session: Session,
    recording: Recording,
    role: Role,
    *,
    deadline_ms: int,
    avoid: Collection[str] = (),
    exclude: Collection[str] = (),
    seating: Seating | None = None,
) -> Dispatch | None:
    """Grant everything from the timeline's head on. None: no node has room. `avoid` only if there is another node,
    `exclude` in any case.

    Raises `NoWorkers` when no node is up, or none with an ingest for a room's recorder.
    """
    seating = seating or Seating()
    known = seating.seats(session)
    if not known:
        raise NoWorkers
    finalises = role is Role.FINALISER
    prefer = ""
    if not finalises and rooms.is_whip(recording.spec["channel"]):
        prefer = rooms.room(session, recording.appid, recording.cname, known)
    weight = weights.FINALISER if finalises else recording.weight
    placed = tenures.place_first(
        session,
        recording.sid,
        candidates=[n for n in placement.ranked(known, weight, prefer=prefer, avoid=avoid) if n not in exclude],
        role=role,
        weight=weight,
        from_90k=timeline.reach(session, recording.sid),
        deadline_ms=deadline_ms,
    )
    if placed is None:
        return None
    seating.taken(placed[0], weight)
    return Dispatch(placed[0], recording.sid, placed[1], shown(recording))


def shown(recording: Recording) -> str:
    """Short: it travels with every event of the task."""
    return f"{recording.appid}/{recording.cname}"[:MAX_SHOWN]
