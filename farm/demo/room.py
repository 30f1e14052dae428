"""The players as real WebRTC publishers, in a thread with a loop of their own. What they did, and when, is kept."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from farm.demo.cast import CNAME, Player
from farm.publisher.publisher import SyntheticPublisher

T = TypeVar("T")


@dataclass(slots=True)
class Presence:
    """One player's time in the room, in monotonic seconds."""

    player: Player
    publisher: SyntheticPublisher
    entered: float
    left: float | None = None

    def flashes(self) -> list[float]:
        """When each of his flashes was sent."""
        until = self.left or float("inf")
        return [at_s for _, at_s in self.publisher.flashes if self.entered <= at_s < until]


class Room:
    """`token` mints a publisher's bearer for a uid."""

    def __init__(self, url: str, appid: str, token: Callable[[str], str]) -> None:
        self._url = f"{url}/whip/{appid}/{CNAME}"
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="players", daemon=True)
        self._thread.start()
        self.presences: dict[str, Presence] = {}

    def enter(self, player: Player) -> None:
        publisher = SyntheticPublisher(f"{self._url}/{player.uid}", self._token(player.uid), player.plan)
        self._do(publisher.open())
        self.presences[player.uid] = Presence(player, publisher, time.monotonic())

    def leave(self, player: Player) -> None:
        presence = self.presences[player.uid]
        presence.left = time.monotonic()
        self._do(presence.publisher.close())

    def close(self) -> None:
        for presence in self.presences.values():
            if presence.left is None:
                self.leave(presence.player)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)
