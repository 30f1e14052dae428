"""The players as real WebRTC publishers, in a thread with a loop of their own. What they did, and when, is kept."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from farm.demo.cast import CNAME, PLAYERS, Player
from farm.publisher.publisher import SyntheticPublisher
from workers.synthetic.media import AudioLoop, VideoLoop

T = TypeVar("T")


@dataclass(slots=True)
class Presence:
    """One player's time in the room, in monotonic seconds."""

    player: Player
    publisher: SyntheticPublisher
    entered: float
    left: float | None = None

    def flashes(self) -> list[float]:
        """When each flash that he sent was captured: what its RTP timestamp says, however late a busy machine sends it."""
        zero, until = self.publisher.started_at, self.left or float("inf")
        if zero is None:
            return []
        captured = [zero + frame / self.player.plan.fps for frame, _ in self.publisher.flashes]
        return [at_s for at_s in captured if self.entered <= at_s < until]

    def latest_s(self) -> float:
        """By how much a flash left later than it was captured, at most."""
        zero, fps = self.publisher.started_at or 0.0, self.player.plan.fps
        return max((at_s - zero - frame / fps for frame, at_s in self.publisher.flashes), default=0.0)


class Room:
    """`token` mints a publisher's bearer for a uid."""

    def __init__(self, url: str, appid: str, token: Callable[[str], str]) -> None:
        self._url = f"{url}/whip/{appid}/{CNAME}"
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="players", daemon=True)
        self._thread.start()
        self.presences: dict[str, Presence] = {}

    @staticmethod
    def prepare() -> None:
        """Encode what the players will send: while they talk, the machine's time is the recorder's."""
        for player in PLAYERS:
            VideoLoop(player.plan).prepare()
            AudioLoop(player.plan).prepare()

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
