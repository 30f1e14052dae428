"""A node whose spool is nearly full takes nothing new, and says so."""

from __future__ import annotations

from collections.abc import Callable

from models.database import Database
from models.repositories import nodes, tenures
from scheduler.placement import ranked
from scheduler.rooms import seat_of
from tests.workers.rig import NODE, Rig


def test_below_its_low_water_nothing_is_placed_on_a_node(rig: Callable[..., Rig], sqlite: Database) -> None:
    rig(sqlite, spool_low_bytes=10**18)
    with sqlite.unit() as session:
        (node,) = nodes.live(session)
        assert node.spool_full
        assert ranked([seat_of(node, 0)], 1) == []
        assert not tenures.has_room(session, NODE, 1)


def test_with_room_in_its_spool_it_is_open(rig: Callable[..., Rig], sqlite: Database) -> None:
    rig(sqlite, spool_low_bytes=0)
    with sqlite.unit() as session:
        (node,) = nodes.live(session)
        assert ranked([seat_of(node, 0)], 1) == [NODE]
        assert tenures.has_room(session, NODE, 1)
