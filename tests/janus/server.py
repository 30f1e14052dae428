"""A real Janus in a network namespace of its own, and users who publish to it.

Janus skips loopback interfaces, and where none of a host's addresses is allowed it takes them all. So a thread moves
into a new namespace that has `lo` and a bridge with an address of the loopback range and nothing else. What the thread
starts (Janus, sockets, other threads) lives there, and the namespace ends with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

from farm.publisher.publisher import SyntheticPublisher
from models.vocabulary import address
from models.vocabulary.address import RoomId
from models.vocabulary.channel import Room
from tests.servers import Program, ServerMissing, ServerProcess
from workers.recorder.capture.janus.channel import JanusChannel
from workers.recorder.capture.janus.session import Handle, JanusSession
from workers.recorder.clock import RealClock
from workers.synthetic.plan import MediaPlan
from workers.webrtc.tap import Drops

T = TypeVar("T")

HOST: Final = "127.77.0.1"
PORT: Final = 8188
ALLOWED: Final = (ip_network("127.0.0.0/8"),)
ROOM: Final = "room one"
ADDRESS: Final = f"janus+ws://127.0.0.1:{PORT}?rooms=string"
_LIBRARIES: Final = next(iter(Path("/usr/lib").glob("*/janus")), Path("/usr/lib/janus"))
_CLONE_NEWNET: Final = 0x4000_0000

_CONFIG: Final = """
general: {{ configs_folder = "{folder}" plugins_folder = "{libraries}/plugins" transports_folder = "{libraries}/transports"
  events_folder = "{libraries}/events" loggers_folder = "{libraries}/loggers" debug_level = 3 interface = "127.0.0.1"
  session_timeout = 60 }}
media: {{ rtp_port_range = "20000-20999" no_media_timer = 2 }}
nat: {{ ice_lite = false full_trickle = false ice_enforce_list = "{host}" ignore_mdns = true ipv6 = false }}
plugins: {{ disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so" }}
transports: {{ disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so,libjanus_http.so" }}
loggers: {{ disable = "libjanus_jsonlog.so" }}
"""
_TRANSPORT: Final = """
general: {{ json = "compact" ws = true ws_port = {port} ws_ip = "127.0.0.1" wss = false }}
admin: {{ admin_ws = false }}
"""


def missing() -> str:
    """Why there can be no Janus here; empty when there can."""
    if not Path("/usr/bin/janus").exists():
        return "apt install janus"
    if shutil.which("ip") is None:
        return "apt install iproute2"
    if os.geteuid() != 0:
        return "be root: it runs in a network namespace of its own"
    return ""


def find_janus() -> Program:
    if hint := missing():
        raise ServerMissing(hint)
    try:
        in_namespace(lambda: None)
    except OSError as error:
        raise ServerMissing(f"run where a network namespace with a bridge can be made ({error})") from error
    return Program(Path("/usr/bin/janus"), "system /usr/bin/janus")


def in_namespace(work: Callable[[], T]) -> T:
    """Run it in a thread in a network namespace of its own. Raises what it raises, OSError when there is none to be had."""
    outcome: list[T | BaseException] = []

    def run() -> None:
        try:
            _enter_namespace()
            outcome.append(work())
        except BaseException as error:  # carried to the thread that waits, and raised there
            outcome.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    [result] = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def _enter_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    for command in (
        "link set lo up",
        "link add reel0 type bridge",
        f"addr add {HOST}/32 dev reel0",
        "link set reel0 up",
    ):
        done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"ip {command}: {done.stderr.strip()}")


class JanusServer:
    """To be made and used inside the namespace."""

    def __init__(self, folder: Path, rooms: str = "") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "janus.jcfg").write_text(_CONFIG.format(folder=folder, libraries=_LIBRARIES, host=HOST))
        (folder / "janus.transport.websockets.jcfg").write_text(_TRANSPORT.format(port=PORT))
        ids = "" if rooms.isdigit() else "string_ids = true"
        (folder / "janus.plugin.videoroom.jcfg").write_text(f"general: {{ {ids} }}\n")
        self._process = self._launch()

    def _launch(self) -> ServerProcess:
        command = ["/usr/bin/janus", "-F", str(self._folder), "-C", str(self._folder / "janus.jcfg")]
        process = ServerProcess(command, directory=self._folder, stop_signal=signal.SIGKILL)
        process.wait_until(lambda: socket.create_connection(("127.0.0.1", PORT), 1).close())
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.stop()

    def start_again(self) -> None:
        self._process = self._launch()


class Control:
    """Makes rooms, looks who is listed, moderates."""

    def __init__(self, session: JanusSession, handle: Handle) -> None:
        self.session = session
        self.handle = handle

    @classmethod
    async def open(cls) -> Control:
        session = await JanusSession.open(address.janus(ADDRESS), ["127.0.0.1"])
        return cls(session, await session.attach(lambda _: None))

    async def make_room(self, room: RoomId = ROOM, **more: object) -> None:
        options = {"publishers": 100, "videocodec": "h264,vp8", "audiocodec": "opus", "bitrate": 0} | more
        await self.handle.ask({"request": "create", "room": room, "permanent": False, **options})

    async def participants(self, room: RoomId = ROOM) -> list[dict[str, Any]]:
        said = await self.handle.ask({"request": "listparticipants", "room": room})
        found: list[dict[str, Any]] = said.body["participants"]
        return found

    async def close(self) -> None:
        await self.session.close()


class JanusPublisher(SyntheticPublisher):
    """A user with a camera and a microphone in a VideoRoom."""

    def __init__(self, uid: RoomId, plan: MediaPlan, *, room: RoomId = ROOM, pin: str = "", **more: Any) -> None:
        super().__init__("", "", plan, addresses=(HOST,), **more)
        self._uid = uid
        self._room = room
        self._pin = pin
        self.session: JanusSession | None = None
        self.handle: Handle | None = None
        self.heard: list[dict[str, Any]] = []  # what Janus told this user

    async def _offer(self, sdp: str) -> str:
        self.session = await JanusSession.open(address.janus(ADDRESS), ["127.0.0.1"])
        self.handle = await self.session.attach(self.heard.append)
        joined = {
            "request": "join",
            "ptype": "publisher",
            "room": self._room,
            "id": self._uid,
            "display": f"{self._uid}",
        }
        if self._pin:
            joined["pin"] = self._pin
        await self.handle.order(joined)
        said = await self.session._message(
            self.handle._number,
            {"request": "publish", "audiocodec": "opus", "videocodec": self._plan.codec},
            sdp,
            wants_event=True,
            kind="offer",
        )
        return said.sdp

    async def unpublish(self) -> None:
        assert self.handle is not None
        await self.handle.order({"request": "unpublish"})

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()
        await super().close()

    async def die(self) -> None:
        """As a killed browser: nothing is said, no packet comes any more."""
        assert self.session is not None
        self.session._socket.transport.abort()
        if self._connection is not None:
            await self._connection.close()


def channel(drops: Drops | None = None) -> JanusChannel:
    return JanusChannel(RealClock(), ALLOWED, (HOST,), drops)


def room_at(cname: str = ROOM, *, token: str = "", anchored: bool = False, where: str = ADDRESS) -> Room:
    return Room(where, "app", cname, "recorder", 0, credentials={"token": token}, anchored=anchored)


def at_janus(
    folder: Path, story: Callable[[JanusServer, Control], Coroutine[Any, Any, T]], *, rooms: Sequence[RoomId] = (ROOM,)
) -> T:
    """Tell a story in a fresh namespace with a fresh Janus whose rooms are made."""

    async def tell(server: JanusServer) -> T:
        control = await Control.open()
        try:
            for room in rooms:
                await control.make_room(room)
            return await story(server, control)
        finally:
            await control.close()

    def work() -> T:
        server = JanusServer(folder, "1" if rooms and isinstance(rooms[0], int) else "")
        try:
            return asyncio.run(tell(server))
        finally:
            server.kill()

    return in_namespace(work)
