"""The observer in front of the store: in which order things arrived, and whether a playlist ever ran ahead or went back."""

from __future__ import annotations

import threading
from posixpath import basename
from typing import Final
from urllib.parse import unquote, urlsplit

from tests.stores.fault_proxy import Fault, FaultProxy, Seen

#: Thirty of a hundred requests fail. A stall lasts as long as the client bears it.
FAULTS: Final[tuple[tuple[Fault, float, dict[str, int]], ...]] = (
    (Fault.STATUS, 0.05, {"status": 500}),
    (Fault.STATUS, 0.07, {"status": 503}),
    (Fault.RESET_NOW, 0.05, {}),
    (Fault.RESET_MIDWAY, 0.05, {}),
    (Fault.TRUNCATE, 0.04, {}),
    (Fault.LOSE_ANSWER, 0.05, {}),
    (Fault.STALL, 0.02, {}),
)


class Observer:
    """Given to a `FaultProxy` as `on_done`: hears of each request as soon as the store has answered it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._there: set[str] = set()
        self._listed: list[str] = []
        self.playlists = 0
        self.ahead = 0
        self.regressions = 0

    def __call__(self, seen: Seen) -> None:
        if seen.method != "PUT" or seen.status != 200:
            return
        name = basename(unquote(urlsplit(seen.path).path))
        with self._lock:
            if name.endswith(".m3u8"):
                self._judge(seen.body.decode())
            else:
                self._there.add(name)

    def _judge(self, playlist: str) -> None:
        named = [line for line in playlist.splitlines() if line and not line.startswith("#")]
        self.playlists += 1
        self.ahead += any(name not in self._there for name in named)
        self.regressions += named[: len(self._listed)] != self._listed
        self._listed = named


def trouble(proxy: FaultProxy) -> None:
    """From now on thirty per cent of all requests fail."""
    proxy.heal()
    left = 1.0
    for fault, share, more in FAULTS:
        proxy.add(fault, chance=share / left, **more)  # a rule is asked only where those before it did not strike
        left -= share


def outage(proxy: FaultProxy) -> None:
    """From now on nobody is there."""
    proxy.heal()
    proxy.add(Fault.RESET_NOW)
