"""The kinds of channels on which the story of the conformance suite is played."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from aiortc.rtp import RtpPacket

from farm.publisher.publisher import SyntheticPublisher
from models.vocabulary.channel import Channel, Room
from models.vocabulary.timing import Clock
from tests.capture.conformance import ENDS, LOSS_PCT, LOST, LOST_NO_MORE, STORY, Step
from workers.recorder.capture.script import Script
from workers.recorder.capture.scripted import ScriptedChannel
from workers.recorder.clock import RealClock
from workers.synthetic.plan import MediaPlan
from workers.webrtc.payload import VIDEO_CODECS
from workers.webrtc.tap import Tap

_BEAT_S: Final = 0.02
_AT_REST_S: Final = 0.002


@dataclass
class Paced:
    """The story's time on a clock."""

    clock: Clock
    zero_t: float = 0.0

    def begin(self) -> None:
        self.zero_t = self.clock.now()

    def now(self) -> float:
        return self.clock.now()

    async def reach(self, at_s: float) -> None:
        await self.clock.sleep_until(self.zero_t + at_s)

    async def until(self, true: Callable[[], bool], within_s: float) -> None:
        """A script's units are there when they are due."""

    def stalled_s(self, from_t: float, to_t: float) -> float:
        return 0.0

    def late_s(self) -> tuple[float, float]:
        return 0.0, 0.0


class ScriptedStage(Paced):
    caps = ScriptedChannel.caps
    exact_s = 1e-6
    notices_death_within_s = 0.1

    def begin(self) -> None:
        super().begin()
        self.opened_ms = self.clock.wall_ms()

    def channel(self) -> Channel:
        return ScriptedChannel(self.clock, _script())

    def room(self, *, anchored: bool) -> Room:
        return Room("scripted:", "app", "room", "1", self.opened_ms, anchored=anchored)

    async def act(self, step: Step) -> None:
        """The script knows already."""


def _script() -> Script:
    users: dict[str, dict[str, Any]] = {}
    for step in STORY:
        if not step.uid:
            continue
        if step.do == "join" and step.uid not in users:
            plan = step.plan
            users[step.uid] = {
                **{"id": step.uid, "codec": plan.codec, "width": plan.width, "height": plan.height, "fps": plan.fps},
                **{"number": plan.user_no, "actions": []},
            }
        users[step.uid]["actions"] += _actions(step, again=bool(users[step.uid]["actions"]))
    return Script.model_validate({"users": list(users.values()), "duration_s": ENDS.at_s + 60})


def _actions(step: Step, *, again: bool) -> list[dict[str, Any]]:
    at: dict[str, Any] = {"at_s": step.at_s}
    match step.do:
        case "join" if again:
            shape = {"width": step.plan.width, "height": step.plan.height}
            changes = [at | {"do": "codec", "codec": step.plan.codec}, at | {"do": "resize"} | shape]
            return [*changes, at | {"do": "rejoin"}]
        case "join":
            return [at | {"do": "join"}, at | {"do": "publish"}]
        case "mute" | "unmute":
            return [at | {"do": step.do, "what": ["video"]}]
        case "lose":
            return [at | {"do": "loss", "what": ["video"], "percent": LOSS_PCT, "for_s": LOST_NO_MORE.at_s - LOST.at_s}]
        case "leave" | "die":
            return [at | {"do": "leave"}]
        case _:
            return []


class Lively(Paced):
    """A story among people and machines that take their time."""

    async def reach(self, at_s: float) -> None:
        """What was held up is as long as it was to be, and later."""
        self.zero_t = max(self.zero_t, self.clock.now() - at_s)
        await super().reach(at_s)

    async def until(self, true: Callable[[], bool], within_s: float) -> None:
        until_t = self.clock.now() + within_s
        while not true() and self.clock.now() < until_t:  # noqa: ASYNC110  (conditions of other parts have no event)
            await asyncio.sleep(0.02)


class Actors(Lively):
    """People with real cameras: `publisher` makes one, `die` ends one without a word."""

    def __init__(self, publisher: Callable[[str, MediaPlan], SyntheticPublisher]) -> None:
        super().__init__(RealClock())
        self._publisher = publisher
        self._there: dict[str, SyntheticPublisher] = {}
        self.losing = Losing()
        self._beats: list[tuple[float, float]] = []  # (when, how late)
        self._beating: asyncio.Task[None] | None = None

    def begin(self) -> None:
        super().begin()
        self._beating = asyncio.create_task(self._beat())

    def stalled_s(self, from_t: float, to_t: float) -> float:
        return sum(late_s for t, late_s in self._beats if from_t < t <= to_t + late_s and late_s > _BEAT_S)

    def late_s(self) -> tuple[float, float]:
        """A timer of its own is late by a millisecond on a machine at rest: that counts for nothing."""
        late_s = sorted(late_s for _, late_s in self._beats)
        often_s = late_s[len(late_s) * 3 // 4]
        return (often_s if often_s > _AT_REST_S else 0.0), (late_s[-1] if late_s[-1] > _BEAT_S else 0.0)

    async def _beat(self) -> None:
        while True:
            due_t = self.clock.now() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            self._beats.append((self.clock.now(), self.clock.now() - due_t))

    async def act(self, step: Step) -> None:
        match step.do:
            case "join":
                self._there[step.uid] = self._publisher(step.uid, step.plan)
                await self._there[step.uid].open()
            case "leave":
                await self._there.pop(step.uid).close()
            case "die":
                await self.die(self._there.pop(step.uid))
            case "mute":
                self._there[step.uid].mute()
            case "unmute":
                self._there[step.uid].unmute()
            case "lose" | "lose_no_more":
                self.losing.now = step.do == "lose"

    async def die(self, publisher: SyntheticPublisher) -> None:
        """As a host that loses its power: no packet comes any more, nothing is said."""
        connection = publisher._connection
        assert connection is not None
        for sender in connection.getSenders():
            await sender.transport.transport._connection.close()
        await connection.close()

    async def close(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        for publisher in self._there.values():
            await publisher.close()
        self._there.clear()


@dataclass
class Losing:
    """Loses packets of the pictures of whoever is unlucky, and of what is sent again."""

    unlucky: Callable[[], Iterable[Tap]] = tuple
    now: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(30))
    lost: int = 0

    def __call__(self, packet: RtpPacket) -> bool:
        if not self.now or not any(packet.ssrc in ssrcs(tap) for tap in self.unlucky()):
            return False
        loses = self.chance.random() < LOSS_PCT / 100
        self.lost += loses
        return loses


def ssrcs(tap: Tap) -> set[int]:
    """Of a picture: its stream's, and that of its retransmissions."""
    if tap._codec not in VIDEO_CODECS:
        return set()
    return {tap._ssrc or 0, *(rtx for rtx, ssrc in tap._of_receiver("rtx_ssrc").items() if ssrc == tap._ssrc)}
