"""Real WebRTC on loopback: publishers → ingest → socket → recorder, and what came out is judged."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import av
import httpx
import pytest
from aiortc.rtp import RTCP_PSFB_APP, AnyRtcpPacket, RtcpPsfbPacket, RtcpRrPacket

from farm.publisher.publisher import SyntheticPublisher
from models.tokens import Audience
from models.vocabulary.channel import EventKind, TrackKind, Unit
from models.vocabulary.errors import ChannelRefused
from tests.ingest.rigs import SMALL, Recording, endpoint, publisher, recording, running_ingest, token, until
from workers.ingest.process import Ingest
from workers.ingest.publisher import Patience
from workers.synthetic.plan import MediaPlan

FAST = Patience(connect_s=5.0, silent_s=1.0)


def decoded(units: list[Unit]) -> int:
    """Frames that come out of a decoder."""
    decoder = av.CodecContext.create({"h264": "h264", "vp8": "vp8", "opus": "libopus"}[units[0].codec], "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]  # type: ignore[attr-defined]  # on the codec's own class
    return len(frames + decoder.decode(None))  # type: ignore[attr-defined]  # as above


def off_source(units: list[Unit], source: SyntheticPublisher, step_s: float) -> list[float]:
    """How far each unit's time is from when it was due at its source."""
    assert source.started_at is not None
    elapsed = [unit.t - source.started_at for unit in units]
    return [e - round(e / step_s) * step_s for e in elapsed]


def holes(units: list[Unit], step_s: float) -> int:
    return sum(round((b.t - a.t) / step_s) - 1 for a, b in itertools.pairwise(units))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_two_users_are_recorded_twice_at_once_whole_and_in_sync() -> None:
    async def run() -> tuple[Recording, Recording, dict[str, SyntheticPublisher]]:
        async with running_ingest() as ingest, recording(ingest) as first:
            users = {
                "alice": publisher(ingest, "alice", replace(SMALL, user_no=1)),
                "bob": publisher(ingest, "bob", replace(SMALL, user_no=2, codec="vp8")),
            }
            await users["alice"].open()
            await until(lambda: len(first.of("alice", TrackKind.VIDEO)) >= 15)
            await users["bob"].open()
            async with recording(ingest) as second:
                await until(lambda: all(len(second.of(uid, TrackKind.VIDEO)) >= 40 for uid in users), 20)
                rooms = (await httpx.AsyncClient().get(f"http://127.0.0.1:{ingest.port}/rooms")).json()["rooms"]
                assert rooms == [{"appid": "app", "cname": "room one", "users": ["alice", "bob"], "recorders": 2}]
                await users["alice"].close()
                await until(lambda: first.saw(EventKind.LEFT, "alice") and second.saw(EventKind.LEFT, "alice"))
                await users["bob"].close()
                await until(lambda: first.saw(EventKind.LEFT, "bob") and second.saw(EventKind.LEFT, "bob"))
            return first, second, users

    first, second, users = asyncio.run(run())
    assert first.kinds()[0] is EventKind.SYNCED, "nobody was there"
    assert second.kinds().index(EventKind.SYNCED) >= 3, "alice and her tracks were"
    for recorder in (first, second):
        assert [e.seq for e in recorder.events] == sorted({e.seq for e in recorder.events})
    for uid, source in users.items():
        for recorder in (first, second):
            video, audio = recorder.of(uid, TrackKind.VIDEO), recorder.of(uid, TrackKind.AUDIO)
            assert video[0].codec == ("h264" if uid == "alice" else "vp8") and audio[0].codec == "opus"
            assert video[0].key and len(video) >= 40 and len(audio) >= 40 / SMALL.fps * 50 - 5
            assert not any(unit.gap for unit in video + audio)
            assert decoded(video) == len(video) and decoded(audio) >= len(audio) - 1
            assert {u.duration_s for u in audio} == {0.02}
            video, audio = video[15:], audio[50:]  # a track's first second finds its time
            assert holes(video, 1 / SMALL.fps) == 0 and holes(audio, 0.02) == 0
            off_video, off_audio = off_source(video, source, 1 / SMALL.fps), off_source(audio, source, 0.02)
            assert abs(mean(off_video) - mean(off_audio)) < 0.010, "sound and picture of one user belong together"
            assert abs(mean(off_video)) < 0.020, "and to when they were sent"


def test_a_publisher_killed_without_a_word_is_noticed_and_may_come_again() -> None:
    async def run() -> Recording:
        async with running_ingest(FAST) as ingest, recording(ingest) as kept:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "farm.publisher", endpoint(ingest, "alice"), "--user", "alice"),
                *("--size", "160x90", "--fps", "15"),
                env=os.environ | {"REELYARD_WHIP_TOKEN": token(Audience.WHIP_INGEST, "alice")},
            )
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) > 10, 20)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await until(lambda: kept.saw(EventKind.LEFT, "alice"), 4)
            assert ingest.whip.publishers == []
            again = publisher(ingest, "alice")
            await again.open()
            await until(lambda: len(kept.tracks) == 4)
            await again.close()
            return kept

    kept = asyncio.run(run())
    assert kept.kinds().count(EventKind.JOINED) == 2
    assert len({track.id for track in kept.tracks.values()}) == 4, "a rejoin makes new tracks"


def test_the_same_user_publishing_again_replaces_his_old_self() -> None:
    async def run() -> Recording:
        async with running_ingest() as ingest, recording(ingest) as kept:
            old, new = publisher(ingest, "alice"), publisher(ingest, "alice", replace(SMALL, user_no=2))
            await old.open()
            await until(lambda: len(kept.tracks) == 2)
            await new.open()
            await until(lambda: len(kept.tracks) == 4)
            await until(lambda: len(ingest.whip.publishers) == 1)
            assert not any(
                event.kind is EventKind.LEFT for event in kept.events[kept.kinds().index(EventKind.LEFT) + 1 :]
            )
            await new.close()
            await old.close()
            await until(lambda: kept.kinds().count(EventKind.LEFT) == 2)
            return kept

    kept = asyncio.run(run())
    story = [e.kind for e in kept.events if e.kind in (EventKind.JOINED, EventKind.LEFT)]
    assert story == [EventKind.JOINED, EventKind.LEFT, EventKind.JOINED, EventKind.LEFT]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_at_five_percent_loss_the_picture_goes_on(codec: str) -> None:
    chance = random.Random(5)
    plan = MediaPlan(codec=codec, width=320, height=180, fps=30, loop_s=2)  # type: ignore[arg-type]  # one of the two

    async def run() -> Recording:
        drops = lambda packet: packet.payload_type > 96 and chance.random() < 0.05  # noqa: E731  (video and its retransmissions)
        async with running_ingest(drops=drops) as ingest, recording(ingest) as kept:
            source = publisher(ingest, "alice", plan)
            await source.open()
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) >= 80, 20)
            await source.close()
            await until(lambda: kept.saw(EventKind.LEFT))
            return kept

    kept = asyncio.run(run())
    video = kept.of("alice", TrackKind.VIDEO)
    assert len(video) >= 0.97 * (video[-1].t - video[0].t) * 30 and decoded(video) == len(video)
    assert max(b.t - a.t for a, b in itertools.pairwise(video)) < 1.0
    assert all(b.gap or round((b.t - a.t) * 30) == 1 for a, b in itertools.pairwise(video)), "each hole is said"


def test_an_ingest_that_ends_tells_its_publishers_to_go() -> None:
    async def run() -> None:
        async with running_ingest() as ingest:
            source = publisher(ingest, "alice")
            await source.open()
        await until(lambda: source._connection is not None and source._connection.connectionState == "closed")
        await source.close()

    asyncio.run(run())


def test_a_publisher_follows_the_gateways_redirect_without_taking_its_token_along() -> None:
    async def run() -> None:
        async with running_ingest() as ingest:
            heads: list[str] = []

            async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                location = f"{endpoint(ingest, 'alice')}?token={token(Audience.WHIP_INGEST, 'alice')}"
                head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode())
                await writer.drain()
                writer.close()

            gateway = await asyncio.start_server(redirect, "127.0.0.1", 0)
            url = f"http://127.0.0.1:{gateway.sockets[0].getsockname()[1]}/whip/app/room%20one/alice"
            source = SyntheticPublisher(url, "the gateway's token", SMALL)
            await source.open()
            assert "the gateway's token" in heads[0] and ingest.whip.publishers
            await source.close()
            assert not ingest.whip.publishers
            gateway.close()

    asyncio.run(run())


def test_a_publisher_is_told_what_arrived_and_how_much_may() -> None:
    """Without these a browser would stay at its first bit rate."""

    async def run() -> list[AnyRtcpPacket]:
        told: list[AnyRtcpPacket] = []
        async with running_ingest() as ingest:
            source = publisher(ingest, "alice")
            await source.open()
            assert source._connection is not None
            for sender in source._connection.getSenders():
                if sender.kind == "video":
                    sender._handle_rtcp_packet = _keeping(told)  # type: ignore[method-assign,assignment]  # there is no hook
            await until(lambda: any(isinstance(p, RtcpPsfbPacket) and p.fmt == RTCP_PSFB_APP for p in told))
            await until(lambda: any(isinstance(p, RtcpRrPacket) for p in told))
            await source.close()
        return told

    told = asyncio.run(run())
    report = next(p for p in told if isinstance(p, RtcpRrPacket))
    assert report.reports[0].packets_lost == 0 and report.reports[0].highest_sequence > 0


def _keeping(told: list[AnyRtcpPacket]) -> Callable[[AnyRtcpPacket], Coroutine[Any, Any, None]]:
    async def keep(packet: AnyRtcpPacket) -> None:
        told.append(packet)

    return keep


def test_a_refused_publisher_says_why() -> None:
    async def run(ingest: Ingest) -> None:
        with pytest.raises(ChannelRefused, match="401"):
            await SyntheticPublisher(endpoint(ingest, "alice"), "wrong", SMALL).open()

    async def serve() -> None:
        async with running_ingest() as ingest:
            await run(ingest)

    asyncio.run(serve())


def test_the_process_starts_from_settings_and_ends_on_sigterm() -> None:
    async def run() -> None:
        environment = os.environ | {
            "REELYARD_SECRET_KEYS": "k",
            "REELYARD_INGEST_BIND": "127.0.0.1:0",
            "REELYARD_INGEST_UNITS_BIND": "127.0.0.1:0",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.ingest", env=environment, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        async with asyncio.timeout(20):
            while b"ingest listens" not in await process.stderr.readline():
                pass
            process.send_signal(signal.SIGTERM)
            await process.stderr.read()
            assert await process.wait() == 0

    asyncio.run(run())
