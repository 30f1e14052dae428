"""Jobs over HTTP: a real application, a real database and broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.app import create_app
from models.tables import Job
from models.vocabulary import messages
from tests.scheduler.farm import APPID, Farm

JOBS = f"/v1/apps/{APPID}/jobs"
ORDER: dict[str, Any] = {
    "key": "lesson-7",
    "cname": "lesson-7",
    "uids": ["1", "2"],
    "start": {"token": "planted-token"},
}


@asynccontextmanager
async def _http(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(farm.service)
    async with app.router.lifespan_context(app):
        auth = (farm.key, farm.secret)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test", auth=auth) as http:
            yield http


def over_http(farm: Farm, story: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def told() -> None:
        async with _http(farm) as http:
            await story(http)

    asyncio.run(told())


def test_a_job_is_submitted_once_looked_at_and_stopped(farm: Farm) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        made = await http.post(JOBS, json=ORDER)
        assert made.status_code == 201, made.text
        job = made.json()
        assert (job["state"], job["uids"], job["attempts"], job["stop_wanted"]) == ("waiting", ["1", "2"], [], False)
        again = await http.post(JOBS, json=ORDER)
        assert (again.status_code, again.json()["job_id"]) == (200, job["job_id"])
        one = f"{JOBS}/{job['job_id']}"
        assert (await http.get(one)).json() == again.json()
        assert (await http.post(f"{one}/stop")).json()["stop_wanted"]
        assert (await http.post(f"{one}/stop")).status_code == 200
        page = (await http.get(JOBS, params={"limit": 1, "live": True})).json()
        assert ([line["job_id"] for line in page["jobs"]], page["next"]) == ([job["job_id"]], None)
        assert (await http.get(JOBS, params={"key": "lesson-7"})).json()["jobs"] == page["jobs"]
        assert (await http.get(JOBS, params={"key": "none"})).json()["jobs"] == []
        for answer in (made, again):
            assert "planted-token" not in answer.text

    over_http(farm, story)
    assert farm.queues.llen(messages.CHECKS_QUEUE) == 2, "a step when it was made, and one when it was to stop"


def test_at_this_farm_a_job_calls_with_the_credentials_of_its_request(farm: Farm) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        await http.post(JOBS, json=ORDER)

    over_http(farm, story)
    with farm.database.unit() as session:
        kept = session.scalars(select(Job)).one().secrets
    assert kept is not None
    assert (kept["key"], kept["secret"], kept["start"]) == (farm.key, farm.secret, {"token": "planted-token"})


def test_pages_follow_each_other_without_a_gap(sqlite_farm: Farm) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        made = [(await http.post(JOBS, json=ORDER | {"key": f"k{n}"})).json()["job_id"] for n in range(5)]
        found, before = [], ""
        while before is not None:
            page = (await http.get(JOBS, params={"limit": 2, "before": before})).json()
            found += [line["job_id"] for line in page["jobs"]]
            before = page["next"]
        assert sorted(found) == sorted(made)

    over_http(sqlite_farm, story)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": None}, "key is missing"),
        ({"key": ""}, "key"),
        ({"key": "ä"}, "key"),
        ({"cname": 5}, "cname must be a string"),
        ({"cname": ""}, "cname"),
        ({"uids": ["0"]}, "uids"),
        ({"uids": ["1", "1"]}, "uids"),
        ({"uids": ["4294967296"]}, "uids"),
        ({"uids": "1"}, "uids must be a list"),
        ({"mode": "film"}, "mode"),
        ({"start": []}, "start must be an object"),
        ({"until_ms": 1}, "until_ms"),
        ({"until_ms": 10**13, "for_s": 5}, "until_ms and for_s"),
        ({"not_before_ms": 10**14}, "not_before_ms"),
        ({"for_s": 0}, "for_s"),
        ({"for_s": True}, "for_s must be a whole number"),
        ({"max_rounds": 0}, "max_rounds"),
        ({"endpoints": ["ftp://x"], "credentials": {"key": "k", "secret": "s"}}, "http"),
        ({"endpoints": ["http://a:b@x"], "credentials": {"key": "k", "secret": "s"}}, "user name"),
        ({"endpoints": ["http://a", "http://b", "http://c"]}, "endpoints"),
        ({"endpoints": ["http://a"]}, "credentials"),
        ({"credentials": {"key": "k"}}, "credentials.secret is missing"),
    ],
)
def test_what_is_wrong_is_named_in_the_contracts_error_body(
    sqlite_farm: Farm, change: dict[str, Any], words: str
) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        answer = await http.post(JOBS, json=ORDER | change)
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert words in answer.json()["reason"]
        assert "planted" not in answer.text

    over_http(sqlite_farm, story)


def test_an_unknown_field_is_taken_and_told(sqlite_farm: Farm) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        answer = await http.post(JOBS, json=ORDER | {"untill_ms": 5})
        assert answer.status_code == 201
        assert answer.headers["X-Reelyard-Warning"] == "untill_ms is not known and was ignored"

    over_http(sqlite_farm, story)


def test_strangers_and_strange_ids_get_nothing(sqlite_farm: Farm) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        assert (await http.get(JOBS, auth=("k", "wrong"))).status_code == 401
        assert (await http.get(JOBS, auth=httpx.Auth())).status_code == 401
        missing = await http.get(f"{JOBS}/{'0' * 32}")
        assert (missing.status_code, missing.json()["code"]) == (404, 404)
        assert (await http.post(f"{JOBS}/{'0' * 32}/stop")).status_code == 404
        assert (await http.get(f"{JOBS}/..%2F")).status_code in (400, 404)
        assert (await http.get(JOBS, params={"limit": 0})).json()["code"] == 2
        assert (await http.get(JOBS, params={"before": "f" * 32})).json()["code"] == 2

    over_http(sqlite_farm, story)


def test_the_description_knows_the_routes_their_bodies_and_their_errors(sqlite_farm: Farm) -> None:
    async def story(http: httpx.AsyncClient) -> None:
        schema = (await http.get("/openapi.json")).json()
        paths = {path: set(found) for path, found in schema["paths"].items() if "/jobs" in path}
        base = "/v1/apps/{appid}/jobs"
        assert paths == {base: {"get", "post"}, f"{base}/{{job_id}}": {"get"}, f"{base}/{{job_id}}/stop": {"post"}}
        body = schema["paths"][base]["post"]["requestBody"]["content"]["application/json"]
        assert body["schema"] == {"$ref": "#/components/schemas/JobRequest"}
        fields = schema["components"]["schemas"]["JobRequest"]
        assert set(body["example"]) <= set(fields["properties"])
        assert fields["required"] == ["key", "cname"]
        assert {"200", "201", "400", "401", "504"} <= set(schema["paths"][base]["post"]["responses"])
        assert "404" in schema["paths"][f"{base}/{{job_id}}"]["get"]["responses"]
        assert (await http.post(JOBS, json=body["example"])).status_code == 201, "the example is a job"

    over_http(sqlite_farm, story)
