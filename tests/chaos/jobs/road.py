"""The way to the gateway: an HTTP proxy on loopback that fails a share of the calls, and notes what was asked and what was true."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SLOW_S: Final = (0.5, 3.0)
MAX_HEAD: Final = 65_536
UPSTREAM_WITHIN_S: Final = 60.0


class Trouble(StrEnum):
    NONE = ""
    REFUSED = "50x"  # the gateway hears nothing
    ANSWER_REPLACED = "50x after"  # it has done it
    NOT_FOUND = "404 after"  # … and done it well
    SLOW = "slow"
    RESET = "reset"  # the gateway hears nothing
    ANSWER_LOST = "answer lost"  # it has done it
    ANSWER_CUT = "answer cut"


TROUBLES: Final = tuple(Trouble)[1:]


@dataclass(frozen=True, slots=True)
class Passed:
    """One call. `status` and `answer` are the gateway's own; 0: it was not asked, or did not answer."""

    at_s: float
    verb: str
    path: str
    cname: str
    uid: str
    trouble: Trouble
    status: int
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    head: bytes
    body: bytes
    verb: str
    path: str


class Road:
    def __init__(self, gateway_port: int, share: float, chance: random.Random) -> None:
        self._gateway_port = gateway_port
        self._share = share
        self._chance = chance
        self.passed: list[Passed] = []

    def _trouble(self) -> Trouble:
        return self._chance.choice(TROUBLES) if self._chance.random() < self._share else Trouble.NONE

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one call: every call gets its own verdict."""
        try:
            asked = await _request(reader)
            said = b"" if asked is None else await self._answer(asked, self._trouble())
            if not said:
                _break(writer)
            else:
                writer.write(said)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            _break(writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, asked: Request, trouble: Trouble) -> bytes:
        """What the caller gets; nothing: a broken connection."""
        heard = trouble not in (Trouble.REFUSED, Trouble.RESET)
        if trouble is Trouble.SLOW:
            await asyncio.sleep(self._chance.uniform(*SLOW_S))
        truth = await _passed_on(self._gateway_port, asked) if heard else b""
        status, answer = _read(truth)
        if trouble is Trouble.NOT_FOUND and status not in (200, 201, 206):
            trouble = Trouble.NONE
        body = _object(asked.body)
        cname, uid = str(body.get("cname", "")), str(body.get("uid", ""))
        self.passed.append(Passed(time.monotonic(), asked.verb, asked.path, cname, uid, trouble, status, answer))
        match trouble:
            case Trouble.REFUSED | Trouble.ANSWER_REPLACED:
                return _said(self._chance.choice((500, 502, 503, 504)), {"message": "the road is closed"})
            case Trouble.NOT_FOUND:
                return _said(404, {"code": 404, "reason": "failed to find worker"})
            case Trouble.RESET | Trouble.ANSWER_LOST:
                return b""
            case Trouble.ANSWER_CUT:
                return truth[: len(truth) - len(truth) // 4]
            case _:
                return truth


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None  # a connection that was never used
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    kept = "\r\n".join(line for line in lines if line and not line.lower().startswith("connection:"))
    verb = target.rsplit("/", 1)[1] if "/cloud_recording/" in target else "record"
    return Request(
        f"{method} {target} HTTP/1.1\r\n{kept}\r\nConnection: close\r\n\r\n".encode("latin-1"), body, verb, target
    )


async def _passed_on(port: int, asked: Request) -> bytes:
    async with asyncio.timeout(UPSTREAM_WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(asked.head + asked.body)
            return await reader.read()
        finally:
            writer.close()


def _read(truth: bytes) -> tuple[int, dict[str, Any]]:
    if not truth:
        return 0, {}
    head, _, body = truth.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(status: int, body: dict[str, Any]) -> bytes:
    out = json.dumps(body).encode()
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(out)}\r\nConnection: close\r\n\r\n".encode() + out


def _break(writer: asyncio.StreamWriter) -> None:
    """A reset, not an orderly end."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def paved(road: Road, port: int) -> Iterator[None]:
    """Open on 127.0.0.1:`port`, in a thread of its own."""
    loop = asyncio.new_event_loop()
    opened = threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(road.serve, "127.0.0.1", port, limit=MAX_HEAD, backlog=512)
        opened.set()
        try:
            await server.serve_forever()
        finally:
            under_way = asyncio.all_tasks() - {task}
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    task = loop.create_task(run())

    def turn() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    assert opened.wait(10), "the road does not open"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()
