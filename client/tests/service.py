"""A real HTTP service for the tests: a table of answers, and a record of what was asked."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

APPID, KEY, SECRET = "app-1", "customer-key", "planted-customer-secret"


@dataclass(frozen=True)
class Says:
    """An answer: a status and a body (JSON, or bytes as they are)."""

    http: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


#: The connection is reset after the request was read.
RESET = Says(http=0)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class Service:
    """Gives the answers of `script` in turn, the last one for ever."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.anew()

    def anew(self) -> Service:
        """As if it had just been started."""
        self.script: list[Says] = []
        self.asked: list[Asked] = []
        self.meanwhile: Callable[[], object] = lambda: None
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def says(self, *script: Says) -> None:
        self.script = list(script)

    def next(self) -> Says:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextmanager
def serve() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            lowered = {name.lower(): value for name, value in self.headers.items()}
            service.asked.append(Asked(self.command, self.path, lowered, json.loads(raw) if raw else None))
            says = service.next()
            if says is RESET:
                # Linger of no time: closing sends a reset instead of an end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            body = says.body if isinstance(says.body, bytes) else json.dumps(says.body or {}).encode()
            service.meanwhile()
            self.send_response_only(says.http)
            for name, value in {
                "Content-Length": str(len(body)),
                "Content-Type": "application/json",
                **says.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _any

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away, or a reset of our own."""

    server = Server(("127.0.0.1", 0), Handler)
    service = Service(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def free_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def basic() -> str:
    return "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
