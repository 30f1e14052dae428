"""Which node's ingest holds a WHIP room: one room, one ingest, also before anybody records it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy.orm import Session

from models.repositories import rooms
from models.tables import Node
from models.vocabulary.errors import NoWorkers
from scheduler import placement
from scheduler.placement import Seat

SCHEME: Final = "whip:"


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
