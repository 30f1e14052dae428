"""The unit server and the channel that reads it, over real sockets, without WebRTC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from models.tokens import Audience
from models.vocabulary.channel import Anchor, EventKind, Room, Track, TrackKind, TrackSource, Unit, User
from models.vocabulary.errors import ChannelAddressInvalid, ChannelRefused, ChannelUnreachable
from models.vocabulary.units import Auth, Carried, Decoder, Subscribe, encode
from tests.ingest.rigs import APPID, CNAME, KEY, Recording, room_at, token, until
from workers.ingest import units as units_module
from workers.ingest.room import Room as IngestRoom
from workers.ingest.room import RoomName, Rooms
from workers.ingest.units import UnitServer
from workers.recorder.capture.whip import WhipChannel
from workers.recorder.clock import RealClock

TRACK = Track("t1", "alice", TrackKind.VIDEO, TrackSource.CAMERA, "h264")
SOUND = Track("t2", "alice", TrackKind.AUDIO, TrackSource.MICROPHONE, "opus")


@asynccontextmanager
async def unit_server(port: int = 0, clock_id: str = "") -> AsyncIterator[tuple[UnitServer, int]]:
    server = UnitServer(Rooms(time.monotonic), [KEY], time.monotonic, time.time)
    server.clock_id = clock_id or server.clock_id
    listening = await server.listen("127.0.0.1", port)
    try:
        yield server, listening
    finally:
        await server.close()


@asynccontextmanager
async def recorder(port: int) -> AsyncIterator[Recording]:
    kept = Recording(WhipChannel(RealClock()))
    await kept.channel.open(room_at(port))
    following = asyncio.create_task(kept.follow())
    try:
        yield kept
    finally:
        await kept.channel.close()
        await following


def furnished(server: UnitServer, asked: list[str] | None = None) -> IngestRoom:
    room = server.rooms.enter(RoomName(APPID, CNAME))
    room.join(User("alice"), "a")
    room.add_track(TRACK, lambda: (asked if asked is not None else []).append("key"))
    room.add_track(SOUND, lambda: None)
    return room


def picture(n: int, key: bool = False, size: int = 1000) -> Unit:
    return Unit("t1", "h264", n.to_bytes(4, "big") * (size // 4), 100 + n / 30, key)


def test_a_recorder_gets_the_snapshot_then_units_from_a_key_unit_on() -> None:
    async def run() -> None:
        async with unit_server() as (server, port):
            room = furnished(server)
            async with recorder(port) as kept:
                await until(lambda: len(kept.events) == 4)
                assert kept.kinds() == [*[EventKind.JOINED], *[EventKind.TRACK_ADDED] * 2, EventKind.SYNCED]
                await until(lambda: all(len(f.sinks) == 1 for f in room._feeds.values()))
                for n in range(6):
                    room.unit(picture(n, key=n in (2, 4)))
                sound = Unit("t2", "opus", b"\x78abc", 100.5, True, 0.02, gap=True)
                room.unit(sound)
                await until(lambda: kept.units["t2"] and len(kept.units["t1"]) == 4)
                assert kept.units["t1"] == [picture(n, key=n in (2, 4)) for n in (2, 3, 4, 5)]
                assert kept.units["t2"] == [sound]

    asyncio.run(run())


def test_unsubscribing_ends_the_flow_and_a_key_unit_can_be_asked_for() -> None:
    async def run() -> None:
        asked: list[str] = []
        async with unit_server() as (server, port):
            room = furnished(server, asked)
            async with recorder(port) as kept:
                await until(lambda: asked == ["key"])
                assert await kept.channel.request_keyframe("t1")
                await until(lambda: asked == ["key", "key"])
                await kept.channel.unsubscribe("t1")
                await until(lambda: room._feeds["t1"].sinks == [])
                assert not await kept.channel.request_keyframe("t1")
                await kept.channel.subscribe("no such track", lambda unit: None)

    asyncio.run(run())


def test_a_recorder_that_does_not_read_loses_pictures_up_to_a_key_unit_and_delays_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slow one's socket takes some MB; a limit of 1 MB above that is enough to see it."""
    monkeypatch.setattr(units_module, "MAX_UNSENT_BYTES", 1 << 20)

    async def run() -> None:
        async with unit_server() as (server, port):
            room = furnished(server)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(encode(Auth(token(Audience.UNITS, "slow"))) + encode(Subscribe(7, "t1")))
            async with recorder(port) as kept:
                await until(lambda: len(room._feeds["t1"].sinks) == 2)
                for first in range(0, 400, 20):  # in bursts that a reading recorder easily takes
                    for n in range(first, first + 20):
                        room.unit(picture(n, key=n % 50 == 0, size=40_000))
                    await until(lambda first=first: len(kept.units["t1"]) == first + 20)  # type: ignore[misc]  # bound at once
                assert kept.channel.stats()["gaps"] == 0
                slow = await _read_late(reader, room)
            writer.close()
        numbers = [int.from_bytes(unit.data[:4], "big") for unit in slow]
        assert numbers == sorted(set(numbers)) and len(numbers) < 401
        for before, unit, number in zip(numbers, slow[1:], numbers[1:], strict=False):
            assert number == before + 1 or (unit.gap and unit.key)
        assert numbers[-1] == 1000, "and it goes on when it reads again"

    asyncio.run(run())


async def _read_late(reader: asyncio.StreamReader, room: IngestRoom) -> list[Unit]:
    """Begin to read, and have one more key unit made once there is room again."""
    decoder, silent = Decoder(), False
    units: list[Unit] = []
    while not units or units[-1].data[:4] != (1000).to_bytes(4, "big"):
        try:
            chunk = await asyncio.wait_for(reader.read(1 << 16), 0.3)
        except TimeoutError:
            assert not silent, "the last unit never came"
            silent = True
            room.unit(picture(1000, key=True))
            continue
        units += [frame.unit for frame in decoder.feed(chunk) if isinstance(frame, Carried)]
    return units


@pytest.mark.parametrize(
    ("bearer", "why"),
    [
        (token(Audience.WHIP, "r"), "token"),
        (token(Audience.UNITS, "r", ttl_s=-1), "expired"),
        ("", "token"),
    ],
)
def test_a_recorder_without_a_units_token_is_refused(bearer: str, why: str) -> None:
    async def run() -> None:
        async with unit_server() as (_, port):
            room = Room(f"whip:127.0.0.1:{port}", APPID, CNAME, "r", 0, {"token": bearer})
            with pytest.raises(ChannelRefused, match=why) as refused:
                await WhipChannel(RealClock()).open(room)
            assert refused.value.code == (109 if why == "expired" else 110)

    asyncio.run(run())


@pytest.mark.parametrize("address", ["whip:", "whip:host", "whip:host:port", "janus:127.0.0.1:80", "127.0.0.1:80"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(ChannelAddressInvalid, match="HOST:PORT"):
        asyncio.run(WhipChannel(RealClock()).open(Room(address, APPID, CNAME, "r", 0)))


def test_an_ingest_that_is_not_there_is_unreachable() -> None:
    async def run() -> None:
        async with unit_server() as (_, port):
            pass
        with pytest.raises(ChannelUnreachable, match=str(port)):
            await WhipChannel(RealClock()).open(room_at(port))

    asyncio.run(run())


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", encode(Subscribe(1, "t1")), b"\0\0\0\x05\x05abcd"])
def test_whoever_speaks_another_language_is_cut_off(noise: bytes) -> None:
    async def run() -> None:
        async with unit_server() as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(noise)
            with pytest.raises(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
                raise ConnectionResetError
            writer.close()
            await until(lambda: not server.links)

    asyncio.run(run())


def test_an_ingest_that_comes_back_is_found_again_and_what_changed_is_told() -> None:
    async def run() -> None:
        async with unit_server() as (server, port):
            furnished(server)
            room = server.rooms.enter(RoomName(APPID, CNAME))
            kept = Recording(WhipChannel(RealClock()))
            await kept.channel.open(room_at(port))
            following = asyncio.create_task(kept.follow())
            await until(lambda: room._feeds["t1"].sinks)
            room.unit(picture(0, key=True))
            await until(lambda: kept.units["t1"])
            anchor = kept.channel.anchor(123.5)
        await until(lambda: kept.saw(EventKind.RECONNECTING))
        async with unit_server(port) as (server, _):
            room = server.rooms.enter(RoomName(APPID, CNAME))
            room.join(User("alice"), "a")
            room.add_track(TRACK, lambda: None)
            await until(lambda: room._feeds["t1"].sinks)
            room.unit(picture(9, key=True))
            await until(lambda: len(kept.units["t1"]) == 2)
            assert kept.units["t1"][1].gap, "what was between is lost"
            assert kept.channel.time_of(anchor) == 123.5, "the clock is the host's, not the process's"
            await kept.channel.close()
            await following
        assert kept.kinds()[4:] == [
            EventKind.RECONNECTING,
            EventKind.TRACK_REMOVED,  # the sound, which did not come back
            EventKind.CONNECTED,
            EventKind.CLOSED,
        ]
        assert [event.seq for event in kept.events] == list(range(1, len(kept.events) + 1))

    asyncio.run(run())


def test_a_token_that_has_run_out_ends_the_channel_when_it_comes_again() -> None:
    async def run() -> None:
        channel = WhipChannel(RealClock())
        async with unit_server() as (_, port):
            await channel.open(room_at(port, ttl_s=1))
            await asyncio.sleep(1.1)
        async with unit_server(port):
            async with asyncio.timeout(10):
                events = [event async for event in channel.events()]
            await channel.close()
        assert [e.kind for e in events] == [EventKind.SYNCED, EventKind.RECONNECTING, EventKind.CLOSED]
        assert "expired" in events[-1].detail

    asyncio.run(run())


def test_times_of_another_host_are_told_on_our_clock_and_its_anchor_is_its_own() -> None:
    async def run() -> None:
        async with unit_server(clock_id="monotonic:another boot") as (server, port):
            server.now = lambda: time.monotonic() + 5000
            room = furnished(server)
            async with recorder(port) as kept:
                await until(lambda: room._feeds["t1"].sinks)
                sent_at = time.monotonic()
                room.unit(Unit("t1", "h264", b"x", sent_at + 5000, True))
                await until(lambda: kept.units["t1"])
                assert kept.units["t1"][0].t == pytest.approx(sent_at, abs=0.05)
                anchor = kept.channel.anchor(sent_at)
                assert anchor.clock_id == "monotonic:another boot"
                assert anchor.zero_s == pytest.approx(sent_at + 5000, abs=0.05)
                assert kept.channel.time_of(anchor) == pytest.approx(sent_at)
                assert kept.channel.time_of(Anchor("monotonic:ours", 1.0)) is None

    asyncio.run(run())
