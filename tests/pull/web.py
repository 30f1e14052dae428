"""A folder served over HTTP, in parts where they are asked for; every request is remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4"}


@dataclass
class Web:
    url: str
    asked: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    web = Web("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.asked.append(self.path)
            web.logins.append(self.headers.get("Authorization", ""))
            name = self.path.strip("/").partition("?")[0]
            if (target := web.redirects.get(name)) is not None:
                self._head(302, 0, Location=target)
                return
            file = folder / name
            if not file.is_file():
                self._head(404, 0)
                return
            body, start = file.read_bytes(), 0
            asked = self.headers.get("Range", "")
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start = int(first)
                part = body[start : int(last) + 1 if last else None]
                span = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
                self._head(206, len(part), **{"Content-Range": span})
                self.wfile.write(part)
                return
            more = {"Content-Type": TYPES.get(file.suffix, "application/octet-stream"), "Accept-Ranges": "bytes"}
            self._head(200, len(body), **more)
            self.wfile.write(body)

        def _head(self, status: int, length: int, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # recorders leave when they like

    server = Quiet(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
