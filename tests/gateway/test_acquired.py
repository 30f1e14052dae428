"""What acquire said, held against start; and what is ignored is told whatever the answer."""

from __future__ import annotations

import time

import pytest

from models.vocabulary.errors import BadParameter
from models.vocabulary.spec import Mode
from scheduler import areas, modes, orders, rules
from stores.vendors import VENDORS
from tests.gateway.test_contract import BASE, NAMES, STORAGE, Client, over_http
from tests.scheduler.farm import Farm


def storage(**more: object) -> orders.Storage:
    return orders.Storage(**{"vendor": 1, "region": 0, "bucket": "b", "access_key": "k", "secret_key": "s"} | more)  # type: ignore[arg-type] # any field


@pytest.mark.parametrize(
    ("vendor", "region", "area"),
    [
        (1, 0, "NA"), (1, 4, "EU"), (1, 10, "AP"), (1, 15, "CN"), (1, 12, ""), (1, 13, "NA"), (1, 28, ""),
        (2, 0, "CN"), (2, 7, ""), (2, 8, "NA"), (2, 10, "AP"), (2, 16, "EU"), (2, 18, ""),
        (3, 0, "CN"), (3, 6, "CN"), (3, 9, "AP"), (3, 15, "NA"), (3, 18, "EU"),
        (7, 0, "CN"), (7, 6, "AP"), (7, 9, ""), (4, 0, ""), (11, 0, ""), (1, 99, ""), (99, 0, ""),
    ],
)  # fmt: skip
def test_a_vendors_region_lies_where_its_name_says(vendor: int, region: int, area: str) -> None:
    if vendor in VENDORS:
        assert areas.area(vendor, region) == area
    areas.check_area(area, storage(vendor=vendor, region=region))


def test_a_bucket_outside_the_region_of_acquire_is_refused(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()

    async def start(client: Client) -> None:
        for region, status in (("EU", 400), ("NA", 206)):
            acquired = await client.acquire(clientRequest={"region": region})
            answer = await client.start(acquired.json()["resourceId"])
            assert answer.status_code == status, answer.text
            if status == 400:
                assert answer.json()["code"] == 2
                assert "storageConfig.region lies in NA, and acquire's region was EU" in answer.json()["reason"]

    over_http(sqlite_farm, start)


def test_scene_2_is_for_individual_mode_with_postponed_transcoding() -> None:
    def order(policy: str | None, mode: Mode = Mode.INDIVIDUAL) -> orders.Start:
        return orders.Start(cname="c", uid="1", mode=mode, storage=storage(), combination_policy=policy)

    assert modes.check_scene(2, order("postpone_transcoding")) == []
    assert modes.check_scene(0, order(None)) == []
    [said] = modes.check_scene(0, order("postpone_transcoding"))
    assert "scene of acquire was not 2" in said
    for scene, wrong in ((2, order(None)), (2, order(None, Mode.MIX)), (1, order(None)), (0, order(None, Mode.WEB))):
        with pytest.raises(BadParameter):
            modes.check_scene(scene, wrong)


def test_a_temporary_key_that_ends_soon_is_reported() -> None:
    now_s = int(time.time())
    for left_s, said in ((-1, "is over already"), (60, "is in 1 minutes"), (4 * 3600, None), (-now_s, None)):
        found = rules.keys_last(storage(sts_token="t", sts_expiration_s=now_s + left_s), now_s)
        assert [said] == [said for text in found if said in text] if said else found == []
    assert rules.keys_last(storage(sts_expiration_s=1), now_s) == []


def test_what_was_ignored_is_told_with_a_refusal_and_by_stop_too(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def told(client: Client) -> None:
        refused = await client.http.post(f"{BASE}/acquire", json=NAMES | {"uid": "0", "colour": 1})
        assert refused.status_code == 400
        assert refused.headers["X-Reelyard-Warning"] == "colour is not known and was ignored"
        resource_id, sid = await client.started(worker)
        wish = {"async_stop": True, "asyncStop": True}
        stopped = await client.running("stop", resource_id, sid, clientRequest=wish)
        assert stopped.status_code == 206, stopped.text  # nothing was recorded
        expected = "clientRequest.asyncStop is not known and was ignored"
        assert stopped.headers["X-Reelyard-Warning"] == expected
        record = await client.http.get(f"{BASE.rsplit('/', 1)[0]}/recordings/{sid}")
        assert expected in record.json()["warnings"]
        wrong = await client.start(await client.resource(), storageConfig=STORAGE | {"vendor": 99, "colour": "red"})
        assert "colour" in wrong.headers["X-Reelyard-Warning"]

    over_http(sqlite_farm, told)
