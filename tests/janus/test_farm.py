"""The whole farm records a room of a real Janus, also when its recorder is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from farm.judge.report import judge_recording
from tests.farm.backend import FPS, HEIGHT, WIDTH
from tests.farm.conftest import QUICK
from tests.farm.processes import UpFarm, recorder_of
from tests.janus.server import ADDRESS, HOST, Control, JanusPublisher, JanusServer, at_janus
from workers.synthetic.plan import MediaPlan

pytestmark = pytest.mark.usefixtures("janus")

#: The recorder is started again, joins, waits for Janus' clock and for a key unit.
HOLE_S = 5.0


def test_a_room_is_recorded_from_start_to_stop_through_a_crash(tmp_path: Path) -> None:
    async def story(server: JanusServer, control: Control) -> tuple[Path, int]:
        user = JanusPublisher("alice", MediaPlan(1, "h264", WIDTH, HEIGHT, FPS, loop_s=4))
        await user.open()
        env = QUICK | {"REELYARD_ICE_ADDRESSES": HOST}
        farm = await asyncio.to_thread(UpFarm, tmp_path / "farm", "--channel", ADDRESS, env=env)
        try:
            take = await asyncio.to_thread(farm.backend.record_channel, "room one")
            await asyncio.to_thread(take.until_more, 2)
            assert [entry["id"] for entry in await control.participants()] == ["alice"]
            os.kill(recorder_of(take.sid, farm.worker), signal.SIGKILL)
            await asyncio.to_thread(take.until_more, 3)
            stopped = await asyncio.to_thread(take.stop)
            assert stopped.status_code == 200, stopped.text
            [playlist] = await asyncio.to_thread(lambda: list(farm.store.rglob(take.playlist_name)))
            return playlist, int(take.told()["status"])
        finally:
            await asyncio.to_thread(farm.close)
            await user.close()

    playlist, status = at_janus(tmp_path / "janus", story)
    verdict = judge_recording(playlist)
    assert verdict.violations == () and status == 8
    assert sum(b - a for a, b in verdict.holes) < HOLE_S and len(verdict.holes) <= 1
    assert verdict.frames > 6 * FPS
