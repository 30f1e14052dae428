"""Place a tenure on a node with room, and, once that is committed, wake the node up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories import grants, nodes, tenures, timeline
from models.repositories.grants import Grant
from models.tables import Recording
from models.vocabulary.errors import NoWorkers
from models.vocabulary.states import Role
from scheduler import placement, rooms, weights
from scheduler.placement import Ask, Seat

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


@dataclass(frozen=True, slots=True)
class Wish:
    """A tenure that a recording is to have, somewhere; `avoid` only if there is another node."""

    recording: Recording
    role: Role
    avoid: Collection[str] = ()

    @property
    def weight(self) -> int:
        return weights.FINALISER if self.role is Role.FINALISER else self.recording.weight

    @property
    def room(self) -> tuple[str, str] | None:
        """The WHIP room whose units it needs."""
        is_whip = self.role is not Role.FINALISER and rooms.is_whip(self.recording.spec["channel"])
        return (self.recording.appid, self.recording.cname) if is_whip else None


@dataclass(frozen=True, slots=True)
class Placing:
    """What became of wishes. One that is in neither lost its seat to another scheduler: it is tried again."""

    placed: dict[str, Dispatch]
    roomless: set[str]  # sids for which no node has room


def place_all(session: Session, wishes: Sequence[Wish], *, deadline_ms: int) -> Placing:
    """`place` of many, whose recordings' row locks the caller holds, with a few statements for all of them.

    Seats are chosen from loads as they are seen, then the chosen nodes are locked, in one order for everybody, and the
    choice is made again among them with loads that are exact. So no node is ever given more than it takes.
    """
    known = seats(session)
    houses = rooms.rooms_of(session, {wish.room for wish in wishes if wish.room is not None}, known)
    asks = [
        Ask(wish.recording.sid, wish.weight, prefer=houses.get(wish.room, "") if wish.room else "", avoid=wish.avoid)
        for wish in wishes
        if wish.room is None or wish.room in houses
    ]
    seen = placement.seated(asks, known)
    exact = _exact(session, set(seen.values()))
    seated = placement.seated([ask for ask in asks if ask.key in seen], exact)
    heads = timeline.reaches(session, seated)
    chosen = [
        Grant(w.recording, w.role, seated[w.recording.sid], w.weight, heads.get(w.recording.sid, 0))
        for w in wishes
        if w.recording.sid in seated
    ]
    epochs = grants.place_all(session, chosen, deadline_ms=deadline_ms)
    placed = {
        grant.recording.sid: Dispatch(grant.node, grant.recording.sid, epoch, shown(grant.recording))
        for grant, epoch in zip(chosen, epochs, strict=True)
    }
    return Placing(placed, roomless={wish.recording.sid for wish in wishes} - seen.keys())


def _exact(session: Session, names: Collection[str]) -> list[Seat]:
    """These nodes' seats, exact from here to the end of the unit."""
    now = now_ms(session)
    held = [node for node in nodes.lock_all(session, names) if node.expires_ms > now]
    loads = grants.loads(session, names)
    return [rooms.seat_of(node, loads.get(node.name, 0)) for node in held]


def shown(recording: Recording) -> str:
    """Short: it travels with every event of the task."""
    return f"{recording.appid}/{recording.cname}"[:MAX_SHOWN]
