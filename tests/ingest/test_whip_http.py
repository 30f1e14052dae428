"""WHIP's HTTP side: who may publish, what is refused and how (RFC 9725)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import quote

import httpx
import pytest
from aiortc import RTCPeerConnection

from models.tokens import Audience, mint_time
from tests.ingest.rigs import KEY, endpoint, running_ingest, token
from workers.ingest import whip
from workers.ingest.process import Ingest
from workers.webrtc import ice

T = TypeVar("T")
SDP = {"Content-Type": "application/sdp"}


def bearer(audience: Audience = Audience.WHIP_INGEST, uid: str = "alice", **changes: object) -> dict[str, str]:
    return SDP | {"Authorization": f"Bearer {token(audience, uid, **changes)}"}  # type: ignore[arg-type]  # ttl_s, cname


def ask(question: Callable[[Ingest, httpx.AsyncClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with running_ingest() as ingest, httpx.AsyncClient() as http:
            return await question(ingest, http)

    return asyncio.run(run())


async def offer(kind: str = "video") -> str:
    connection = RTCPeerConnection(ice.configuration())
    if kind == "application":
        connection.createDataChannel("chat")
    else:
        connection.addTransceiver(kind, direction="sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


def test_only_this_ingests_token_for_this_user_and_room_may_publish() -> None:
    wrong = {
        "none": SDP,
        "the gateway's": bearer(Audience.WHIP),
        "a recorder's": bearer(Audience.UNITS),
        "another user's": bearer(uid="bob"),
        "another room's": bearer(cname="another room"),
        "expired": bearer(ttl_s=-1),
        "nonsense": SDP | {"Authorization": "Bearer nonsense"},
        "basic": SDP | {"Authorization": "Basic YTpi"},
    }

    async def statuses(ingest: Ingest, http: httpx.AsyncClient) -> dict[str, int]:
        url = endpoint(ingest, "alice")
        return {name: (await http.post(url, content="v=0", headers=h)).status_code for name, h in wrong.items()}

    assert ask(statuses) == dict.fromkeys(wrong, 401)


@pytest.mark.parametrize("hours", [1, -1])
def test_an_ingest_whose_host_is_an_hour_off_judges_by_the_time_it_is_told(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, stale, true_s = bearer(ttl_s=30), bearer(ttl_s=-1), time.time()
    monkeypatch.setattr(time, "time", lambda: true_s + hours * 3_600)

    async def statuses(ingest: Ingest, http: httpx.AsyncClient) -> list[int]:
        healthz = f"http://127.0.0.1:{ingest.port}/healthz"
        told = await http.get(healthz, headers={"Authorization": f"Bearer {mint_time(KEY, true_s)}"})
        sdp = await offer()
        asked = [await http.post(endpoint(ingest, "alice"), content=sdp, headers=h) for h in (fresh, stale)]
        forged = await http.get(healthz, headers={"Authorization": f"Bearer {mint_time(b'x' * 32, 0)}"})
        return [answer.status_code for answer in (told, *asked, forged, await http.get(healthz))]

    assert ask(statuses) == [200, 201, 401, 401, 200]


def test_a_bad_offer_is_refused_with_a_reason_and_leaves_nothing() -> None:
    wrong: dict[str, tuple[str | bytes, dict[str, str], int]] = {
        "empty": ("", bearer(), 400),
        "no sdp": ("not an offer", bearer(), 400),
        "torn": ("v=0\r\nm=video", bearer(), 400),
        "binary": (b"\xff\xfe", bearer(), 400),
        "too long": ("v=0" + "x" * whip.MAX_SDP_BYTES, bearer(), 400),
        "json": ("{}", bearer() | {"Content-Type": "application/json"}, 415),
    }

    async def statuses(ingest: Ingest, http: httpx.AsyncClient) -> dict[str, int]:
        found = {}
        for name, (content, headers, _) in wrong.items():
            answer = await http.post(endpoint(ingest, "alice"), content=content, headers=headers)
            assert answer.text and ingest.whip.publishers == [] and list(ingest.rooms) == []
            found[name] = answer.status_code
        return found

    assert ask(statuses) == {name: status for name, (_, _, status) in wrong.items()}


def test_an_offer_of_a_data_channel_is_refused() -> None:
    async def publish(ingest: Ingest, http: httpx.AsyncClient) -> httpx.Response:
        return await http.post(endpoint(ingest, "alice"), content=await offer("application"), headers=bearer())

    assert ask(publish).status_code == 400


def test_a_uid_of_65_characters_is_refused() -> None:
    uid = "u" * 65
    answer = ask(lambda ingest, http: http.post(endpoint(ingest, uid), content="v=0", headers=bearer(uid=uid)))
    assert answer.status_code == 400 and "64" in answer.text


def test_a_uid_is_any_text_also_with_a_slash() -> None:
    uid = "Zoë/2 ?#%"

    async def publish(ingest: Ingest, http: httpx.AsyncClient) -> httpx.Response:
        url = endpoint(ingest, quote(uid, safe=""))
        answer = await http.post(url, content=await offer(), headers=bearer(uid=uid))
        assert [p.user.id for p in ingest.whip.publishers] == [uid]
        assert (await http.delete(httpx.URL(url).join(answer.headers["Location"]))).status_code == 200
        assert (await http.post(url + "/more", content="v=0", headers=bearer(uid=uid))).status_code == 404
        return answer

    assert ask(publish).status_code == 201


def test_a_full_ingest_says_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "MAX_PUBLISHERS", 0)
    answer = ask(lambda ingest, http: http.post(endpoint(ingest, "alice"), content="v=0", headers=bearer()))
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


def test_an_accepted_offer_has_answer_session_url_and_tag_and_offers_loopback_only() -> None:
    async def publish(ingest: Ingest, http: httpx.AsyncClient) -> httpx.Response:
        answer = await http.post(endpoint(ingest, "alice"), content=await offer(), headers=bearer())
        session = httpx.URL(endpoint(ingest, "alice")).join(answer.headers["Location"])
        assert len(ingest.whip.publishers) == 1
        assert (await http.put(session, content="a=candidate")).status_code == 405
        assert (await http.delete(session)).status_code == 200
        assert ingest.whip.publishers == []
        assert (await http.delete(session)).status_code == 404
        return answer

    answer = ask(publish)
    assert answer.status_code == 201 and answer.headers["Content-Type"] == "application/sdp"
    assert answer.headers["ETag"].startswith('"') and "recvonly" in answer.text
    candidates = [line.split() for line in answer.text.splitlines() if line.startswith("a=candidate:")]
    assert candidates and {c[4] for c in candidates} == {"127.0.0.1"}


def test_the_token_may_stand_in_the_query_as_a_redirect_leaves_it() -> None:
    async def publish(ingest: Ingest, http: httpx.AsyncClient) -> httpx.Response:
        url = f"{endpoint(ingest, 'alice')}?token={token(Audience.WHIP_INGEST, 'alice')}"
        return await http.post(url, content=await offer("audio"), headers=SDP)

    assert ask(publish).status_code == 201


def test_a_page_of_another_origin_may_publish_and_read_the_session_url() -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = ask(lambda ingest, http: http.options(endpoint(ingest, "alice"), headers=asked))
    assert preflight.status_code == 200 and preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()

    origin = {"Origin": "https://app.example"}
    answer = ask(lambda ingest, http: http.post(endpoint(ingest, "alice"), content="v=0", headers=SDP | origin))
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]


def test_plain_options_say_what_may_be_posted() -> None:
    answer = ask(lambda ingest, http: http.options(endpoint(ingest, "alice")))
    assert answer.status_code == 204 and answer.headers["Accept-Post"] == "application/sdp"


def test_rooms_are_told_on_this_host_and_elsewhere_only_with_the_farms_token() -> None:
    proxied = {"X-Forwarded-For": "203.0.113.7"}

    async def rooms(ingest: Ingest, http: httpx.AsyncClient) -> httpx.Response:
        base = f"http://127.0.0.1:{ingest.port}"
        assert (await http.get(f"{base}/healthz")).json() == {"status": "ok"}
        assert (await http.get(f"{base}/rooms", headers=proxied)).status_code == 401
        farm = {"Authorization": f"Bearer {token(Audience.ROOMS, '')}"}
        assert (await http.get(f"{base}/rooms", headers=proxied | farm)).status_code == 200
        return await http.get(f"{base}/rooms")

    assert ask(rooms).json() == {"rooms": [], "publishers": 0}
