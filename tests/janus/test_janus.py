"""The channel of a real Janus: Janus killed, layers, rooms that may not be entered."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from pathlib import Path

import pytest

from models.vocabulary.channel import EventKind, Layer, TrackKind, Unit
from models.vocabulary.errors import ChannelAddressInvalid, ChannelError, ChannelRefused, ChannelUnreachable
from tests.capture.conformance import sizes
from tests.capture.kept import keeping
from tests.ingest.rigs import until
from tests.janus.server import Control, JanusPublisher, JanusServer, at_janus, channel, room_at
from tests.janus.simulcast import SimulcastPublisher
from workers.recorder.capture.janus.channel import JanusChannel
from workers.recorder.clock import RealClock
from workers.synthetic.plan import MediaPlan, VideoCodec

pytestmark = pytest.mark.usefixtures("janus")


def test_a_janus_that_is_killed_and_comes_back_is_recorded_on(tmp_path: Path) -> None:
    plan = MediaPlan(width=160, height=90, fps=15, loop_s=2)

    async def story(server: JanusServer, control: Control) -> None:
        alice = JanusPublisher("alice", plan)
        await alice.open()
        async with keeping(channel(), room_at()) as kept:
            await until(lambda: kept.of("alice", TrackKind.VIDEO))
            before = kept.channel.anchor(RealClock().now())
            server.kill()
            await until(lambda: kept.saw(EventKind.RECONNECTING))
            await asyncio.sleep(0.5)
            server.start_again()
            again = await Control.open()
            await again.make_room()
            back = JanusPublisher("alice", plan)
            await back.open()
            await until(lambda: kept.saw(EventKind.CONNECTED))
            await until(lambda: any(u.gap for u in kept.of("alice", TrackKind.VIDEO)) or len(kept.tracks) == 4)
            units = kept.of("alice", TrackKind.VIDEO)
            count = len(units)
            await until(lambda: len(kept.of("alice", TrackKind.VIDEO)) > count + 5)
            assert EventKind.CLOSED not in kept.kinds()
            after = kept.channel.anchor(RealClock().now())
            assert before.clock_id == after.clock_id and after.zero_s - before.zero_s < 60
            await again.handle.ask({"request": "destroy", "room": "room one"})
            await until(lambda: kept.saw(EventKind.CLOSED))
            await back.close()
            await again.close()
        await alice.close()

    at_janus(tmp_path, story)


def test_a_connection_that_falls_silent_is_made_again_under_the_same_tracks(tmp_path: Path) -> None:
    async def story(server: JanusServer, control: Control) -> None:
        alice = JanusPublisher("alice", MediaPlan(width=160, height=90, fps=15, loop_s=2))
        await alice.open()
        async with keeping(joined := channel(), room_at()) as kept:
            await until(lambda: kept.of("alice", TrackKind.VIDEO))
            [feed] = joined._feeds
            assert feed._connection is not None
            for receiver in feed._connection.getTransceivers():
                await receiver.receiver.transport.transport._connection.close()
            await until(lambda: any(u.gap for u in kept.of("alice", TrackKind.VIDEO)))
            units = kept.of("alice", TrackKind.VIDEO)
            assert next(u for u in units if u.gap).key and len(kept.tracks) == 2
            assert joined.stats()["restarts"] == 1
        await alice.close()

    at_janus(tmp_path, story)


def _longer(units: list[Unit], than: int) -> bool:
    return len(units) > than


def test_asking_for_another_layer_loses_no_unit(tmp_path: Path) -> None:
    async def story(server: JanusServer, control: Control) -> None:
        alice = JanusPublisher("alice", MediaPlan(width=160, height=90, fps=15, loop_s=2))
        await alice.open()
        async with keeping(channel(), room_at()) as kept:
            await until(lambda: kept.of("alice", TrackKind.VIDEO))
            [track] = kept.tracks_of("alice", TrackKind.VIDEO)
            units = kept.units[track.id]
            for layer in (Layer.LOW, Layer.HIGH):
                await kept.channel.subscribe(track.id, units.append, layer)
                count = len(units)
                await until(partial(_longer, units, count + 5))
            assert all(round((b.t - a.t) * 15) == 1 for a, b in itertools.pairwise(units))
        await alice.close()

    at_janus(tmp_path, story)


@pytest.mark.parametrize("codec", ["vp8", pytest.param("h264", marks=pytest.mark.slow)])
def test_of_a_simulcast_publisher_comes_the_layer_that_is_asked_for(tmp_path: Path, codec: VideoCodec) -> None:
    sizes_sent = ((80, 46), (160, 90), (320, 180))
    plans = [MediaPlan(1, codec, *size, 15, loop_s=2) for size in sizes_sent]

    async def story(server: JanusServer, control: Control) -> None:
        alice = SimulcastPublisher("alice", plans)
        await alice.open()
        async with keeping(channel(), room_at()) as kept:
            await until(lambda: kept.of("alice", TrackKind.VIDEO))
            [track] = kept.tracks_of("alice", TrackKind.VIDEO)
            units = kept.units[track.id]
            for layer, size in ((Layer.HIGH, sizes_sent[2]), (Layer.LOW, sizes_sent[0]), (Layer.HIGH, sizes_sent[2])):
                await kept.channel.subscribe(track.id, units.append, layer)
                await until(lambda size=size: sizes(units)[-5:] == [size] * 5)  # type: ignore[misc]  # bound at once
        assert len(sizes(units)) >= len(units) - 1, "each picture decodes"
        assert all(0 < b.t - a.t < 0.5 for a, b in itertools.pairwise(units)), "and time goes on"
        await alice.close()

    at_janus(tmp_path, story)


def test_rooms_by_number_by_map_with_a_pin_and_users_by_name(tmp_path: Path) -> None:
    async def story(server: JanusServer, control: Control) -> None:
        await control.make_room(7, pin="1357")
        bob = JanusPublisher(17, MediaPlan(width=160, height=90, fps=15, loop_s=2), room=7, pin="1357")
        await bob.open()
        for options, cname, uid in (
            ("rooms=number", "7", "17"),
            ("rooms=map&room=algebra:7&users=display", "algebra", "17"),
        ):
            where = f"janus+ws://127.0.0.1:8188?{options}"
            async with keeping(channel(), room_at(cname, token="1357", where=where)) as kept:
                await until(partial(kept.of, uid, TrackKind.AUDIO))
        where = "janus+ws://127.0.0.1:8188?rooms=number"
        with pytest.raises(ChannelRefused, match="pin"):
            await channel().open(room_at("7", token="2468", where=where))
        with pytest.raises(ChannelRefused, match="426"):
            await channel().open(room_at("8", where=where))
        with pytest.raises(ChannelAddressInvalid):
            await channel().open(room_at("algebra", where=where))
        server.kill()
        with pytest.raises(ChannelUnreachable):
            await channel().open(room_at("7", where=where))
        with pytest.raises(ChannelError, match="REELYARD_ALLOW_NETWORKS"):
            await JanusChannel(RealClock(), (), ("127.77.0.1",)).open(room_at("7", where=where))
        await bob.close()

    at_janus(tmp_path, story, rooms=[1])
