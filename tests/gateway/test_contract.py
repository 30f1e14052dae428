"""The contract over HTTP: a real server's application, a real database and broker, a worker played by hand."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import pytest

from gateway.app import create_app
from models.database import shift_time
from models.vocabulary.states import Wanted
from tests.scheduler.farm import APPID, CNAME, UID, Farm, Worker

STORAGE = {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "planted-access", "secretKey": "planted-secret"}
NOBODY = httpx.Auth()  # adds nothing
NAMES = {"cname": CNAME, "uid": UID}
BASE = f"/v1/apps/{APPID}/cloud_recording"


T = TypeVar("T")


async def until(found: Callable[[], T], *, within_s: float = 15.0) -> T:
    """What `found` returns, once that is something."""
    for _ in range(round(within_s / 0.01)):
        if it := await asyncio.to_thread(found):
            return it
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


class Client:
    def __init__(self, farm: Farm, http: httpx.AsyncClient) -> None:
        self.farm = farm
        self.http = http

    async def acquire(self, **changes: Any) -> httpx.Response:
        return await self.http.post(f"{BASE}/acquire", json=NAMES | {"clientRequest": {}} | changes)

    async def resource(self) -> str:
        return str((await self.acquire()).json()["resourceId"])

    async def start(self, resource_id: str, mode: str = "mix", **client_request: Any) -> httpx.Response:
        body = NAMES | {"clientRequest": {"storageConfig": STORAGE} | client_request}
        return await self.http.post(f"{BASE}/resourceid/{resource_id}/mode/{mode}/start", json=body)

    async def started(self, worker: Worker) -> tuple[str, str]:
        """(resourceId, sid) of a recording that is ready."""
        resource_id = await self.resource()
        answer = asyncio.create_task(self.start(resource_id))
        sid = await self.dispatched(worker.name)
        await asyncio.to_thread(worker.claim, sid)
        await asyncio.to_thread(worker.ready, sid)
        response = await answer
        assert response.status_code == 200, response.text
        assert response.json()["sid"] == sid
        return resource_id, sid

    async def dispatched(self, node: str) -> str:
        waiting = await until(lambda: self.farm.messages(node))
        return str(waiting[0][1][0])

    async def running(self, verb: str, resource_id: str, sid: str, mode: str = "mix", **body: Any) -> httpx.Response:
        path = f"{BASE}/resourceid/{resource_id}/sid/{sid}/mode/{mode}/{verb}"
        if verb == "query":
            return await self.http.get(path)
        return await self.http.post(path, json=NAMES | {"clientRequest": {}} | body)


@asynccontextmanager
async def _client(farm: Farm, **settings: Any) -> AsyncIterator[Client]:
    farm.service.settings = farm.settings.model_copy(update={"start_wait_ms": 300, "stop_wait_ms": 300} | settings)
    app = create_app(farm.service)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        auth = httpx.BasicAuth(farm.key, farm.secret)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", auth=auth) as http:
            yield Client(farm, http)


def over_http(farm: Farm, test: Callable[[Client], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with _client(farm, **settings) as client:
            await asyncio.wait_for(test(client), 20)

    asyncio.run(run())


def test_a_recording_from_acquire_to_stop(farm: Farm) -> None:
    worker = farm.worker()

    async def life(client: Client) -> None:
        acquired = await client.acquire()
        assert acquired.status_code == 200
        assert set(acquired.json()) == {"cname", "uid", "resourceId"}
        resource_id, sid = await client.started(worker)
        query = await client.running("query", resource_id, sid)
        assert query.json()["serverResponse"]["status"] == 4
        await asyncio.to_thread(worker.slice, sid)
        query = await client.running("query", resource_id, sid)
        assert query.json() == NAMES | {
            "resourceId": resource_id,
            "sid": sid,
            "serverResponse": {
                "status": 5,
                "fileListMode": "string",
                "fileList": f"{sid}_{CNAME}.m3u8",
                "sliceStartTime": 1_700_000_000_000,
            },
        }
        stopping = asyncio.create_task(client.running("stop", resource_id, sid))
        await until(lambda: farm.recording(sid).wanted is Wanted.STOP)
        await asyncio.to_thread(worker.finish, sid)
        stopped = await stopping
        assert stopped.status_code == 200
        assert stopped.json()["serverResponse"]["uploadingStatus"] == "uploaded"
        gone = await client.running("query", resource_id, sid)
        assert (gone.status_code, gone.json()["code"]) == (404, 404)
        assert gone.json()["reason"].startswith("failed to find worker: the recording ended at ")
        record = await client.http.get(f"/v1/apps/{APPID}/recordings/{sid}")
        assert record.json()["status"] == 8
        listed = await client.http.get(f"/v1/apps/{APPID}/recordings", params={"live": "false"})
        assert [line["sid"] for line in listed.json()["recordings"]] == [sid]
        assert "planted" not in record.text + listed.text

    over_http(farm, life, start_wait_ms=5_000, stop_wait_ms=5_000)


def test_a_slow_start_is_206_and_tells_its_sid_and_its_repetition_is_201(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()

    async def slow(client: Client) -> None:
        resource_id = await client.resource()
        first = await client.start(resource_id)
        assert (first.status_code, first.json()["code"]) == (206, 65)
        assert first.json()["reason"].startswith("request not completed")
        again = await client.start(resource_id)
        assert (again.status_code, again.json()["code"]) == (201, 7)
        assert again.json()["reason"].startswith("already started")
        assert again.json()["sid"] == first.json()["sid"] == await client.dispatched("node-a")

    over_http(sqlite_farm, slow)


def test_a_refused_bucket_is_the_answer_of_start(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def refused(client: Client) -> None:
        answer = asyncio.create_task(client.start(await client.resource()))
        sid = await client.dispatched("node-a")
        await asyncio.to_thread(worker.claim, sid)
        fault = {"code": 32, "scope": "caller", "retryable": False, "text": "bucket b: AccessDenied", "fatal": True}
        await asyncio.to_thread(worker.fail, sid, fault)
        response = await answer
        assert (response.status_code, response.json()["code"]) == (400, 32)
        assert "bucket b: AccessDenied" in response.json()["reason"]

    over_http(sqlite_farm, refused, start_wait_ms=5_000)


def test_stop_answers_as_the_contract_says_in_every_case(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def stops(client: Client) -> None:
        resource_id, sid = await client.started(worker)
        unknown = await client.running("stop", resource_id, "0" * 32)
        assert (unknown.status_code, unknown.json()["code"]) == (404, 404)
        mismatch = await client.running("stop", "x", sid)
        assert (mismatch.status_code, mismatch.json()["code"]) == (400, 1003)
        nothing = await client.running("stop", resource_id, sid, clientRequest={"async_stop": True})
        assert (nothing.status_code, nothing.json()["code"]) == (206, 435)
        twice = await client.running("stop", resource_id, sid)
        assert (twice.status_code, twice.json()["code"]) == (400, 49)
        await asyncio.to_thread(worker.slice, sid)
        await asyncio.to_thread(worker.finish, sid)
        late = await client.running("stop", resource_id, sid)
        assert (late.status_code, late.json()["code"]) == (404, 404)

    over_http(sqlite_farm, stops)


def test_a_stop_that_takes_too_long_is_206_and_one_that_does_not_wait_is_200(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def stops(client: Client) -> None:
        resource_id, sid = await client.started(worker)
        await asyncio.to_thread(worker.slice, sid)
        slow = await client.running("stop", resource_id, sid)
        assert (slow.status_code, slow.json()["code"]) == (206, 65)

    over_http(sqlite_farm, stops)


def test_async_stop_answers_at_once(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def stops(client: Client) -> None:
        resource_id, sid = await client.started(worker)
        await asyncio.to_thread(worker.slice, sid)
        quick = await client.running("stop", resource_id, sid, clientRequest={"async_stop": True})
        assert quick.status_code == 200
        assert quick.json()["serverResponse"]["uploadingStatus"] == "unknown"

    over_http(sqlite_farm, stops, stop_wait_ms=60_000)


def test_the_gateway_stays_awake_while_many_stops_wait(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker("node-a", capacity=10_000)
    sids = [sqlite_farm.begin(f"c{n}") for n in range(40)]
    for sid in sids:
        worker.claim(sid)
        worker.slice(sid)
    resources = {sid: sqlite_farm.recording(sid).resource_id for sid in sids}

    async def wait(client: Client) -> None:
        stops = [
            asyncio.create_task(client.running("stop", resources[sid], sid, cname=f"c{n}"))
            for n, sid in enumerate(sids)
        ]
        await until(lambda: all(sqlite_farm.recording(sid).wanted is Wanted.STOP for sid in sids))
        for path in ("/healthz", "/readyz"):
            ready = await asyncio.wait_for(client.http.get(path), 2)
            assert ready.status_code == 200
        for sid in sids:
            await asyncio.to_thread(worker.finish, sid)
        assert {answer.status_code for answer in await asyncio.gather(*stops)} == {200}

    over_http(sqlite_farm, wait, stop_wait_ms=15_000)


def test_an_expired_or_foreign_resource_is_named(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()

    async def resources(client: Client) -> None:
        resource_id = await client.resource()
        other = {"cname": "other", "clientRequest": {"storageConfig": STORAGE}, "uid": UID}
        wrong = await client.http.post(f"{BASE}/resourceid/{resource_id}/mode/mix/start", json=other)
        assert (wrong.status_code, wrong.json()["code"]) == (400, 432)
        unread = await client.start("nonsense")
        assert (unread.status_code, unread.json()["code"]) == (400, 1001)
        await asyncio.to_thread(shift_time, sqlite_farm.database, 301_000)
        old = await client.start(resource_id)
        assert (old.status_code, old.json()["code"]) == (400, 433)

    over_http(sqlite_farm, resources)


def test_two_starts_of_one_channel_conflict_and_a_farm_without_workers_says_so(sqlite_farm: Farm) -> None:
    async def starts(client: Client) -> None:
        nobody = await client.start(await client.resource())
        assert (nobody.status_code, nobody.json()["code"]) == (500, 501)
        await asyncio.to_thread(sqlite_farm.worker)
        await asyncio.to_thread(sqlite_farm.begin)
        conflict = await client.start(await client.resource())
        assert (conflict.status_code, conflict.json()["code"]) == (400, 53)

    over_http(sqlite_farm, starts)


def test_update_and_update_layout_change_what_is_wanted_and_only_what_they_name(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def change(client: Client) -> None:
        resource_id, sid = await client.started(worker)
        spec = sqlite_farm.recording(sid).spec
        same = NAMES | {"resourceId": resource_id, "sid": sid}
        layout = await client.running("updateLayout", resource_id, sid, clientRequest={"backgroundColor": "#FF0000"})
        assert (layout.status_code, layout.json()) == (200, same)
        only = {"streamSubscribe": {"videoUidList": {"subscribeVideoUids": ["7"]}}}
        update = await client.running("update", resource_id, sid, clientRequest=only)
        assert (update.status_code, update.json()) == (200, same)
        row = sqlite_farm.recording(sid)
        assert row.wanted_gen == 3
        assert row.spec == spec | {
            "layout": spec["layout"] | {"background_color": "#FF0000"},
            "video_from": {"rule": "only", "uids": ["7"]},
        }
        replaced = await client.running("updateLayout", resource_id, sid, clientRequest={})
        assert replaced.status_code == 200
        assert sqlite_farm.recording(sid).spec["layout"] == spec["layout"]
        for wrong in ({"mixedVideoLayout": 3}, {"mixedVideoLayout": "1"}, {"backgroundColor": "red"}):
            refused = await client.running("updateLayout", resource_id, sid, clientRequest=wrong)
            assert (refused.status_code, refused.json()["code"]) == (400, 1028)
        other = await client.running("updateLayout", resource_id, sid, mode="web", clientRequest={})
        assert (other.status_code, other.json()["code"]) == (400, 2)
        for on in (True, False):
            held = await client.running("update", resource_id, sid, clientRequest={"onhold": on})
            assert (held.status_code, held.json()) == (200, same)
            assert sqlite_farm.recording(sid).wanted.value == ("hold" if on else "run")
        for verb in ("update", "updateLayout"):
            assert (await client.running(verb, resource_id, "0" * 32)).status_code == 404
            assert (await client.running(verb, "x", sid)).json()["code"] == 1003
            assert (await client.running(verb, resource_id, sid, uid="9")).json()["code"] == 432
        await asyncio.to_thread(worker.slice, sid)
        await client.running("stop", resource_id, sid, clientRequest={"async_stop": True})
        for verb in ("update", "updateLayout", "query"):
            exiting = await client.running(verb, resource_id, sid)
            assert (exiting.status_code, exiting.json()["code"]) == (400, 501), verb
            assert exiting.json()["reason"].startswith("service is exiting")

    over_http(sqlite_farm, change)


def test_modes_that_are_not_built_say_so(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()

    async def unbuilt(client: Client) -> None:
        wish: dict[str, Any] = {"recordingConfig": {"subscribeUidGroup": 0}, "snapshotConfig": {"captureInterval": 10}}
        snapshots = await client.start(await client.resource(), "individual", **wish)
        assert (snapshots.status_code, snapshots.json()["code"]) == (400, 2)
        assert snapshots.json()["reason"].startswith("not supported yet: clientRequest.snapshotConfig without")

    over_http(sqlite_farm, unbuilt)


# -- who may ----------------------------------------------------------------------------------------------------


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_who_may_not_ask_is_told_in_the_contracts_words(sqlite_farm: Farm) -> None:
    farm = sqlite_farm

    async def knock(client: Client) -> None:
        client.http.auth = NOBODY
        bodies = {
            "Unauthorized": [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic"}],
            "Invalid authentication credentials": [
                basic(f"{farm.key}:wrong"),
                basic(f"nobody:{farm.secret}"),
                basic("no colon"),
                basic("nul\0:x"),
                {"Authorization": "Basic %%%%"},
                {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
            ],
        }
        for message, headers in bodies.items():
            for header in headers:
                refused = await client.http.post(f"{BASE}/acquire", json=NAMES, headers=header)
                assert (refused.status_code, refused.json()) == (401, {"message": message}), header
                assert refused.headers["WWW-Authenticate"].startswith("Basic")
        good = basic(f"{farm.key}:{farm.secret}")
        for appid in ("nobody", "x" * 500, "%E2%80%8F"):
            unknown = await client.http.post(f"/v1/apps/{appid}/cloud_recording/acquire", json=NAMES, headers=good)
            assert (unknown.status_code, unknown.json()) == (400, {"message": "appid is invalid"})

    over_http(farm, knock)


def test_wrong_paths_and_methods_have_no_route(sqlite_farm: Farm) -> None:
    async def astray(client: Client) -> None:
        no_route = (404, {"message": "no Route matched with those values"})
        for method, path in (
            ("GET", f"{BASE}/acquire"),
            ("POST", f"{BASE}/Acquire"),
            ("POST", f"{BASE}/acquire/"),
            ("GET", "/"),
            ("GET", f"{BASE}/resourceid/a%00b/sid/c/mode/mix/query"),
        ):
            answer = await client.http.request(method, path)
            assert (answer.status_code, answer.json()) == no_route, path

    over_http(sqlite_farm, astray)


# -- rooms ------------------------------------------------------------------------------------------------------


def test_a_publisher_is_redirected_and_a_browser_may_read_the_refusal(sqlite_farm: Farm) -> None:
    farm = sqlite_farm
    farm.add_app("d" * 32, channel="whip:")
    farm.worker("one", ingest_url="http://127.0.0.1:8190")

    async def publish(client: Client) -> None:
        made = await client.http.post(f"/v1/apps/{'d' * 32}/whip-tokens", json={"cname": "lesson 7", "uid": "ada"})
        assert made.status_code == 200, made.text
        url, token = made.json()["url"], made.json()["token"]
        assert url == f"http://gateway/whip/{'d' * 32}/lesson%207/ada"
        redirect = await client.http.post(url, headers={"Authorization": f"Bearer {token}"}, auth=NOBODY, content="v=0")
        assert redirect.status_code == 307
        assert redirect.headers["Location"].startswith(f"http://127.0.0.1:8190/whip/{'d' * 32}/lesson%207/ada?token=")
        refused = await client.http.post(url, headers={"Authorization": "Bearer x"}, auth=NOBODY)
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        asked = await client.http.options(url, auth=NOBODY)
        assert (asked.status_code, asked.headers["Access-Control-Allow-Headers"]) == (
            204,
            "Authorization, Content-Type",
        )
        for wrong in ({"cname": "c"}, {"cname": "c", "uid": "u", "ttl_s": 0}, {"cname": "a/b", "uid": "u"}):
            answer = await client.http.post(f"/v1/apps/{'d' * 32}/whip-tokens", json=wrong)
            assert (answer.status_code, answer.json()["code"]) in ((400, 2), (400, 1013))

    over_http(farm, publish)


# -- around -----------------------------------------------------------------------------------------------------


def test_every_answer_has_a_request_id_and_a_callers_own_comes_back(sqlite_farm: Farm) -> None:
    async def ids(client: Client) -> None:
        assert len((await client.acquire()).headers["X-Request-Id"]) == 16
        own = await client.http.get("/healthz", headers={"X-Request-Id": "mine-1"})
        assert own.headers["X-Request-Id"] == "mine-1"
        strange = await client.http.get("/healthz", headers={"X-Request-Id": "a b"})
        assert len(strange.headers["X-Request-Id"]) == 16

    over_http(sqlite_farm, ids)


def test_what_nobody_expected_is_a_body_of_the_contract_and_a_log_line(
    sqlite_farm: Farm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("odd-fault")

    async def fails(client: Client) -> None:
        monkeypatch.setattr(client.farm.service, "query", broken)
        answer = await client.running("query", "r", "0" * 32)
        assert (answer.status_code, answer.json()["code"]) == (500, 500)
        assert "odd-fault" not in answer.text
        assert answer.headers["X-Request-Id"] in answer.json()["reason"]

    over_http(sqlite_farm, fails)
    assert "odd-fault" in caplog.text


def test_a_database_that_is_away_is_504_and_not_ready(sqlite_farm: Farm) -> None:
    from models.database import Database

    away = Database("postgresql+psycopg://nobody@127.0.0.1:9/none")

    async def outage(client: Client) -> None:
        client.farm.service.database = away
        answer = await client.acquire()
        assert (answer.status_code, answer.json()["code"]) == (500, 504)
        query = await client.running("query", "r", "0" * 32)
        assert (query.status_code, query.json()["code"]) == (504, 62)
        ready = await client.http.get("/readyz")
        assert (ready.status_code, set(ready.json()["missing"])) == (503, {"database"})
        assert (await client.http.get("/healthz")).status_code == 200

    over_http(sqlite_farm, outage)
    away.close()


def test_the_document_names_every_route_its_bodies_and_errors_and_no_422(sqlite_farm: Farm) -> None:
    async def document(client: Client) -> None:
        schema = (await client.http.get("/openapi.json")).json()
        assert (await client.http.get("/docs")).status_code == 200
        operations = [(path, op) for path, ops in schema["paths"].items() for op in ops.values()]
        assert len(operations) >= 12
        for path, operation in operations:
            assert "422" not in operation["responses"], path
            assert operation["summary"]
            done = [response for status, response in operation["responses"].items() if status in ("200", "201")]
            if path.startswith("/v1/"):
                assert all("example" in str(response) for response in done), path
        start = schema["paths"]["/v1/apps/{appid}/cloud_recording/resourceid/{resource_id}/mode/{mode}/start"]["post"]
        assert {"200", "201", "206", "400", "401", "500", "504"} <= set(start["responses"])
        assert "storageConfig" in str(schema["components"]["schemas"]["StartClient"])
        assert "HTTPValidationError" not in str(schema)

    over_http(sqlite_farm, document)
