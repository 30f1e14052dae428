"""The limit of requests a second, over HTTP, with Redis and without."""

from __future__ import annotations

import asyncio

import pytest

from gateway.limit import RateLimit
from models.repositories.apps import Limits
from tests.gateway.test_contract import BASE, NAMES, Client, over_http
from tests.scheduler.farm import Farm
from tests.servers import free_ports

SLOW = "e" * 32


def test_what_is_over_the_limit_is_429_in_the_contracts_words_and_other_apps_go_on(sqlite_farm: Farm) -> None:
    sqlite_farm.add_app(SLOW, limits=Limits(requests_per_s=2, max_recordings=0))

    async def hurry(client: Client) -> None:
        path = BASE.replace("a" * 32, SLOW) + "/acquire"
        answers = [await client.http.post(path, json=NAMES | {"clientRequest": {}}) for _ in range(6)]
        codes = [answer.status_code for answer in answers]
        assert codes[:2] == [200, 200] and 429 in codes
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json() == {"message": "API rate limit exceeded"}
        records = await client.http.get(f"/v1/apps/{SLOW}/recordings")
        assert records.status_code == 200
        await asyncio.sleep(1.1)
        again = await client.http.post(path, json=NAMES | {"clientRequest": {}})
        assert again.status_code == 200

    over_http(sqlite_farm, hurry)


def test_without_redis_everybody_is_let_in_at_once_and_counted() -> None:
    async def alone(url: str) -> RateLimit:
        limit = RateLimit(url)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert all([await limit.admits("a", 1) for _ in range(50)])
        assert loop.time() - began < 2
        await limit.close()
        return limit

    [port] = free_ports(1)
    assert asyncio.run(alone(f"redis://127.0.0.1:{port}/0")).opened == 50


def test_the_metrics_show_how_many_requests_nobody_counted(sqlite_farm: Farm) -> None:
    async def ask(client: Client) -> None:
        path = BASE.replace("a" * 32, SLOW) + "/acquire"
        for _ in range(3):
            answer = await client.http.post(path, json=NAMES | {"clientRequest": {}})
            assert answer.status_code == 200, answer.text
        shown = await client.http.get("/metrics")
        assert "reelyard_uncounted_requests_total 3.0" in shown.text.splitlines()

    [port] = free_ports(1)
    sqlite_farm.add_app(SLOW, limits=Limits(requests_per_s=1, max_recordings=0))
    over_http(sqlite_farm, ask, broker_url=f"redis://127.0.0.1:{port}/0")


@pytest.mark.parametrize("per_s", [1, 3, 10])
def test_a_burst_is_a_seconds_worth_and_no_more(redis_url: str, per_s: int) -> None:
    async def burst() -> list[bool]:
        limit = RateLimit(redis_url)
        admitted = [await limit.admits("a", per_s) for _ in range(per_s + 2)]
        await limit.close()
        return admitted

    admitted = asyncio.run(burst())
    assert admitted[:per_s] == [True] * per_s
    assert not admitted[-1]
