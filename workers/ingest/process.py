"""The ingest as one process: WHIP, rooms and the unit server in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import uvicorn

from models.settings import Settings
from models.tokens import whip_keys
from workers.ingest.publisher import Patience
from workers.ingest.room import Rooms
from workers.ingest.units import UnitServer
from workers.ingest.wall import Wall
from workers.ingest.whip import Whip
from workers.webrtc import ice
from workers.webrtc.tap import Drops

log = logging.getLogger(__name__)

#: Deadlines and repeated requests of the taps; a third of the interval of NACKs.
_TICK_S: Final = 0.02
#: So late at the most is it noticed that a publisher has fallen silent.
_WATCH_S: Final = 0.25
_SIGN_OF_LIFE_S: Final = 1.0


class _Http(uvicorn.Server):
    """Signals are the process's: uvicorn would die of them before publishers and recorders are told."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Ingest:
    """`start`, then `serve` until told to end. Raises `Internal` when the farm has no secret, OSError when a port is taken."""

    def __init__(self, settings: Settings, patience: Patience | None = None, drops: Drops | None = None) -> None:
        ice.keep_to(settings.ice_addresses)
        keys = whip_keys(settings.secret_keys.get_secret_value())
        self.rooms = Rooms(time.monotonic)
        wall = Wall(time.monotonic, time.time)
        self.whip = Whip(self.rooms, keys, time.monotonic, wall, settings.ingest_url, patience, drops)
        self.units = UnitServer(self.rooms, keys, time.monotonic, wall)
        self._bind = _host_port(settings.ingest_bind)
        self._units_bind = _host_port(settings.ingest_units_bind)
        self._http: _Http | None = None
        self._socket: socket.socket | None = None
        self.port = 0
        self.units_port = 0

    async def start(self) -> None:
        """Bind both ports; 0 lets the system choose."""
        self._socket = socket.create_server(self._bind, family=_family(self._bind[0]))
        self.port = self._socket.getsockname()[1]
        self.units_port = await self.units.listen(*self._units_bind)
        config = uvicorn.Config(
            self.whip.app(),
            lifespan="off",
            log_config=None,
            access_log=False,  # the query of a request is its token
            ws="none",
            timeout_graceful_shutdown=2,
        )
        self._http = _Http(config)

    async def serve(self) -> None:
        """Until `stop`. Publishers and recorders are told to go."""
        assert self._http is not None and self._socket is not None, "start() first"
        log.info("ingest listens on port %d, units on port %d", self.port, self.units_port)
        duties = ((_TICK_S, self.whip.tick), (_WATCH_S, self.whip.expire), (_SIGN_OF_LIFE_S, self.units.tick))
        tickers = [asyncio.create_task(_every(period_s, duty)) for period_s, duty in duties]
        for ticker in tickers:
            ticker.add_done_callback(lambda _: self.stop())  # without its ticks the ingest is no good
        try:
            await self._http.serve([self._socket])
        finally:
            for ticker in tickers:
                ticker.cancel()
            outcomes = await asyncio.gather(*tickers, return_exceptions=True)
            await self.whip.close()
            await self.units.close()
            self._socket.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def stop(self) -> None:
        if self._http is not None:
            self._http.should_exit = True


async def _every(period_s: float, duty: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(period_s)
        await duty()


def _host_port(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{bind!r} is no host:port")
    return host.strip("[]"), int(port)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
