"""An HTTP proxy on loopback that fails as told. It closes after each answer, so every request gets its own verdict,
and it remembers every request: the observer that judges in which order things reached the store."""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Final, Protocol
from urllib.parse import urlsplit

CODES: Final = {
    400: "AuthorizationHeaderMalformed",
    403: "AccessDenied",
    404: "NoSuchBucket",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
    507: "InsufficientStorage",
}
HEAD_BYTES: Final = 65_536


class Fault(StrEnum):
    STATUS = "status"  # answered here with `status` and `code`; the store hears nothing
    RESET_NOW = "reset_now"  # the connection breaks before the body
    RESET_MIDWAY = "reset_midway"  # … after half of the body
    STALL = "stall"  # the body is taken, and nothing is answered until the proxy closes
    DRIP = "drip"  # an answer that never ends, a byte every `pace_s`
    LOSE_ANSWER = "lose_answer"  # the store has it, the client is not told
    TRUNCATE = "truncate"  # half of the store's answer
    CUT_HEADERS = "cut_headers"  # the status line, and a clean end where the headers should come
    DROP_ETAG = "drop_etag"  # the answer without its ETag
    WRONG_ETAG = "wrong_etag"
    DAMAGE = "damage"  # one bit of the body flips on its way


@dataclass(slots=True)
class Rule:
    """Applies to requests of `method` whose path matches `path`; `times` None is for ever, `chance` for each one."""

    fault: Fault
    method: str = ""
    path: str = ""
    times: int | None = None
    chance: float = 1.0
    status: int = 503
    code: str = ""
    pace_s: float = 0.02
    date_s: float | None = None  # the `Date` of a STATUS answer


@dataclass(slots=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    fault: Fault | None
    status: int | None = None  # the store's own answer; None: it was not asked
    body: bytes = field(default=b"", repr=False)


class Chance(Protocol):
    def random(self) -> float: ...


class FaultProxy:
    def __init__(
        self, upstream: str, chance: Chance | None = None, on_done: Callable[[Seen], None] | None = None
    ) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._chance = chance or random.Random(1)
        self._on_done = on_done
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.seen: list[Seen] = []

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._serve, name="fault proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def add(self, fault: Fault, **more: object) -> Rule:
        rule = Rule(fault, **more)  # type: ignore[arg-type]  # Rule's own fields
        with self._lock:
            self._rules.append(rule)
        return rule

    def heal(self) -> None:
        with self._lock:
            self._rules.clear()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _pick(self, method: str, path: str) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                fits = rule.method in ("", method) and re.search(rule.path, path) and rule.times != 0
                if fits and self._chance.random() < rule.chance:
                    rule.times = None if rule.times is None else rule.times - 1
                    return rule
        return None

    def _handle(self, client: socket.socket) -> None:
        with client, suppress(OSError):  # either side has left; what was seen is in the list
            self._one_request(client)

    def _one_request(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        if not head:
            return
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        lines = [line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        size = int(headers.get("content-length", 0))
        rule = self._pick(method, path)
        seen = Seen(method, path, headers, rule.fault if rule else None)
        with self._lock:
            self.seen.append(seen)
        if rule and rule.fault in (Fault.RESET_NOW, Fault.RESET_MIDWAY):
            _read_rest(client, rest, size // 2 if rule.fault is Fault.RESET_MIDWAY else 0)
            _reset(client)
            return
        seen.body = _read_rest(client, rest, size)
        if rule and rule.fault is Fault.STALL:
            self._closing.wait(60)
        elif rule and rule.fault is Fault.DRIP:
            self._drip(client, rule)
        elif rule and rule.fault is Fault.STATUS:
            client.sendall(_refusal(rule))
        else:
            self._forward(client, head, seen, rule.fault if rule else None)

    def _forward(self, client: socket.socket, head: bytes, seen: Seen, fault: Fault | None) -> None:
        body = seen.body
        if fault is Fault.DAMAGE and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
        with socket.create_connection(self._upstream, 30) as store:
            store.sendall(head + body)
            answer = b"".join(iter(lambda: store.recv(HEAD_BYTES), b""))
        seen.status = int(answer.split(b" ", 2)[1])
        if self._on_done:
            self._on_done(seen)
        if fault in (Fault.LOSE_ANSWER, Fault.TRUNCATE):
            client.sendall(answer[: len(answer) // 2 if fault is Fault.TRUNCATE else 0])
            _reset(client)
            return
        if fault is Fault.CUT_HEADERS:
            answer = answer.split(b"\r\n", 1)[0] + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        if fault is Fault.DROP_ETAG:
            answer = re.sub(rb"(?i)\r\netag:[^\r]*", b"", answer)
        if fault is Fault.WRONG_ETAG:
            answer = re.sub(rb"(?i)(\r\netag: *)[^\r]*", rb'\1"' + b"0" * 32 + b'"', answer)
        client.sendall(answer)

    def _drip(self, client: socket.socket, rule: Rule) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self._closing.wait(rule.pace_s):
            client.sendall(b"x")


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    read = b""
    while b"\r\n\r\n" not in read:
        piece = client.recv(HEAD_BYTES)
        if not piece:
            return b"", b""
        read += piece
    head, _, rest = read.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _read_rest(client: socket.socket, begun: bytes, size: int) -> bytes:
    body = bytearray(begun)
    while len(body) < size:
        piece = client.recv(min(HEAD_BYTES, size - len(body)))
        if not piece:
            raise ConnectionError("the client left amid its body")
        body += piece
    return bytes(body)


def _reset(client: socket.socket) -> None:
    """RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _refusal(rule: Rule) -> bytes:
    code = rule.code or CODES.get(rule.status, "Refused")
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
    date = f"Date: {formatdate(rule.date_s, usegmt=True)}\r\n" if rule.date_s is not None else ""
    head = f"HTTP/1.1 {rule.status} X\r\n{date}Content-Type: application/xml\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return head.encode() + text
