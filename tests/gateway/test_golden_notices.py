"""Every notice that a mixed recording can cause, as it arrives: golden/notices/*.json, written from the contract (§7)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest

from models.repositories import apps, notices
from models.vocabulary.events import Event
from scheduler.notices import Delivery
from tests.scheduler.farm import APPID, Farm
from tests.scheduler.receiver import Receiver

FOLDER: Final = Path(__file__).parent / "golden" / "notices"
PAIRS: Final = json.loads((FOLDER / "mix.json").read_text())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_every_event_arrives_in_the_contracts_shape_and_order(sqlite_farm: Farm, receiver: Receiver) -> None:
    farm = sqlite_farm
    farm.worker()
    sid = farm.begin()
    with farm.database.unit() as session:
        apps.set_notices(session, APPID, url=receiver.url, secret="s")
        for pair in PAIRS:
            notices.say(session, sid, Event(pair["eventType"]), **pair["fields"])
    settings = farm.settings.model_copy(update={"allow_networks": (ip_network("127.0.0.0/8"),)})
    delivery = Delivery(farm.database, settings)
    deadline = time.monotonic() + 30
    while len(receiver.got) < len(PAIRS):
        delivery.tick()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    delivery.close()
    for n, (pair, got) in enumerate(zip(PAIRS, receiver.got, strict=True)):
        _equal(pair["notice"], got.body, {"{sid}": sid, "{n}": n}, f"event {pair['eventType']}")


def test_there_is_a_pair_for_every_event() -> None:
    assert {pair["eventType"] for pair in PAIRS} == set(Event)


def _equal(wanted: Any, found: Any, known: dict[str, Any], where: str) -> None:
    wanted = known.get(wanted, wanted) if isinstance(wanted, str) else wanted
    match wanted:
        case "<string>":
            assert isinstance(found, str) and found, where
        case "<ms>":
            assert isinstance(found, int) and abs(found - time.time() * 1000) < 120_000, where
        case dict():
            assert isinstance(found, dict) and set(found) == set(wanted), f"{where}: {found}"
            for name, item in wanted.items():
                _equal(item, found[name], known, f"{where}.{name}")
        case _:
            assert (type(found), found) == (type(wanted), wanted), where
