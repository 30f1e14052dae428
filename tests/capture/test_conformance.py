"""Every kind of channel keeps to what models/vocabulary/channel.py promises."""

from __future__ import annotations

from tests.capture.conformance import judge, tell
from tests.capture.stages import ScriptedStage
from workers.recorder.clock import VirtualClock, run_virtual


def test_a_scripted_room_conforms() -> None:
    async def main(clock: VirtualClock) -> None:
        judge(await tell(ScriptedStage(clock)))

    run_virtual(main)
