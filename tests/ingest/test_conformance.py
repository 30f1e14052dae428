"""A WHIP room, from publishers to the recorder's channel, keeps to what every channel promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from models.vocabulary.channel import Channel, Room
from tests.capture.conformance import Told, judge, tell
from tests.capture.stages import Actors
from tests.ingest.rigs import CNAME, publisher, room_at, running_ingest
from workers.ingest.process import Ingest
from workers.ingest.publisher import Patience
from workers.recorder.capture.whip import WhipChannel
from workers.webrtc.tap import Tap


class WhipStage(Actors):
    caps = WhipChannel.caps
    exact_s = 0.01
    notices_death_within_s = 2.5

    def __init__(self) -> None:
        super().__init__(lambda uid, plan: publisher(self.ingest, uid, plan))
        self.losing.unlucky = self._carols
        self.ingest: Ingest

    def channel(self) -> Channel:
        return WhipChannel(self.clock)

    def room(self, *, anchored: bool) -> Room:
        return room_at(self.ingest.units_port, cname=CNAME)

    def _carols(self) -> Iterator[Tap]:
        return (tap for it in self.ingest.whip.publishers if it.user.id == "carol" for tap in it._taps)


def test_a_room_of_whip_conforms() -> None:
    async def run() -> tuple[WhipStage, Told]:
        stage = WhipStage()
        async with running_ingest(Patience(connect_s=5.0, silent_s=1.2), stage.losing) as stage.ingest:
            told = await tell(stage)
            await stage.close()
        return stage, told

    stage, told = asyncio.run(run())
    judge(told)
    assert stage.losing.lost > 20
