"""A room of a real Janus, from publishers to the recorder's channel, keeps to what every channel promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.vocabulary.channel import Channel, Room
from tests.capture.conformance import Told, judge, tell
from tests.capture.stages import Actors
from tests.janus.server import ALLOWED, HOST, Control, JanusPublisher, JanusServer, at_janus, room_at
from workers.recorder.capture.janus.channel import JanusChannel
from workers.webrtc.tap import Tap

pytestmark = pytest.mark.usefixtures("janus")


class JanusStage(Actors):
    caps = JanusChannel.caps
    exact_s = 0.01
    notices_death_within_s = 1.5

    def __init__(self) -> None:
        super().__init__(JanusPublisher)
        self.losing.unlucky = self._carols
        self.channels: list[JanusChannel] = []

    def channel(self) -> Channel:
        self.channels.append(JanusChannel(self.clock, ALLOWED, (HOST,), self.losing))
        return self.channels[-1]

    def room(self, *, anchored: bool) -> Room:
        return room_at(anchored=anchored)

    async def die(self, publisher: object) -> None:
        assert isinstance(publisher, JanusPublisher) and publisher.session is not None
        publisher.session._socket.transport.abort()
        await super().die(publisher)

    def _carols(self) -> Iterator[Tap]:
        feeds = (it for channel in self.channels for it in channel._feeds if it.user.id == "carol")
        return (ear.tap for feed in feeds for ear in feed.ears.values() if ear.tap is not None)


def test_a_room_of_janus_conforms_and_nobody_sees_the_recorder(tmp_path: Path) -> None:
    listed: list[str] = []

    async def story(server: JanusServer, control: Control) -> tuple[JanusStage, Told]:
        stage = JanusStage()
        told = await tell(stage)
        listed.extend(str(entry["id"]) for entry in await control.participants())
        await stage.close()
        return stage, told

    stage, told = at_janus(tmp_path, story)
    judge(told)
    assert stage.losing.lost > 20
    assert sorted(listed) == ["bob", "carol"]
