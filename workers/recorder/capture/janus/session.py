"""One session at a Janus over WebSocket (its own JSON protocol): requests with their answers, handles with their events."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from models.vocabulary.address import JanusAddress
from models.vocabulary.errors import ChannelUnreachable

PLUGIN: Final = "janus.plugin.videoroom"
ANSWER_WITHIN_S: Final = 5.0
#: A listing of a room with thousands of users, or an offer of theirs.
_MAX_MESSAGE_BYTES: Final = 4 << 20

#: Janus' own words for "you may not" (janus/src/apierror.h), and VideoRoom's (unauthorized, not allowed).
FORBIDDEN: Final = frozenset({403, 405, 433})
NO_SUCH_ROOM: Final = 426
NO_SUCH_FEED: Final = 428

Json = dict[str, Any]
OnEvent = Callable[[Json], None]


class JanusRefusal(Exception):
    """Janus answered with an error. Never leaves this package."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"Janus says {number}: {text}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Said:
    """What the plugin answered, and the SDP beside it."""

    body: Json
    sdp: str = ""


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[Json]
    wants_event: bool  # the acknowledgement is not the answer


class JanusSession:
    """Raises `ChannelUnreachable` for whatever breaks, `JanusRefusal` for what Janus does not want."""

    def __init__(self, socket: ClientConnection, token: str) -> None:
        self._socket = socket
        self._token = token
        self._id: int | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._handles: dict[int, OnEvent] = {}
        self._numbers = itertools.count(1)
        self._reading = asyncio.create_task(self._read())
        self.broken = asyncio.Event()
        self.why = ""

    @classmethod
    async def open(cls, address: JanusAddress, hosts: Sequence[str], token: str = "") -> JanusSession:
        """`hosts`: addresses of the host that may be connected to, best first."""
        failure: Exception | None = None
        for host in hosts:
            try:
                socket = await connect(
                    address.url,
                    subprotocols=[Subprotocol("janus-protocol")],
                    host=host,
                    port=address.port,
                    ssl=ssl.create_default_context() if address.secure else None,
                    proxy=None,  # the judged address, and no other
                    open_timeout=ANSWER_WITHIN_S,
                    close_timeout=1,
                    ping_interval=None,  # the room is listed twice a second
                    max_size=_MAX_MESSAGE_BYTES,
                )
            except (OSError, TimeoutError, WebSocketException) as error:
                failure = error
                continue
            session = cls(socket, token)
            try:
                session._id = (await session._request({"janus": "create"}))["data"]["id"]
            except BaseException:
                await session.close()
                raise
            return session
        raise ChannelUnreachable(f"the Janus at {address.host}:{address.port} does not answer") from failure

    async def attach(self, on_event: OnEvent) -> Handle:
        number = int((await self._request({"janus": "attach", "plugin": PLUGIN}))["data"]["id"])
        self._handles[number] = on_event
        return Handle(self, number)

    async def close(self) -> None:
        with contextlib.suppress(ChannelUnreachable, JanusRefusal, TimeoutError):  # the session goes with its socket
            if self._id is not None and not self.broken.is_set():
                async with asyncio.timeout(1):
                    await self._request({"janus": "destroy"})
        self._end("closed")
        await self._socket.close()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _request(self, message: Json, *, wants_event: bool = False) -> Json:
        transaction = str(next(self._numbers))
        message = message | {"transaction": transaction}
        if self._id is not None:
            message["session_id"] = self._id
        if self._token:
            message["token"] = self._token
        waiting = _Waiting(asyncio.get_running_loop().create_future(), wants_event)
        self._waiting[transaction] = waiting
        try:
            if self.broken.is_set():
                raise ChannelUnreachable(self.why)
            await self._socket.send(json.dumps(message))
            answer = await asyncio.wait_for(waiting.answer, ANSWER_WITHIN_S)
        except TimeoutError as error:
            raise ChannelUnreachable("Janus does not answer") from error
        except (OSError, WebSocketException) as error:
            raise ChannelUnreachable("the connection to Janus broke") from error
        finally:
            del self._waiting[transaction]
        if answer.get("janus") == "error":
            raise _refusal(answer.get("error", {}).get("code"), answer.get("error", {}).get("reason"))
        return answer

    async def _message(
        self, handle: int, body: Json, sdp: str, *, wants_event: bool, kind: Literal["answer", "offer"] = "answer"
    ) -> Said:
        message: Json = {"janus": "message", "handle_id": handle, "body": body}
        if sdp:
            message["jsep"] = {"type": kind, "sdp": sdp}
        answer = await self._request(message, wants_event=wants_event)
        said = answer.get("plugindata", {}).get("data", {})
        if "error" in said:
            raise _refusal(said.get("error_code"), said["error"])
        return Said(said, answer.get("jsep", {}).get("sdp", ""))

    async def _detach(self, handle: int) -> None:
        self._handles.pop(handle, None)
        await self._request({"janus": "detach", "handle_id": handle})

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self._take(json.loads(text))
            self._end("Janus closed the connection")
        except (OSError, WebSocketException, ValueError, TypeError, AttributeError) as error:
            # what is no message of Janus' protocol is as good as a broken connection
            self._end(f"the connection to Janus broke: {type(error).__name__}")

    def _take(self, message: Json) -> None:
        kind = message.get("janus")
        waiting = self._waiting.get(str(message.get("transaction", "")))
        if waiting is not None:
            if not (kind == "ack" and waiting.wants_event) and not waiting.answer.done():
                waiting.answer.set_result(message)
        elif kind == "timeout":
            self._end("Janus ended the session")
        elif (on_event := self._handles.get(message.get("sender", 0))) is not None:
            on_event(message)

    def _end(self, why: str) -> None:
        if not self.broken.is_set():
            self.why = why
            self.broken.set()
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(ChannelUnreachable(why))


class Handle:
    def __init__(self, session: JanusSession, number: int) -> None:
        self._session = session
        self._number = number

    async def ask(self, body: Json) -> Said:
        """What Janus answers at once."""
        return await self._session._message(self._number, body, "", wants_event=False)

    async def order(self, body: Json, sdp: str = "") -> Said:
        """What Janus acknowledges and does then. `sdp`: our answer."""
        return await self._session._message(self._number, body, sdp, wants_event=True)

    async def detach(self) -> None:
        """Does nothing when it, or its session, is gone."""
        with contextlib.suppress(ChannelUnreachable, JanusRefusal):  # gone is what was wanted
            await self._session._detach(self._number)


def _refusal(number: object, text: object) -> JanusRefusal:
    code = number if isinstance(number, int) else 0
    hint = " (the request's token is the room's pin, see the app's channel address)" if code in FORBIDDEN else ""
    return JanusRefusal(code, f"{str(text)[:200]}{hint}")
