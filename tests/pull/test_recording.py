"""A whole recorder in a channel of URLs: who comes by order is in the mix, sound and picture together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from farm.judge.report import judge_recording
from farm.judge.users import Cell, Watched
from models.vocabulary import pipe
from models.vocabulary.spec import Secrets
from tests.pull.clocks import Hastened
from tests.pull.origin import Camera, Origin
from tests.pull.test_conformance import HOME
from tests.recorder.virtual import HEIGHT, WIDTH, Run, spec
from workers.recorder.capture.pull.channel import PullChannel
from workers.recorder.clock import VirtualClock
from workers.synthetic.marker import View
from workers.synthetic.plan import MediaPlan

SPEED = 2.0
FPS = 15


@pytest.mark.slow
def test_users_come_and_go_by_order_while_a_recorder_mixes_them(tmp_path: Path) -> None:
    plan = MediaPlan(user_no=1, width=WIDTH, height=HEIGHT, fps=FPS, loop_s=10)
    run = Run(tmp_path, spec("pull:"))

    async def story() -> int:
        clock = Hastened(SPEED)
        origin = Origin(clock)
        origin.cameras = {"ada": Camera(plan, clock.now())}
        async with origin.serving():
            recorder = run.recorder(cast(VirtualClock, clock))
            recorder._open_channel = lambda _address, _clock: PullChannel(clock, HOME, lambda: 0.1, gone_after_s=1.0)
            recording = asyncio.create_task(recorder.run())
            users = {"eve": "http://127.0.0.1:1/x?key=s3cr3t"}
            for pulls in (users | {"ada": origin.url("ada")}, users):
                run.keeper.say(pipe.Spec(gen=2, spec=run.spec, secrets=Secrets(pulls=pulls)))
                if "ada" in pulls:
                    while run.keeper.t0_ms is None:  # noqa: ASYNC110  (it comes by itself)
                        await asyncio.sleep(0.01)
                await clock.sleep_until(clock.now() + 4.5)
            run.keeper.say(pipe.Finish())
            return await recording

    assert asyncio.run(asyncio.wait_for(story(), 40)) == 0
    ada = Watched(1, "ada", (Cell(View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT), 0, 4.0),), ((0.5, 4.0),), fps=FPS)
    verdict = judge_recording(run.playlist, [ada])
    (seen,) = verdict.users
    assert not verdict.violations and not verdict.holes
    assert seen.frames_unread == 0 and seen.frames_lost <= 2 and seen.flashes_found == seen.flashes_due >= 3
    assert seen.av_offset_ms is not None and abs(seen.av_offset_ms) < 40
    (warning,) = run.keeper.warnings
    assert warning.startswith("user eve at http://127.0.0.1:1: ") and "s3cr3t" not in warning
