"""Answers over HTTP as files that are read piece by piece, for libraries that want files: guarded and bounded like `net.http`.

A source is read by one thread; `stop` may come from any other and ends a read that is under way.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final

import httpcore
import httpx

from models.vocabulary.errors import AddressRefused, BadParameter, FetchFailed, FetchRefused
from net.connections import CONNECT_S, guarded_pool, within
from net.guard import Network, Resolver, system_resolver
from net.http import REDIRECTS, Hop, address, failure, next_hop

MOST_REDIRECTS: Final = 5
#: A forward seek this short is read over rather than asked for anew.
_SKIP_BYTES: Final = 1 << 18
_CHUNK_BYTES: Final = 1 << 16
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Web:
    """One source's requests. `trouble`: the newest reason why one failed."""

    def __init__(
        self,
        allow_networks: Iterable[Network],
        *,
        read_s: float,
        login: tuple[str, str] | None = None,
        origin: str = "",
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`read_s` is for each answer to begin, and for each next piece of it. `login` is shown to `origin`
        (scheme://authority) alone.
        """
        self._pool = guarded_pool(allow_networks, resolver, tls=tls, connections=4)
        self.read_s = read_s
        self._login, self._origin = login, origin
        self._current: httpcore.Response | None = None
        self._stopped = threading.Event()
        self.trouble = ""

    def open(self, url: str, *, start: int = 0, end: int | None = None, most_bytes: int | None = None) -> WebFile:
        """From byte `start` to before `end`. Raises `FetchFailed`, `FetchRefused`, `AddressRefused`, `BadParameter`."""
        try:
            file = WebFile(self, url, start, end, most_bytes)
        except (FetchFailed, FetchRefused, AddressRefused, BadParameter) as error:
            self.trouble = error.text
            raise
        self.trouble = ""
        return file

    def ask(self, url: str, start: int, end: int | None) -> tuple[httpcore.Response, str]:
        """The answer behind all redirects, and where it was."""
        hop = Hop("GET", address(url), httpx.Headers({"Accept-Encoding": "identity"}), None)
        if start or end is not None:
            hop.headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        for _ in range(MOST_REDIRECTS + 1):
            response = self._send(hop)
            target = dict(httpx.Headers(response.headers)).get("location", "")
            if response.status not in REDIRECTS or not target:
                return response, str(hop.url)
            response.close()
            hop = next_hop(hop, response.status, target)
        raise FetchRefused(f"{hop.url.host} redirects more than {MOST_REDIRECTS} times")

    def _send(self, hop: Hop) -> httpcore.Response:
        if self._stopped.is_set():
            raise FetchFailed("stopped")
        headers = hop.headers.copy()
        headers.setdefault("Host", hop.url.netloc.decode())
        if self._login is not None and f"{hop.url.scheme}://{hop.url.netloc.decode()}" == self._origin:
            headers["Authorization"] = "Basic " + b64encode(":".join(self._login).encode()).decode()
        timeouts = {"connect": CONNECT_S, "read": self.read_s, "write": self.read_s, "pool": CONNECT_S}
        url = httpcore.URL(
            scheme=hop.url.raw_scheme, host=hop.url.raw_host, port=hop.url.port, target=hop.url.raw_path or b"/"
        )
        request = httpcore.Request("GET", url, headers=headers.raw, extensions={"timeout": timeouts})
        try:
            with within(
                self.read_s
            ):  # a head that drips in would be waited for as long as it likes, and no `stop` ends that
                self._current = self._pool.handle_request(request)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise FetchFailed(failure(hop.url.host, error)) from error
        return self._current

    def stop(self) -> None:
        """Nothing is read any more; a read that waits ends now."""
        self._stopped.set()
        response = self._current
        stream = None if response is None else response.extensions.get("network_stream")
        found = None if stream is None else stream.get_extra_info("socket")
        if isinstance(found, socket.socket):
            with contextlib.suppress(OSError):  # it is closed already
                found.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._pool.close()


class WebFile:
    """A body as a binary file. It can be sought in when its length is known and its server gives parts."""

    def __init__(self, web: Web, url: str, start: int, end: int | None, most_bytes: int | None) -> None:
        self._web = web
        self._first, self._end = start, end
        self._most_bytes = most_bytes
        self._taken_bytes = 0
        self._ahead = b""
        self._at = 0  # of the next byte, counted from `start`
        self.url = url
        self._ask(0)
        headers = httpx.Headers(self._response.headers)
        self.content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self.size = self._length(headers)
        self._ranges = self._response.status == 206 or headers.get("accept-ranges", "").lower() == "bytes"

    def _ask(self, at: int) -> None:
        start = self._first + at
        self._response, self.url = self._web.ask(self.url, start, self._end)
        status, host = self._response.status, httpx.URL(self.url).host
        headers = httpx.Headers(self._response.headers)
        if status not in (200, 206) or headers.get("content-encoding", "identity") not in ("", "identity"):
            self._response.close()
            refused = FetchRefused if 400 <= status < 500 and status not in (404, 408, 429) else FetchFailed
            raise refused(f"{host} answers {status}")
        if status == 206:
            found = _RANGE.fullmatch(headers.get("content-range", ""))
            if found is None or int(found[1]) != start:
                self._response.close()
                raise FetchRefused(f"{host} answers with another part than was asked for")
        elif start:
            self._response.close()
            raise FetchRefused(f"{host} gives no parts of a file")
        self._chunks: Iterator[bytes] = iter(self._response.iter_stream())
        self._at, self._ahead, self._host = at, b"", host

    def _length(self, headers: httpx.Headers) -> int | None:
        """Of the whole that may be read here."""
        part = _RANGE.fullmatch(headers.get("content-range", ""))
        if part is not None and part[2] != "*" and self._end is None:
            return int(part[2]) - self._first
        given = headers.get("content-length", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None

    def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes, as they have come; none at the end. Raises `FetchFailed`, `FetchRefused`."""
        while not self._ahead:
            try:
                with within(self._web.read_s):
                    self._ahead = next(self._chunks)
            except StopIteration:
                return b""
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
                self._web.trouble = failure(self._host, error)
                raise FetchFailed(self._web.trouble) from error
            self._bound()
        piece, self._ahead = (self._ahead, b"") if n < 0 else (self._ahead[:n], self._ahead[n:])
        self._at += len(piece)
        return piece

    def peek(self, n: int) -> bytes:
        """The next bytes, up to `n`, without taking them."""
        head, at = b"", self._at
        while len(head) < n and (piece := self.read(n - len(head))):
            head += piece
        self._ahead, self._at = head + self._ahead, at
        return head

    def _bound(self) -> None:
        self._taken_bytes += len(self._ahead)
        if self._most_bytes is not None and self._taken_bytes > self._most_bytes:
            raise FetchRefused(f"{self._host} sends more than {self._most_bytes} bytes")

    def seekable(self) -> bool:
        return self.size is not None and self._ranges

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: 0, 1: self._at, 2: self.size or 0}[whence]
        to = max(0, base + offset)
        if self._at <= to <= self._at + _SKIP_BYTES:
            while self._at < to and self.read(min(to - self._at, _CHUNK_BYTES)):
                pass
        if self._at != to:
            self._response.close()
            if self.size is not None and to >= self.size:
                self._at, self._ahead, self._chunks = to, b"", iter(())
            else:
                self._ask(to)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._response.close()
