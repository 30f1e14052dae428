"""Connections that go to judged addresses only, and whose every read and write ends by a deadline.

The deadline belongs to the calling thread, not to the connection: pooled connections outlive a request. Socket
timeouts alone bound no request, since each byte that drips in starts them anew.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

import httpcore
import httpx

from net.guard import Network, Resolver, resolve, system_resolver

#: A slow reader resets the socket's timeout with each piece it takes; pieces of this size keep the overshoot small.
WRITE_BYTES: Final = 16_384
CONNECT_S: Final = 5.0
READ_S: Final = 30.0

_deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
_monotonic: Callable[[], float] = time.monotonic  # sockets wait in real time, so no other clock fits here


@contextmanager
def within(timeout_s: float) -> Iterator[None]:
    """Everything this thread does on guarded connections inside the block ends within `timeout_s`."""
    mine, outer = _monotonic() + timeout_s, _deadline_s.get()
    token = _deadline_s.set(mine if outer is None else min(mine, outer))
    try:
        yield
    finally:
        _deadline_s.reset(token)


def remaining_s(at_most_s: float | None = None) -> float | None:
    """Seconds left of the deadline, never below 0; None when nothing bounds."""
    deadline_s = _deadline_s.get()
    if deadline_s is None:
        return at_most_s
    left_s = max(0.0, deadline_s - _monotonic())
    return left_s if at_most_s is None else min(at_most_s, left_s)


def timeouts() -> dict[str, float | None]:
    """httpcore's `timeout` extension; the streams below tighten it at every step."""
    return {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": remaining_s()}


@cache
def default_tls() -> ssl.SSLContext:
    """Verifies names; trusts certifi's roots, or those of SSL_CERT_FILE / SSL_CERT_DIR."""
    return httpx.create_ssl_context()


def distrust(error: Exception) -> str | None:
    """Why TLS did not trust the other end, if that is what an error of the pool means."""
    inner = error.args[0] if error.args else None  # httpcore drops the cause, and keeps it as argument
    return inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else None


class DeadlineStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left_s = remaining_s(timeout)
        if left_s == 0:
            raise httpcore.ReadTimeout("deadline passed")
        return self._inner.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            left_s = remaining_s(timeout)
            if left_s == 0:
                raise httpcore.WriteTimeout("deadline passed")
            self._inner.write(buffer[start : start + WRITE_BYTES], left_s)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = remaining_s(timeout)
        if left_s == 0:
            raise httpcore.ConnectTimeout("deadline passed")
        return DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens TCP to an address it has resolved and judged itself; TLS and Host keep the name."""

    def __init__(self, allow_networks: Iterable[Network], resolver: Resolver) -> None:
        self._allow = tuple(allow_networks)
        self._resolver = resolver
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolve(host, port, self._allow, self._resolver, remaining_s(timeout))
        failure: Exception | None = None
        for address in addresses:
            left_s = remaining_s(timeout)
            if left_s == 0:
                raise httpcore.ConnectTimeout("deadline passed") from failure
            try:
                stream = self._inner.connect_tcp(str(address), port, left_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error  # the next address may answer
            else:
                return DeadlineStream(stream)
        raise failure or httpcore.ConnectError(f"{host} has no address")


def guarded_pool(
    allow_networks: Iterable[Network],
    resolver: Resolver = system_resolver,
    *,
    tls: ssl.SSLContext | None = None,
    connections: int = 8,
    keepalive_s: float = 15.0,
) -> httpcore.ConnectionPool:
    """A thread-safe HTTP/1.1 pool; close it. Raises httpcore's errors, and the guard's. `keepalive_s` 0: reuse nothing."""
    return httpcore.ConnectionPool(
        ssl_context=tls or default_tls(),
        max_connections=connections,
        max_keepalive_connections=connections if keepalive_s else 0,
        keepalive_expiry=keepalive_s,
        network_backend=GuardedBackend(allow_networks, resolver),
    )
