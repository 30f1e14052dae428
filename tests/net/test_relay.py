"""A relay to a judged address: what passes through it, what TLS it trusts, and how it ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from models.vocabulary.errors import FetchFailed, FetchRefused
from net.relay import LOOPBACK, Relay, Watch
from tests.net.test_http import made_certificate

HOME = (ip_address(LOOPBACK),)


@asynccontextmanager
async def echoing(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"hello ")
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def through(port: int, sent: bytes, *, watch: Watch | None = None) -> tuple[bytes, Relay]:
    relay = await Relay.open(HOME, port, watch=watch)
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    sending = asyncio.create_task(_send(writer, sent))
    try:
        got = await reader.readexactly(len(sent) + 6)
    except asyncio.IncompleteReadError as error:
        got = error.partial
    except ConnectionResetError:
        got = b""
    sending.cancel()
    relay.close()
    return got, relay


async def _send(writer: asyncio.StreamWriter, sent: bytes) -> None:
    for at in range(0, len(sent), 1 << 16):
        writer.write(sent[at : at + (1 << 16)])
        await writer.drain()


def test_everything_passes_in_order_also_what_came_before_anybody_took_it() -> None:
    sent = bytes(range(256)) * 20_000

    async def main() -> bytes:
        async with echoing() as port:
            return (await through(port, sent))[0]

    assert asyncio.run(main()) == b"hello " + sent


def test_what_the_watch_objects_to_ends_the_connection_and_is_told() -> None:
    def watch(piece: bytes) -> None:
        if b"stop" in piece:
            raise FetchRefused("no")

    async def main() -> tuple[bytes, Relay]:
        async with echoing() as port:
            return await through(port, b"please stop", watch=watch)

    got, relay = asyncio.run(main())
    assert b"stop" not in got
    assert relay.why is not None and relay.why.text == "no"


def test_one_connection_is_taken_and_no_second_one() -> None:
    async def main() -> None:
        async with echoing() as port:
            relay = await Relay.open(HOME, port)
            reader, _ = await asyncio.open_connection(LOOPBACK, relay.port)
            assert await reader.readexactly(6) == b"hello "
            with pytest.raises(OSError):
                await asyncio.open_connection(LOOPBACK, relay.port)
            relay.stop()
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await reader.readexactly(1)

    asyncio.run(main())


def test_tls_is_trusted_for_its_own_name_only(tmp_path: Path) -> None:
    server, client = made_certificate("camera.example", tmp_path)

    async def main() -> None:
        async with echoing(server) as port:
            relay = await Relay.open(HOME, port, tls=client, name="camera.example")
            reader, _ = await asyncio.open_connection(LOOPBACK, relay.port)
            assert await reader.readexactly(6) == b"hello "
            relay.close()
            with pytest.raises(FetchFailed, match=r"certificate of other\.example is not trusted"):
                await Relay.open(HOME, port, tls=client, name="other.example")
            with pytest.raises(FetchFailed, match="is not trusted"):
                await Relay.open(HOME, port, tls=ssl.create_default_context(), name="camera.example")

    asyncio.run(main())


def test_nobody_there_is_a_failure_that_may_be_tried_again() -> None:
    async def main() -> None:
        async with echoing() as port:
            pass
        with pytest.raises(FetchFailed, match="camera cannot be connected to"):
            await Relay.open(HOME, port, name="camera")

    asyncio.run(main())
