"""A service that has 10 000 recordings and answers a query at once: `python -m bench.contract FOLDER`, ended by SIGTERM.

It prints its port and writes a line for each request into FOLDER/asked: Unix ms, then the sid that was asked for, or `-` and
the path where it was no query (answered 503: a running job has nothing else to ask).
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Final, TextIO

ASKED: Final = "asked"
MAX_HEAD: Final = 65_536


class _Connection(asyncio.Protocol):
    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        self._head += received
        if b"\r\n\r\n" in self._head:
            self._transport.write(_answer(self._head, self._log))
            self._transport.close()
        elif len(self._head) > MAX_HEAD:
            self._transport.close()


def _answer(head: bytes, log: TextIO) -> bytes:
    path = head.split(b" ", 2)[1].decode("ascii", "replace")
    parts = path.split("/")
    now_ms = time.time_ns() // 1_000_000
    if parts[-1] != "query":
        log.write(f"{now_ms} - {path}\n")
        return _http("503 Service Unavailable", {"code": 503, "reason": "only queries are answered"})
    sid = parts[parts.index("sid") + 1]
    log.write(f"{now_ms} {sid}\n")
    files = {"fileListMode": "string", "fileList": f"{sid}_bench.m3u8"}
    return _http("200 OK", {"sid": sid, "serverResponse": {"status": 5} | files})


def _http(status: str, said: dict[str, object]) -> bytes:
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


async def serve(log: TextIO) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    server = await loop.create_server(lambda: _Connection(log), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await over.wait()


def main() -> None:
    with (Path(sys.argv[1]) / ASKED).open("w", buffering=1) as log:
        asyncio.run(serve(log))


if __name__ == "__main__":
    main()
