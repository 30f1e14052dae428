"""The scripted room: what is told, when, and which units flow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vocabulary.channel import Anchor, EventKind, Unit
from models.vocabulary.errors import ChannelAddressInvalid
from tests.capture.rooms import Seen, act, room, scene, user, watch, watched
from workers.recorder.capture.opening import open_channel
from workers.recorder.capture.scripted import ScriptedChannel
from workers.recorder.clock import RealClock, VirtualClock, run_virtual
from workers.synthetic import marker
from workers.synthetic.marker import Marker, View
from workers.synthetic.planes import luma

JOIN, LEFT, ADDED, REMOVED = EventKind.JOINED, EventKind.LEFT, EventKind.TRACK_ADDED, EventKind.TRACK_REMOVED
MUTED, UNMUTED, SYNCED, CLOSED = EventKind.MUTED, EventKind.UNMUTED, EventKind.SYNCED, EventKind.CLOSED


def video_numbers(units: list[Unit], width: int = 160, height: int = 90) -> list[int | None]:
    """Decode, and read what each picture says."""
    decoder = av.CodecContext.create(units[0].codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    numbers: list[int | None] = []
    for unit in units:
        for frame in decoder.decode(av.Packet(unit.data)):
            found = marker.read(luma(frame), View(0, 0, width, height, width, height))
            numbers.append(found.number if found else None)
    return numbers


def test_a_scene_is_told_in_order_from_an_empty_room_to_its_end() -> None:
    alice = user("alice", act(1, "join"), act(1, "publish"), act(3, "mute", what=["audio"]), act(4, "leave"))
    bob = user("bob", act(2, "join"), act(5, "publish", what=["screen"]))
    seen = watched(scene(alice, bob, duration_s=6))
    assert seen.told() == [
        (0, SYNCED, ""),
        (1, JOIN, "alice"),
        (1, ADDED, "alice/audio/1"),
        (1, ADDED, "alice/video/2"),
        (2, JOIN, "bob"),
        (3, MUTED, "alice/audio/1"),
        (4, REMOVED, "alice/audio/1"),
        (4, REMOVED, "alice/video/2"),
        (4, LEFT, "alice"),
        (5, ADDED, "bob/screen/1"),
        (6, REMOVED, "bob/screen/1"),
        (6, LEFT, "bob"),
        (6, CLOSED, "the scene is over"),
    ]
    assert [e.seq for e in seen.events] == list(range(1, 14))


def test_whoever_joins_late_is_told_who_is_there_before_anything_else() -> None:
    alice = user("alice", act(0, "join"), act(0, "publish"), act(1, "mute", what=["video"]))
    gone = user("gone", act(0, "join"), act(0, "publish"), act(2, "leave"))
    seen = watched(scene(alice, gone, duration_s=5), late_s=2.5)
    assert seen.told()[:5] == [
        (2.5, JOIN, "alice"),
        (2.5, ADDED, "alice/audio/1"),
        (2.5, ADDED, "alice/video/2"),
        (2.5, MUTED, "alice/video/2"),
        (2.5, SYNCED, ""),
    ]
    assert seen.times("alice/audio/1")[0] == 2.5


def test_every_unit_comes_once_at_its_time_and_its_picture_says_its_number() -> None:
    seen = watched(scene(user("alice", act(0, "join"), act(0, "publish")), duration_s=12))
    video, audio = seen.units["alice/video/2"], seen.units["alice/audio/1"]
    assert seen.times("alice/video/2") == [round(n / 15, 6) for n in range(180)]
    assert seen.times("alice/audio/1") == [round(n / 50, 6) for n in range(600)]
    assert video_numbers(video) == [n % 150 for n in range(180)]
    assert {unit.duration_s for unit in audio} == {0.02}
    assert seen.order == sorted(seen.order)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_recorder_that_joins_inside_a_gop_starts_with_a_key_unit_at_once(codec: str) -> None:
    script = scene(user("alice", act(0, "join"), act(0, "publish"), codec=codec, gop_s=5), duration_s=4)
    units = watched(script, late_s=1.31).units["alice/video/2"]
    assert units[0].key
    assert sum(unit.key for unit in units) == 1
    assert video_numbers(units) == list(range(20, 60))


def test_a_requested_key_unit_is_the_next_unit_and_nothing_breaks() -> None:
    script = scene(user("alice", act(0, "join"), act(0, "publish", what=["video"]), gop_s=10), duration_s=4)

    async def main(clock: VirtualClock) -> tuple[list[Unit], bool]:
        channel = ScriptedChannel(clock, script)
        watching = asyncio.create_task(watch(clock, channel, clock.wall_ms()))
        await asyncio.sleep(2.02)
        assert await channel.request_keyframe("alice/video/1")
        assert not await channel.request_keyframe("nobody/video/1")
        return (await watching).units["alice/video/1"], True

    units, _ = run_virtual(main)
    assert [n for n, unit in enumerate(units) if unit.key] == [0, 31]
    assert video_numbers(units) == list(range(60))


def test_nothing_flows_while_muted_and_video_comes_back_with_a_key_unit() -> None:
    actions = (act(0, "join"), act(0, "publish"), act(1, "mute", what=["video"]), act(2.4, "unmute", what=["video"]))
    seen = watched(scene(user("alice", *actions, gop_s=10), duration_s=4))
    times = seen.times("alice/video/2")
    assert not [t for t in times if 1 <= t < 2.4]
    assert times[15] == 2.4
    assert seen.units["alice/video/2"][15].key
    assert not seen.units["alice/video/2"][15].gap
    assert len(seen.units["alice/audio/1"]) == 200


def test_who_comes_back_has_new_tracks_of_the_same_kind() -> None:
    alice = user("alice", act(0, "join"), act(0, "publish", what=["audio"]), act(1, "leave"), act(2, "rejoin"))
    seen = watched(scene(alice, duration_s=3))
    assert list(seen.units) == ["alice/audio/1", "alice/audio/2"]
    assert seen.times("alice/audio/1")[-1] == 0.98
    assert seen.times("alice/audio/2")[0] == 2


def test_a_turned_phone_sends_pictures_that_stand_upright_when_turned_back() -> None:
    actions = (act(0, "join"), act(0, "publish", what=["video"]), act(1, "rotate", degrees=90))
    units = watched(scene(user("alice", *actions), duration_s=2)).units["alice/video/1"]
    assert [unit.rotation for unit in units] == [0] * 15 + [90] * 15
    assert units[15].key
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    (frame,) = decoder.decode(av.Packet(units[15].data))[:1] or decoder.decode(None)
    upright = luma(frame)[::-1].T  # 90° clockwise
    assert marker.read(upright, View(0, 0, 90, 160, 90, 160)) == Marker(15, 1)


def test_size_and_codec_may_change_under_way() -> None:
    actions = (
        act(0, "join"),
        act(0, "publish", what=["video"]),
        act(1, "resize", width=320, height=180),
        act(2, "codec", codec="vp8"),
    )
    units = watched(scene(user("alice", *actions), duration_s=3)).units["alice/video/1"]
    assert [unit.codec for unit in units] == ["h264"] * 30 + ["vp8"] * 15
    assert [unit.key for unit in units[::15]] == [True] * 3
    assert video_numbers(units[15:30], 320, 180) == list(range(15, 30))


def test_corrupt_units_are_no_pictures_and_no_sound() -> None:
    actions = (act(0, "join"), act(0, "publish"), act(1, "corrupt", for_s=1))
    seen = watched(scene(user("alice", *actions), duration_s=3))
    bad = [unit for unit in seen.units["alice/video/2"] if 1 <= unit.t - seen.zero_t < 2]
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    for unit in bad:
        with pytest.raises(av.error.InvalidDataError):
            decoder.decode(av.Packet(unit.data))
    opus = av.CodecContext.create("opus", "r")
    assert isinstance(opus, av.AudioCodecContext)
    with pytest.raises(av.error.FFmpegError):
        opus.decode(av.Packet(seen.units["alice/audio/1"][75].data))
    assert video_numbers(seen.units["alice/video/2"][30:]) == list(range(30, 45))


def test_lost_units_are_missing_and_the_next_one_says_so() -> None:
    actions = (act(0, "join"), act(0, "publish"), act(1, "loss", percent=20, for_s=2), act(4, "stall", for_s=0.5))
    seen = watched(scene(user("alice", *actions), duration_s=6))
    times = seen.times("alice/audio/1")
    lost = 100 - len([t for t in times if 1 <= t < 3])
    assert 5 <= lost <= 40
    after_gap = [t for n, t in enumerate(times) if n and t - times[n - 1] > 0.021]
    assert after_gap == [t for t, unit in zip(times, seen.units["alice/audio/1"], strict=True) if unit.gap]
    assert after_gap[-1] == 4.5


def test_a_drifting_user_sends_at_his_own_rate() -> None:
    actions = (act(0, "join"), act(0, "publish", what=["audio"]))
    seen = watched(scene(user("fast", *actions, drift_ppm=500), user("even", *actions), duration_s=60))
    assert len(seen.units["even/audio/1"]) == 3000
    assert len(seen.units["fast/audio/1"]) == 3002


def test_an_abrupt_end_says_no_goodbyes() -> None:
    seen = watched(scene(user("alice", act(0, "join")), duration_s=1, end="abrupt"))
    assert seen.told() == [(0, JOIN, "alice"), (0, SYNCED, ""), (1, CLOSED, "connection lost")]


def test_a_scene_that_repeats_starts_each_round_from_an_empty_room() -> None:
    alice = user("alice", act(0, "join"), act(0, "publish", what=["audio"]))
    seen = watched(scene(alice, duration_s=2, repeat=2))
    assert seen.told()[3:] == [
        (2, REMOVED, "alice/audio/1"),
        (2, LEFT, "alice"),
        (2, JOIN, "alice"),
        (2, ADDED, "alice/audio/2"),
        (4, REMOVED, "alice/audio/2"),
        (4, LEFT, "alice"),
        (4, CLOSED, "the scene is over"),
    ]
    assert seen.times("alice/audio/1") + seen.times("alice/audio/2") == [round(n / 50, 6) for n in range(200)]


def test_two_recorders_see_one_scene_and_share_its_zero() -> None:
    script = scene(user("alice", act(0, "join"), act(0, "publish", what=["video"])), duration_s=4)

    async def main(clock: VirtualClock) -> tuple[Seen, Seen, float | None]:
        opened_ms = clock.wall_ms()
        first, second = ScriptedChannel(clock, script), ScriptedChannel(clock, script)
        watching = asyncio.create_task(watch(clock, first, opened_ms))
        await asyncio.sleep(1.5)
        also = await watch(clock, second, opened_ms)
        return await watching, also, second.time_of(first.anchor(2.0))

    first, second, same = run_virtual(main)
    assert second.times("alice/video/1") == first.times("alice/video/1")[23:]
    assert same == 2.0


def test_another_scripts_anchor_is_not_understood() -> None:
    async def main(clock: VirtualClock) -> float | None:
        channel = ScriptedChannel(clock, scene(user("alice", act(0, "join"))))
        await channel.open(room(clock.wall_ms()))
        await channel.subscribe("nobody/video/1", lambda _: None)
        await channel.close()
        return channel.time_of(Anchor("script:other:0", 1.0))

    assert run_virtual(main) is None


def test_an_unsubscribed_track_falls_silent() -> None:
    script = scene(user("alice", act(0, "join"), act(0, "publish", what=["audio"])), duration_s=3)

    async def main(clock: VirtualClock) -> Seen:
        channel = ScriptedChannel(clock, script)
        watching = asyncio.create_task(watch(clock, channel, clock.wall_ms()))
        await asyncio.sleep(1.005)
        await channel.unsubscribe("alice/audio/1")
        return await watching

    assert run_virtual(main).times("alice/audio/1")[-1] == 1.0


def test_what_breaks_in_a_sink_is_raised_to_whoever_reads_the_events() -> None:
    script = scene(user("alice", act(0, "join"), act(0, "publish")), duration_s=3)

    async def main(clock: VirtualClock) -> None:
        def broken(_: Unit) -> None:
            raise RuntimeError("sink")

        await watch(clock, ScriptedChannel(clock, script), clock.wall_ms(), broken)

    with pytest.raises(RuntimeError, match="sink"):
        run_virtual(main)


def test_the_real_clock_plays_the_same_scene_in_its_time(tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    alice = user("alice", act(0, "join"), act(0, "publish"))
    path.write_text(json.dumps({"users": [alice], "duration_s": 1.5}))

    async def main() -> tuple[Seen, float]:
        clock = RealClock()
        channel = open_channel(f"scripted:{path}", clock)
        assert isinstance(channel, ScriptedChannel)
        lateness: list[float] = []
        began = clock.now()
        seen = await watch(clock, channel, clock.wall_ms(), lambda unit: lateness.append(clock.now() - unit.t))
        assert min(lateness) >= 0
        return seen, clock.now() - began

    seen, took_s = asyncio.run(main())
    assert 1.4 < took_s < 10
    assert seen.times("alice/audio/1")[-1] == pytest.approx(1.48)
    assert len(seen.units["alice/video/2"]) >= 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the whole"),
        ('{"users": [{"id": "a", "actions": [{"at_s": -1, "do": "join"}]}]}', "users.0.actions.0.join.at_s"),
        ('{"users": [{"id": "a", "actions": [{"at_s": 1, "do": "dance"}]}]}', "users.0.actions.0"),
        ('{"users": [{"id": "a", "actions": [{"at_s": 1, "do": "publish"}]}]}', "a cannot publish at 1.0 s"),
        ('{"users": [{"id": "a"}, {"id": "a"}]}', "same id"),
        ('{"users": [], "repeat": 5}', "repeat needs"),
        ('{"users": [], "duration_s": 600000, "repeat": 5}', "at most"),
    ],
)
def test_a_wrong_script_is_refused_naming_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "scene.json"
    path.write_text(text)

    async def main(clock: VirtualClock) -> None:
        await open_channel(f"scripted:{path}", clock).open(room(clock.wall_ms()))

    with pytest.raises(ChannelAddressInvalid, match=said):
        run_virtual(main)


@pytest.mark.parametrize(
    "address", ["", "scripted:", "pull:rtsp://h", "janus+ws://", "nonsense", "scripted:/nowhere/scene.json"]
)
def test_an_address_that_means_no_channel_is_refused(address: str) -> None:
    async def main(clock: VirtualClock) -> None:
        await open_channel(address, clock).open(room(clock.wall_ms()))

    with pytest.raises(ChannelAddressInvalid):
        run_virtual(main)


MOVES = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda n: n / 10),
        st.sampled_from(["mute", "unmute", "publish", "unpublish", "stall", "loss", "rotate"]),
        st.sampled_from([["audio"], ["video"], ["audio", "video"]]),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(moves=MOVES, late=st.integers(0, 30))
def test_whatever_happens_units_flow_in_order_and_only_while_their_track_is_there_and_heard(
    moves: list[tuple[float, str, list[str]]], late: int
) -> None:
    extra: dict[str, dict[str, object]] = {
        "loss": {"percent": 30, "for_s": 1},
        "stall": {"for_s": 0.5},
        "rotate": {"degrees": 90},
    }
    actions = [
        act(t, do, **({} if do == "rotate" else {"what": what}), **extra.get(do, {})) for t, do, what in sorted(moves)
    ]
    alice = user("alice", act(0, "join"), act(0, "publish"), *actions, width=64, height=64, fps=5)
    seen = watched(scene(alice, duration_s=3.2), late_s=late / 10)
    assert seen.order == sorted(seen.order)
    for track_id, units in seen.units.items():
        heard = _heard(seen, track_id)
        times = seen.times(track_id)
        assert len(set(times)) == len(times)
        assert all(any(a - 1e-6 <= t < b for a, b in heard) for t in times)
        if units and "video" in track_id:
            assert units[0].key


def _heard(seen: Seen, track_id: str) -> list[tuple[float, float]]:
    """When a track was there and not muted, by what was told."""
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for t, kind, what in seen.told():
        if what != track_id:
            continue
        if kind in (ADDED, UNMUTED) and since is None:
            since = t
        elif kind in (MUTED, REMOVED) and since is not None:
            spans.append((since, t))
            since = None
    return spans
