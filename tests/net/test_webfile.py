"""Files over HTTP from servers that do as little as they can."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from models.vocabulary.errors import FetchFailed
from net.webfile import Web
from tests.pull.servers import listening


def test_a_head_that_drips_in_is_not_waited_for() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def story() -> None:
        async with listening(drip) as port:
            web = Web((ip_network("127.0.0.1/32"),), read_s=0.3)
            opening = asyncio.to_thread(web.open, f"http://127.0.0.1:{port}/")
            with pytest.raises(FetchFailed, match="did not answer in time"):
                await asyncio.wait_for(opening, 20)
            web.close()

    asyncio.run(story())
