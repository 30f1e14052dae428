"""Which node's ingest holds a WHIP room: one room, one ingest, also before anybody records it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy.orm import Session

from models.repositories import rooms
from models.tables import Node
from models.vocabulary.errors import NoWorkers
from scheduler import placement
from scheduler.placement import Seat

SCHEME: Final = "whip:"
#: Rooms are forgotten after weeks: one that was in use an hour ago need not be written down again.
LATELY_MS: Final = 3_600_000


def is_whip(channel: str) -> bool:
    return channel.startswith(SCHEME)


def seat_of(node: Node, used: int) -> Seat:
    return Seat(
        name=node.name,
        capacity=node.capacity,
        used=used,
        draining=node.draining,
        cordoned=node.cordoned or node.spool_full,
        missed=node.missed,
        ingest=node.ingest_up and node.ingest_url != "",
    )


def room(session: Session, appid: str, cname: str, seats: Sequence[Seat]) -> str:
    """The node whose ingest holds the room; places it where it has none, or where that node's ingest is gone.

    A room stays on a draining node as long as its ingest is up: moving it would cut every publisher off.
    Raises `NoWorkers` when no node has an ingest that is up.
    """
    held = rooms.find(session, appid, cname)
    if held is not None and any(seat.name == held.node and seat.ingest for seat in seats):
        rooms.touch(session, appid, cname)
        return held.node
    chosen = placement.choose_ingest(seats)
    if chosen is None:
        raise NoWorkers("no node with an ingest is up, so nobody can publish to this channel")
    return rooms.place(session, appid, cname, chosen, instead_of=held.node if held else None).node


def rooms_of(session: Session, keys: Collection[tuple[str, str]], seats: Sequence[Seat]) -> dict[tuple[str, str], str]:
    """`room` of many (appid, cname), in one order for everybody. One that no node can hold is missing."""
    up = {seat.name for seat in seats if seat.ingest}
    found = {key: node for key, node in rooms.used_lately(session, keys, LATELY_MS).items() if node in up}
    for appid, cname in sorted(set(keys) - found.keys()):
        with suppress(NoWorkers):
            found[appid, cname] = room(session, appid, cname, seats)
    return found
