"""A customer's webhook receiver: a real HTTP server that answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found

    @property
    def sid(self) -> str:
        return str(self.body["payload"]["sid"])

    @property
    def sequence(self) -> int:
        return int(self.body["payload"]["sequence"])


@dataclass
class Receiver:
    """`answers(got)` → (status, body)."""

    answers: Callable[[Got], tuple[int, bytes]] = lambda _: (200, b"{}")
    got: list[Got] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                got = Got({k.lower(): v for k, v in self.headers.items()}, raw)
                status, body = receiver.answers(got)
                receiver.got.append(got)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def taken(self) -> list[tuple[str, int]]:
        return [(got.sid, got.sequence) for got in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
