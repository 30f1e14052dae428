"""The operators' API over HTTP: who may, apps, keys, notices."""

from __future__ import annotations

from ipaddress import ip_network

import httpx
from pydantic import SecretStr

from tests.gateway.test_contract import BASE, NAMES, Client, over_http
from tests.scheduler.farm import APPID, Farm

KEY = "planted-operator-key-0123456789abcdef"
SETTINGS = {"operator_key": SecretStr(KEY), "allow_networks": (ip_network("127.0.0.0/8"),)}


class Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def] # a generator of httpx's own making
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


def test_apps_keys_and_notices_by_api(sqlite_farm: Farm) -> None:
    async def operate(client: Client) -> None:
        http, customer = client.http, httpx.BasicAuth(sqlite_farm.key, sqlite_farm.secret)
        http.auth = Bearer(KEY)
        made = await http.post("/v1/operator/apps", json={"name": "classes", "channel": "whip:"})
        assert made.status_code == 201, made.text
        appid = made.json()["appid"]
        listed = (await http.get("/v1/operator/apps")).json()["apps"]
        assert {app["appid"] for app in listed} == {APPID, appid}
        changed = await http.patch(
            f"/v1/operator/apps/{appid}", json={"requests_per_s": 50, "query_after_end": "record"}
        )
        assert changed.json()["limits"]["requests_per_s"] == 50
        assert changed.json()["behaviour"]["query_after_end"] == "record"
        for wrong in ({"requests_per_s": 0}, {"query_after_end": "never"}, {"name": ""}):
            refused = await http.patch(f"/v1/operator/apps/{appid}", json=wrong)
            assert (refused.status_code, refused.json()["code"]) == (400, 2), wrong

        key = (await http.post("/v1/operator/keys", json={"appids": [appid]})).json()
        path = BASE.replace(APPID, appid) + "/acquire"
        own = httpx.BasicAuth(key["key"], key["secret"])
        assert (await http.post(path, json=NAMES | {"clientRequest": {}}, auth=own)).status_code == 200
        assert (await http.post(BASE + "/acquire", json=NAMES, auth=own)).status_code == 401
        assert (await http.put(f"/v1/operator/keys/{key['key']}", json={"appids": [APPID]})).status_code == 200
        assert (await http.post(path, json=NAMES, auth=own)).status_code == 401
        assert (await http.post(BASE + "/acquire", json=NAMES, auth=own)).status_code == 200
        keys = await http.get("/v1/operator/keys")
        assert key["key"] in keys.text and key["secret"] not in keys.text
        assert (await http.delete(f"/v1/operator/keys/{key['key']}")).status_code == 204
        assert (await http.delete(f"/v1/operator/keys/{key['key']}")).status_code == 404
        assert (await http.post(BASE + "/acquire", json=NAMES, auth=own)).status_code == 401

        notices = f"/v1/operator/apps/{appid}/notices"
        set_ = (await http.put(notices, json={"url": "http://127.0.0.1:9/hook"})).json()
        assert len(set_["notice_secret"]) >= 24
        kept = (await http.put(notices, json={"url": "http://127.0.0.1:9/other"})).json()
        assert kept["notice_secret"] == set_["notice_secret"]
        inside = await http.put(notices, json={"url": "http://10.0.0.1/hook"})
        assert inside.status_code == 400
        assert "REELYARD_ALLOW_NETWORKS" in inside.json()["reason"]
        assert (await http.put(notices, json={"url": "ftp://example.org"})).status_code == 400
        assert set_["notice_secret"] not in (await http.get(f"/v1/operator/apps/{appid}")).text

        assert (await http.delete(f"/v1/operator/apps/{appid}")).status_code == 204
        assert (await http.get(f"/v1/operator/apps/{appid}")).json() == {"message": "appid is invalid"}
        http.auth = customer
        assert (await http.get("/v1/operator/apps")).status_code == 401

    over_http(sqlite_farm, operate, **SETTINGS)


def test_without_an_operators_key_nobody_is_one(sqlite_farm: Farm) -> None:
    async def knock(client: Client) -> None:
        for token in (KEY, "x", ""):
            client.http.auth = Bearer(token)
            assert (await client.http.get("/v1/operator/apps")).status_code == 401

    over_http(sqlite_farm, knock)
    over_http(sqlite_farm, knock, operator_key=SecretStr("another-key-of-the-operators-0123456"))
