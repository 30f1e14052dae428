"""Users that are URLs keep to what every channel promises."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from models.vocabulary.channel import Channel, Room
from tests.capture.conformance import Step, Told, judge, tell
from tests.capture.stages import Lively
from tests.pull.clocks import Hastened
from tests.pull.origin import Camera, Origin
from workers.recorder.capture.pull.channel import PullChannel

HOME = (ip_network("127.0.0.1/32"),)
SPEED = 2.0


class PullStage(Lively):
    caps = PullChannel.caps
    exact_s = 0.02 * SPEED  # 20 ms of real time
    notices_death_within_s = 2.5

    def __init__(self) -> None:
        super().__init__(Hastened(SPEED))
        self.origin = Origin(self.clock)
        self._channels: list[PullChannel] = []
        self._wanted: dict[str, str] = {}
        self._losing: asyncio.Task[None] | None = None
        self.cuts = 0

    def channel(self) -> Channel:
        self._channels.append(PullChannel(self.clock, HOME, lambda: 0.1, gone_after_s=1.5))
        return self._channels[-1]

    def room(self, *, anchored: bool) -> Room:
        return Room("pull:", "app", "room", "1", self.clock.wall_ms(), pulls=dict(self._wanted), anchored=anchored)

    async def act(self, step: Step) -> None:
        cameras = self.origin.cameras
        match step.do:
            case "join":
                cameras[step.uid] = Camera(step.plan, self.clock.now())
                self._want(self._wanted | {step.uid: self.origin.url(step.uid)})
            case "leave":
                self._want({uid: url for uid, url in self._wanted.items() if uid != step.uid})
            case "die":
                cameras[step.uid].hangs = True
                cameras[step.uid].drop()
            case "mute" | "unmute":
                cameras[step.uid].muted = step.do == "mute"
            case "lose":
                self._losing = asyncio.create_task(self._cut(cameras[step.uid]))
            case "lose_no_more" if self._losing is not None:
                self._losing.cancel()

    async def _cut(self, camera: Camera) -> None:
        """What lost packets are to UDP, a broken connection is to TCP."""
        while True:
            camera.drop()
            self.cuts += 1
            await self.clock.sleep_until(self.clock.now() + 1.6)

    def _want(self, wanted: dict[str, str]) -> None:
        self._wanted = wanted
        for channel in self._channels:
            channel.pull(wanted)


@pytest.mark.timeout(60)
def test_a_room_of_urls_conforms() -> None:
    async def run() -> tuple[PullStage, Told]:
        stage = PullStage()
        async with stage.origin.serving():
            return stage, await tell(stage)

    stage, told = asyncio.run(run())
    judge(told)
    assert stage.cuts >= 3
    assert all(kept.channel.stats()["reconnects"] >= 2 for kept in told.recorders)
