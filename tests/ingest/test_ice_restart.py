"""A publisher whose network has changed goes on in his session: ICE restart and more candidates by PATCH (RFC 9725 §4.3)."""

from __future__ import annotations

import asyncio
import itertools

import httpx
import pytest
from aiortc.rtcicetransport import RTCIceTransport

from farm.publisher.publisher import SyntheticPublisher
from models.vocabulary.channel import EventKind, TrackKind
from models.vocabulary.errors import BadBody
from tests.ingest.rigs import SMALL, publisher, recording, running_ingest, until
from workers.webrtc import fragment
from workers.webrtc.fragment import Fragment
from workers.webrtc.ice import MAX_CANDIDATES
from workers.webrtc.icesession import SecondSession

CANDIDATE = "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
RESTART = {"Content-Type": fragment.TYPE, "If-Match": "*"}


def transport_of(user: SyntheticPublisher) -> RTCIceTransport:
    assert user._connection is not None
    return user._connection.getSenders()[0].transport.transport


async def cut_off(user: SyntheticPublisher) -> None:
    """As when a laptop leaves its network: nothing goes out, and nobody is told."""

    async def nowhere(data: bytes) -> None:
        """Lost."""

    transport = transport_of(user)
    transport._send = nowhere
    for protocol in transport._connection._protocols:
        protocol.transport.sendto = lambda *_: None  # type: ignore[method-assign]  # checks are lost, too


async def restart(http: httpx.AsyncClient, user: SyntheticPublisher, *, connects: bool = True) -> httpx.Response:
    session = SecondSession(transport_of(user))
    ours = await session.gather()
    body = fragment.rendered(ours, "0", "audio")
    answer = await http.patch(user.location, content=body, headers=RESTART)
    if answer.status_code == 200 and connects:
        await session.take_over(fragment.parsed(answer.text))
    else:
        await session.close()
    return answer


def test_who_comes_by_another_way_goes_on_in_his_tracks() -> None:
    async def run() -> None:
        async with running_ingest() as ingest, recording(ingest) as kept, httpx.AsyncClient() as http:
            alice = publisher(ingest, "alice", SMALL)
            await alice.open()
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) >= 10)
            [here] = ingest.whip.publishers
            tag, sockets = here.etag, list(transport_of(alice)._connection._protocols)
            await cut_off(alice)
            answer = await restart(http, alice)
            assert (answer.status_code, answer.headers["ETag"]) == (200, f'"{here.etag}"') and here.etag != tag
            count = len(kept.of("alice", TrackKind.VIDEO))
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) > count + 20)
            assert all(protocol.transport.is_closing() for protocol in sockets), "the old way is given up"
            assert len(kept.tracks) == 2 and not kept.saw(EventKind.LEFT)
            sounds = kept.of("alice", TrackKind.AUDIO)
            assert all(a.t < b.t for a, b in itertools.pairwise(sounds))
            second = await restart(http, alice)
            assert second.status_code == 200, "and again"
            count = len(kept.of("alice", TrackKind.VIDEO))
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) > count + 10)
            await alice.close()
            await until(lambda: kept.saw(EventKind.LEFT, "alice"))

    asyncio.run(run())


def test_a_restart_that_comes_to_nothing_costs_nothing() -> None:
    async def run() -> None:
        async with running_ingest() as ingest, recording(ingest) as kept, httpx.AsyncClient() as http:
            alice = publisher(ingest, "alice", SMALL)
            await alice.open()
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) >= 10)
            assert (await restart(http, alice, connects=False)).status_code == 200
            count = len(kept.of("alice", TrackKind.VIDEO))
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) > count + 10)
            assert not any(unit.gap for unit in kept.of("alice", TrackKind.VIDEO)) and not kept.saw(EventKind.LEFT)
            await alice.close()
            assert ingest.whip.publishers == []

    asyncio.run(run())


def test_of_restarts_asked_for_at_once_the_last_one_is_tried_and_no_socket_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[SecondSession] = []

    class Watched(SecondSession):
        def __init__(self, transport: RTCIceTransport) -> None:
            super().__init__(transport)
            begun.append(self)

    monkeypatch.setattr("workers.ingest.publisher.SecondSession", Watched)

    async def run() -> None:
        async with running_ingest() as ingest, httpx.AsyncClient() as http:
            alice = publisher(ingest, "alice", SMALL)
            await alice.open()
            theirs = [fragment.rendered(Fragment(f"abc{n}", "0123456789012345678901"), "0", "audio") for n in range(8)]
            asked = [http.patch(alice.location, content=body, headers=RESTART) for body in theirs]
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
            await until(lambda: sum(bool(session._connection._protocols) for session in begun) == 1)
            [here] = ingest.whip.publishers
            late = [asyncio.create_task(here.restart(fragment.parsed(body))) for body in theirs]
            await alice.close()
            await asyncio.gather(*late, return_exceptions=True)
            await until(lambda: not any(session._connection._protocols for session in begun))

    asyncio.run(run())


def test_a_session_takes_so_many_candidates_and_no_more() -> None:
    async def run() -> int:
        async with running_ingest() as ingest, httpx.AsyncClient() as http:
            alice = publisher(ingest, "alice", SMALL)
            await alice.open()
            [here] = ingest.whip.publishers
            headers = {"Content-Type": fragment.TYPE, "If-Match": f'"{here.etag}"'}
            for n in range(4):
                lines = [CANDIDATE.replace(" 9 ", f" {20_000 + 32 * n + m} ") for m in range(32)]
                answer = await http.patch(alice.location, content="\r\n".join(lines), headers=headers)
                assert answer.status_code == 204
            count = len(here._transport._connection.remote_candidates)
            await alice.close()
            return count

    assert asyncio.run(run()) <= MAX_CANDIDATES


def test_a_fragment_is_for_the_session_that_its_tag_names() -> None:
    async def run() -> dict[str, int]:
        async with running_ingest() as ingest, httpx.AsyncClient() as http:
            alice = publisher(ingest, "alice", SMALL)
            await alice.open()
            [here] = ingest.whip.publishers
            tag = f'"{here.etag}"'
            asks = {
                "more candidates": ({"If-Match": tag}, CANDIDATE, alice.location),
                "an old tag": ({"If-Match": '"other"'}, CANDIDATE, alice.location),
                "no tag": ({}, CANDIDATE, alice.location),
                "nonsense": ({"If-Match": "*"}, "v=0", alice.location),
                "half of the credentials": ({"If-Match": "*"}, "a=ice-ufrag:abcd", alice.location),
                "another type": ({"If-Match": "*", "Content-Type": "application/sdp"}, CANDIDATE, alice.location),
                "another session": ({"If-Match": "*"}, CANDIDATE, alice.location + "x"),
            }
            answers = {
                name: (await http.patch(url, content=body, headers={"Content-Type": fragment.TYPE} | more)).status_code
                for name, (more, body, url) in asks.items()
            }
            await alice.close()
            return answers

    assert list(asyncio.run(run()).values()) == [204, 412, 428, 400, 400, 415, 404]


def test_a_fragment_keeps_what_can_be_used() -> None:
    text = "\r\n".join(
        [
            "a=ice-options:trickle ice2",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "a=mid:0",
            "a=ice-ufrag:abcd",
            "a=ice-pwd:0123456789012345678901",
            CANDIDATE,
            "a=candidate:2 1 udp 2130706431 5f3c.local 9 typ host",
            "a=candidate:3 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active",
            "a=end-of-candidates",
        ]
    )
    found = fragment.parsed(text)
    assert (found.ufrag, found.password) == ("abcd", "0123456789012345678901")
    assert [(candidate.host, candidate.port) for candidate in found.candidates] == [("127.0.0.1", 9)]
    text = fragment.rendered(found, "0", "audio")
    assert fragment.rendered(fragment.parsed(text), "0", "audio") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a=ice-ufrag:abcd",
        "a=ice-ufrag:abc\r\na=ice-pwd:0123456789012345678901",
        "a=ice-ufrag:abcd\r\na=ice-pwd:short",
    ],
)
def test_a_fragment_without_sense_is_refused(text: str) -> None:
    with pytest.raises(BadBody):
        fragment.parsed(text)


def test_a_fragment_of_a_thousand_candidates_has_as_many_as_we_take() -> None:
    found = fragment.parsed("\r\n".join([CANDIDATE] * 1000))
    assert len(found.candidates) == 32 and found == Fragment("", "", found.candidates)
