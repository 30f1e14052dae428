"""Sources of every kind, read over real connections of this host: what comes out of them, and what they may not do."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import av
import pytest

from models.vocabulary.channel import EventKind, Room, TrackKind, Unit
from models.vocabulary.pulls import source
from tests.capture.conformance import sizes
from tests.capture.kept import Kept, keeping
from tests.pull import films
from tests.pull.clocks import Hastened
from tests.pull.servers import Rtmp, Rtsp, listening
from tests.pull.web import Web, serving
from workers.recorder.capture.pull import playlists
from workers.recorder.capture.pull.alignment import SETTLING_S, Live
from workers.recorder.capture.pull.channel import PullChannel
from workers.recorder.capture.pull.opening import FileWay, Opened
from workers.recorder.capture.pull.reading import Came, Over, Reader, Said
from workers.synthetic.plan import MediaPlan

HOME = (ip_network("127.0.0.1/32"),)
SPEED = 4.0
CAMERA = MediaPlan(width=160, height=90, fps=10, loop_s=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    films.write(str(made / "v.m3u8"), "hls", {"hls_time": "1", "hls_list_size": "0"})
    films.write(str(made / "film.mp4"), "mp4")
    films.write(str(made / "film.flv"), "flv")
    low, high = "#EXT-X-STREAM-INF:BANDWIDTH=1", "#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=160x90"
    (made / "master.m3u8").write_text(f"#EXTM3U\n{low}\nlow.m3u8\n{high}\nv.m3u8\n")
    return made


@pytest.fixture
def web(folder: Path) -> Iterator[Web]:
    with serving(folder) as served:
        yield served


async def watched(clock: Hastened, users: dict[str, str], enough: Callable[[Kept], bool], within_s: float) -> Kept:
    channel = PullChannel(clock, HOME, lambda: 0.1, gone_after_s=1.0)
    async with keeping(channel, Room("pull:", "app", "room", "1", clock.wall_ms(), pulls=users)) as kept:
        until_t = clock.now() + within_s
        while not enough(kept) and clock.now() < until_t:  # noqa: ASYNC110  (units have no event)
            await asyncio.sleep(0.01)
    return kept


def has_left(kept: Kept) -> bool:
    return kept.saw(EventKind.LEFT)


def warned(kept: Kept) -> str:
    return " ".join(event.detail for event in kept.events if event.kind is EventKind.WARNING)


def pictures(kept: Kept, uid: str = "ada") -> list[Unit]:
    return kept.of(uid, TrackKind.VIDEO)


def sounds(kept: Kept, uid: str = "ada") -> list[Unit]:
    return kept.of(uid, TrackKind.AUDIO)


def assert_whole(kept: Kept) -> None:
    """All of the film, in the order of decoding, and each picture shown at its own time."""
    units = pictures(kept)
    assert len(units) == films.picture_count() and sizes(units) == [(160, 90)] * len(units)
    shown = sorted(unit.t + unit.shown_later_s for unit in units)
    assert all(b - a == pytest.approx(1 / films.FPS, abs=0.002) for a, b in itertools.pairwise(shown))
    assert any(a.t + a.shown_later_s > b.t + b.shown_later_s for a, b in itertools.pairwise(units)), "it is reordered"
    heard = sounds(kept)
    assert len(heard) >= films.LENGTH_S * films.RATE // 1024
    assert all(b.t - a.t == pytest.approx(1024 / films.RATE, abs=0.002) for a, b in itertools.pairwise(heard))
    assert abs(shown[0] - heard[0].t) < 0.03
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    frames = [frame for unit in heard for frame in decoder.decode(av.Packet(unit.data))]
    assert {frame.sample_rate for frame in frames} == {films.RATE}
    assert not any(unit.gap for unit in units + heard)


@pytest.mark.parametrize("name", ["master.m3u8", "film.mp4", "file"])
def test_what_has_an_end_is_played_to_it_in_its_own_time_and_its_user_leaves(web: Web, folder: Path, name: str) -> None:
    clock = Hastened(SPEED)
    url = f"file:{folder}/film.mp4" if name == "file" else f"{web.url}/{name}".replace("//", "//bob:p%40ss@", 1)
    began = clock.now()
    kept = asyncio.run(watched(clock, {"ada": url}, has_left, 20))
    assert_whole(kept)
    assert clock.now() - began > films.LENGTH_S - 0.5, "no faster than it is"
    assert [e.kind for e in kept.events if e.track is None] == [
        EventKind.JOINED,
        EventKind.SYNCED,
        EventKind.LEFT,
        EventKind.CLOSED,
    ]
    assert "/low.m3u8" not in web.asked
    assert set(web.logins) <= {"Basic Ym9iOnBAc3M="}


def test_rtmp_is_read_as_it_comes_under_its_servers_own_name(folder: Path) -> None:
    clock = Hastened(SPEED)
    server = Rtmp((folder / "film.flv").read_bytes(), clock)

    async def story() -> Kept:
        async with listening(server.serve) as port:
            return await watched(
                clock, {"ada": f"rtmp://localhost:{port}/live/k3y"}, lambda kept: bool(warned(kept)), 20
            )

    kept = asyncio.run(story())
    assert server.asked[0].startswith("rtmp://localhost:") and server.asked[0].endswith("/live")
    assert server.asked[1] == "k3y"
    assert len(pictures(kept)) > 0.7 * films.picture_count() and len(sizes(pictures(kept))) == len(pictures(kept))
    assert len(sounds(kept)) > 0.7 * films.LENGTH_S * films.RATE / 1024
    shown = [unit.t + unit.shown_later_s for unit in pictures(kept)]
    assert abs(min(shown[5:], key=lambda t: abs(t - sounds(kept)[40].t)) - sounds(kept)[40].t) < 0.11
    assert "its connection broke" in warned(kept) and "k3y" not in warned(kept)


def test_rtsp_is_read_over_one_connection_and_redirects_are_not_followed() -> None:
    clock = Hastened(SPEED)
    camera = Rtsp(CAMERA, clock)

    async def story() -> tuple[Kept, list[str]]:
        met: list[str] = []

        async def trap(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            met.append((await reader.read(100)).decode())

        async with listening(camera.serve) as port, listening(trap) as trapped:
            wrong = Rtsp(CAMERA, clock, elsewhere=f"rtsp://127.0.0.1:{trapped}/")
            async with listening(wrong.serve) as elsewhere:
                users = {
                    "ada": f"rtsp://bob:p4ss@127.0.0.1:{port}/main",
                    "eve": f"rtsp://127.0.0.1:{elsewhere}/main",
                }
                kept = await watched(clock, users, lambda kept: len(pictures(kept)) >= 60 and bool(warned(kept)), 40)
                return kept, met

    kept, met = asyncio.run(story())
    assert not met and "user eve" in warned(kept) and "elsewhere" in warned(kept) and "user ada" not in warned(kept)
    units, heard = pictures(kept), sounds(kept)
    assert units[0].key and len(units) >= 60 and len(sizes(units)) == len(units)
    late = [unit for unit in units if unit.t > units[0].t + SETTLING_S + 0.5]
    assert all(b.t - a.t == pytest.approx(0.1, abs=0.005) for a, b in itertools.pairwise(late))
    assert {unit.codec for unit in heard} == {"pcmu"} and heard[0].duration_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("playlist", "why"),
    [
        ("#EXTINF:2,\nhttp://127.0.0.2:1/a.ts", "REELYARD_ALLOW_NETWORKS"),
        ("#EXTINF:2,\nfile:///etc/hostname", "neither http nor https"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:2,\nv0.ts', "encrypted"),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://127.0.0.2:1/v.m3u8", "REELYARD_ALLOW_NETWORKS"),
    ],
)
def test_a_playlist_leads_nowhere_that_a_user_may_not_go(web: Web, folder: Path, playlist: str, why: str) -> None:
    (folder / "evil.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{playlist}\n#EXT-X-ENDLIST\n")
    users = {"eve": f"{web.url}/evil.m3u8?sig=s1g"}
    kept = asyncio.run(watched(Hastened(SPEED), users, lambda kept: bool(warned(kept)), 20))
    assert why in warned(kept) and "s1g" not in warned(kept)
    assert not kept.saw(EventKind.JOINED)


MEDIA = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="{n}",URI="deep{n}.m3u8"\n'
VARIANT = "#EXT-X-STREAM-INF:BANDWIDTH=1\ndeep{n}.m3u8\n"


@pytest.mark.parametrize(("first", "further"), [(VARIANT, VARIANT), (VARIANT, MEDIA), (MEDIA, VARIANT)])
def test_a_playlist_cannot_send_a_recorder_from_one_to_the_next_for_ever(
    web: Web, folder: Path, first: str, further: str
) -> None:
    for n in range(1, 40):
        (folder / f"deep{n}.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{further.format(n=n + 1)}")
    (folder / "deep0.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{first.format(n=1)}")
    users = {"eve": f"{web.url}/deep0.m3u8"}
    asyncio.run(watched(Hastened(SPEED), users, lambda kept: bool(warned(kept)), 20))
    assert "/deep0.m3u8" in web.asked and "/deep2.m3u8" not in web.asked


def test_a_playlist_has_so_many_lines_and_no_more(web: Web, folder: Path) -> None:
    (folder / "long.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "#EXTINF:2,\nv0.ts\n" * playlists.MOST_LINES
    )
    kept = asyncio.run(watched(Hastened(SPEED), {"eve": f"{web.url}/long.m3u8"}, lambda kept: bool(warned(kept)), 20))
    assert "the playlist is too long" in warned(kept)


def test_a_variant_stands_on_the_next_line_that_is_no_comment() -> None:
    head = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\n\n# of the best\nhigh.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8"
    named = [line for line in playlists.narrowed(head).splitlines() if not line.startswith("#")]
    assert named == ["high.m3u8"]


def test_redirects_are_judged_like_any_address_and_bounded(web: Web) -> None:
    web.redirects = {"once": "/film.mp4", "away": "http://127.0.0.2:1/film.mp4", "round": "/round"}
    users = {name: f"{web.url}/{name}" for name in ("once", "away", "round")}
    kept = asyncio.run(
        watched(Hastened(SPEED), users, lambda k: k.saw(EventKind.JOINED, "once") and warned(k).count("user") == 2, 20)
    )
    assert "127.0.0.2 is loopback" in warned(kept) and "redirects more than 5 times" in warned(kept)
    assert not kept.saw(EventKind.JOINED, "away")


def test_private_addresses_are_not_read_and_the_error_says_what_would_allow_them() -> None:
    async def story() -> Kept:
        channel = PullChannel(Hastened(SPEED), (), lambda: 0.1)
        users = {scheme: f"{scheme}://127.0.0.1:1/x" for scheme in ("http", "rtmp", "rtsp")}
        async with keeping(channel, Room("pull:", "app", "room", "1", 0, pulls=users)) as kept:
            await asyncio.sleep(0)
        return kept

    said = warned(asyncio.run(story()))
    assert said.count("name its network in REELYARD_ALLOW_NETWORKS") == 3


def test_a_server_that_hangs_holds_up_nobody_and_its_thread_ends_when_its_user_is_removed(web: Web) -> None:
    clock = Hastened(SPEED)

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def story() -> tuple[float, set[str]]:
        async with listening(hang) as port:
            hung = {scheme: f"{scheme}://127.0.0.1:{port}/x" for scheme in ("rtmp", "rtsp")}
            channel = PullChannel(clock, HOME, lambda: 0.1, snapshot_within_s=0.3)
            users = hung | {"ada": f"{web.url}/film.mp4"}
            async with keeping(channel, Room("pull:", "app", "room", "1", 0, pulls=users)) as kept:
                while len(pictures(kept)) < 10:  # noqa: ASYNC110  (units have no event)
                    await asyncio.sleep(0.01)
                assert _threads() == 3
                channel.pull({})
                removed = clock.now()
                while _threads():  # noqa: ASYNC110  (as above)
                    await asyncio.sleep(0.01)
                took_s = clock.now() - removed
            return took_s / SPEED, {e.user.id for e in kept.events if e.user and e.kind is EventKind.LEFT}

    took_s, left = asyncio.run(asyncio.wait_for(story(), 30))
    assert took_s < 1.0 and left == {"ada"}


@pytest.mark.parametrize("head", ["video/mp2t", "video/x-matroska"])
def test_what_drips_in_is_given_up_like_what_says_nothing(monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    monkeypatch.setattr("workers.recorder.capture.pull.opening.OPEN_S", 0.5)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {head}\r\n\r\n".encode())
        while not writer.is_closing():
            writer.write(b"G" + bytes(187))
            await writer.drain()
            await asyncio.sleep(0.05)

    async def story() -> Kept:
        async with listening(drip) as port:
            users = {"eve": f"http://127.0.0.1:{port}/live"}
            return await watched(Hastened(SPEED), users, lambda kept: bool(warned(kept)), 60)

    assert "did not answer in time" in warned(asyncio.run(story()))


def test_a_live_stream_that_falls_silent_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.recorder.capture.pull.opening.LIVE_READ_S", 0.5)
    film = (folder / "film.flv").read_bytes()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n" + film)
        await reader.read()

    async def story() -> Kept:
        async with listening(hang) as port:
            users = {"ada": f"http://127.0.0.1:{port}/live"}
            return await watched(Hastened(SPEED), users, lambda kept: bool(warned(kept)), 60)

    kept = asyncio.run(story())
    assert kept.saw(EventKind.JOINED, "ada")
    assert "did not answer in time" in warned(kept)


def _threads() -> int:
    return sum(thread.name == "pull" for thread in threading.enumerate())


def test_the_snapshot_is_who_is_there_and_what_else_happened_comes_behind_it(web: Web) -> None:
    clock = Hastened(SPEED)

    async def story() -> list[EventKind]:
        channel = PullChannel(clock, HOME, lambda: 0.1, snapshot_within_s=0.4)
        users = {"eve": f"{web.url}/nobody.mp4", "ada": f"{web.url}/film.mp4"}

        async def change() -> None:
            while not channel._users["ada"].here:  # noqa: ASYNC110  (it has no event of its own)
                await asyncio.sleep(0.005)
            channel.pull({"ada": f"{web.url}/film.flv"})

        users["hung"] = "http://127.0.0.1:1/"
        changing = asyncio.get_running_loop().call_later(0, lambda: asyncio.ensure_future(change()))
        async with keeping(channel, Room("pull:", "app", "room", "1", 0, pulls=users)) as kept:
            while kept.kinds().count(EventKind.JOINED) < 2:  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.005)
        changing.cancel()
        return kept.kinds()

    kinds = asyncio.run(asyncio.wait_for(story(), 20))
    before = kinds[: kinds.index(EventKind.SYNCED)]
    assert set(before) <= {EventKind.JOINED, EventKind.TRACK_ADDED}
    left = kinds.index(EventKind.LEFT)
    assert left > kinds.index(EventKind.SYNCED) and EventKind.JOINED in kinds[left:]


def test_a_flood_is_read_no_faster_than_it_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.recorder.capture.pull.reading.MOST_WAITING_BYTES", 4_000)
    told: list[Said] = []

    class Flood(FileWay):
        def open(self) -> Opened:
            return Opened(super().open().container, Live())

    def waiting_bytes() -> int:
        return sum(len(it.unit.data) for it in told if isinstance(it, Came))

    reader = Reader(Flood(source(f"file:{folder}/film.mp4", files=True)), Hastened(SPEED).now, told.append)
    reader.start()
    eventually(lambda: waiting_bytes() > 4_000, "flooded", 10)
    before = len(told)
    time.sleep(0.1)
    assert len(told) == before and waiting_bytes() < 8_000
    for it in [it for it in told if isinstance(it, Came)]:
        reader.taken(it.unit)
    eventually(lambda: len(told) > before, "read on", 10)
    reader.stop()
    eventually(lambda: isinstance(told[-1], Over), "over", 10)


def eventually(true: Callable[[], bool], what: str, within_s: float) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, f"not {what} after {within_s} s"
        time.sleep(0.005)
