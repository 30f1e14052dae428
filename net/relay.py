"""A TCP connection to a judged address, for libraries that open their own: they connect to a port of this host instead.

What they cannot do is done here: the address is the one that was judged, TLS trusts nobody unproven, the connection ends
at once when it is told to, and what the other end says can be watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from models.vocabulary.errors import FetchFailed, ReelyardError
from net.connections import CONNECT_S
from net.guard import Address

LOOPBACK: Final = "127.0.0.1"
#: Looks at every piece that comes from the other end; what it raises ends the connection.
Watch = Callable[[bytes], None]


class _End(asyncio.Protocol):
    """One side of it. A side that does not take what comes stops the other from reading."""

    def __init__(self, relay: Relay, watch: Watch | None = None) -> None:
        self._relay = relay
        self._watch = watch
        self.transport: asyncio.Transport | None = None
        self.peer: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._relay.joined(self)

    def data_received(self, data: bytes) -> None:
        try:
            if self._watch is not None:
                self._watch(data)
        except ReelyardError as error:
            self._relay.why = error
            self._relay.close()
            return
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.left(self)


class Relay:
    """`port` of this host takes one connection. `why`: what the watch said against the other end, if that ended it."""

    def __init__(self) -> None:
        self.port = 0
        self.why: ReelyardError | None = None
        self._far: _End | None = None
        self._near: _End | None = None
        self._server: asyncio.Server | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(
        cls,
        addresses: Sequence[Address],
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        watch: Watch | None = None,
    ) -> Relay:
        """To the first address that answers; with `tls` it must prove to be `name`. Raises `FetchFailed`."""
        relay = cls()
        far = await relay._dial(addresses, port, tls, name, watch)
        assert far.transport is not None
        far.transport.pause_reading()  # nobody is there yet who would take it
        relay._far = far
        loop = asyncio.get_running_loop()
        try:
            relay._server = await loop.create_server(lambda: _End(relay), LOOPBACK, 0, backlog=1)
        except BaseException as error:
            relay.close()
            if isinstance(error, OSError):
                raise FetchFailed("no port of this host is free") from error
            raise
        relay.port = relay._server.sockets[0].getsockname()[1]
        return relay

    async def _dial(
        self, addresses: Sequence[Address], port: int, tls: ssl.SSLContext | None, name: str | None, watch: Watch | None
    ) -> _End:
        loop = asyncio.get_running_loop()
        host = name or str(addresses[0])
        failure: Exception | None = None
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_S):
                    _, far = await loop.create_connection(
                        lambda: _End(self, watch), str(address), port, ssl=tls, server_hostname=name if tls else None
                    )
            except ssl.SSLCertVerificationError as error:
                raise FetchFailed(f"the certificate of {host} is not trusted: {error.verify_message}") from error
            except (OSError, TimeoutError) as error:
                failure = error  # the next address may answer
            else:
                return far
        raise FetchFailed(f"{host} cannot be connected to") from failure

    def joined(self, end: _End) -> None:
        """The far end connects before there is a server, so whoever comes to that is the near one."""
        if self._server is None:
            return
        self._server.close()
        if self._near is not None or self._far is None or self._far.transport is None:
            assert end.transport is not None
            end.transport.abort()
            return
        self._near, end.peer, self._far.peer = end, self._far, end
        if not self._far.transport.is_closing():
            self._far.transport.resume_reading()

    def left(self, end: _End) -> None:
        """What one end has sent before it left still reaches the other."""
        if self._far is not None and end not in (self._far, self._near):
            return
        if end.peer is not None and end.peer.transport is not None:
            end.peer.transport.close()
        elif self._server is not None:
            self._server.close()

    def stop(self) -> None:
        """`close`, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all its connections with it
            self._loop.call_soon_threadsafe(self.close)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for end in (self._near, self._far):
            if end is not None and end.transport is not None:
                with contextlib.suppress(OSError):  # it may be gone already
                    end.transport.abort()
