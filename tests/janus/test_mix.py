"""A mix of three users of a real Janus, judged by its file."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiortc.rtp import RtpPacket

from farm.judge.report import Verdict, judge_recording
from farm.judge.users import Cell, Watched
from models.vocabulary import pipe
from models.vocabulary.spec import LayoutKind, LayoutSpec, VideoSpec
from tests.janus.server import ADDRESS, Control, JanusPublisher, JanusServer, at_janus, channel
from tests.recorder.virtual import Run, spec
from workers.recorder.clock import RealClock
from workers.recorder.mixer.geometry import best_fit_cells, pixels
from workers.synthetic.marker import View
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan
from workers.webrtc.tap import Drops

pytestmark = pytest.mark.usefixtures("janus")

WIDTH, HEIGHT, FPS = 320, 180, 30
#: Cameras a little slower than the mix: their pictures fall anywhere between its frames, so that the median of where they
#: stand tells their times to a millisecond, which no single flash on the grid of 33 ms does.
CAMERA_FPS = 29
CAST = {
    "ada": MediaPlan(1, "h264", 320, 180, CAMERA_FPS, loop_s=4),
    "bea": MediaPlan(2, "vp8", 320, 180, CAMERA_FPS, loop_s=4, colour="#b5482f"),
    "cyd": MediaPlan(3, "h264", 320, 180, CAMERA_FPS, loop_s=4, colour="#2f7d4f"),
}
LATER_S = {"ada": 0.0, "bea": 0.37, "cyd": 0.81}


@dataclass(frozen=True)
class Mixed:
    verdict: Verdict
    started: dict[str, float]  # each user's zero, on the monotonic clock
    listed: list[str]  # who was in the room's list meanwhile


def watched(n: int, plan: MediaPlan, seconds: float) -> Watched:
    box = pixels(best_fit_cells(3)[n], WIDTH, HEIGHT)
    span = (2.0, seconds - 1.0)
    cell = Cell(View(box.x, box.y, box.w, box.h, plan.width, plan.height), *span)
    return Watched(plan.user_no, list(CAST)[n], (cell,), (span,), plan.fps, plan.loop_s)


def mixed(tmp_path: Path, seconds: float, drops: Drops | None = None) -> Mixed:
    layout = LayoutSpec(kind=LayoutKind.BEST_FIT)
    wish = spec(ADDRESS, cname="room one", layout=layout, slice_s=4)
    wish = wish.model_copy(update={"video": VideoSpec(width=WIDTH, height=HEIGHT, fps=FPS, bitrate_bps=900_000)})
    run = Run(tmp_path, wish)
    started: dict[str, float] = {}
    listed: list[str] = []

    async def enter(uid: str) -> JanusPublisher:
        await asyncio.sleep(LATER_S[uid])
        user = JanusPublisher(uid, CAST[uid])
        await user.open()
        return user

    async def record() -> None:
        """In a loop of its own: while it mixes, nobody could send."""
        recorder = run.recorder(RealClock())  # type: ignore[arg-type]  # a clock is a clock
        recorder._open_channel = lambda address, clock: channel(drops=drops)
        recording = asyncio.create_task(recorder.run())
        await asyncio.sleep(seconds + 1.0)
        run.keeper.say(pipe.Finish())
        run.code = await recording

    async def story(server: JanusServer, control: Control) -> None:
        for plan in CAST.values():
            await asyncio.to_thread(AudioLoop(plan).prepare)
            for gop in range(0, plan.loop_frames, plan.gop_frames):
                await asyncio.to_thread(VideoLoop(plan).run, gop)
        recording = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(record())))
        users = [await entering for entering in [asyncio.create_task(enter(uid)) for uid in CAST]]
        await asyncio.sleep(seconds / 2)
        listed.extend(str(entry["id"]) for entry in await control.participants())
        await recording
        started.update({uid: user.started_at or 0.0 for uid, user in zip(CAST, users, strict=True)})
        for user in users:
            await user.close()

    at_janus(tmp_path / "janus", story)
    assert (run.code, run.keeper.faults) == (0, [])
    verdict = judge_recording(run.playlist, [watched(n, plan, seconds) for n, plan in enumerate(CAST.values())])
    return Mixed(verdict, started, listed)


def test_three_users_are_mixed_in_sync(tmp_path: Path) -> None:
    told = mixed(tmp_path, 7.0)
    verdict, started = told.verdict, told.started
    assert (verdict.violations, verdict.holes) == ((), ())
    assert sorted(told.listed) == sorted(CAST), "nobody sees the recorder"
    for user in verdict.users:
        assert user.flashes_found >= user.flashes_due - 1 >= 3, user  # the last may lie on the edge
        assert user.frames_lost <= 0.01 * (user.frames_seen + user.frames_lost) and user.frames_backward == 0, user
    for user in verdict.users:
        assert user.offset_s is not None and user.heard_offset_s is not None
        shown_s = user.offset_s - 0.5 / CAMERA_FPS  # a picture is seen anywhere between its time and the next one's
        assert abs(_apart(shown_s - user.heard_offset_s, 1)) <= 0.020, user
    assert verdict.av_offset_ms is not None and abs(verdict.av_offset_ms) <= 40  # with what the mix's grid adds
    for a, b in itertools.combinations(verdict.users, 2):
        assert a.offset_s is not None and b.offset_s is not None
        assert a.heard_offset_s is not None and b.heard_offset_s is not None
        apart_s = started[a.name] - started[b.name]
        assert abs(_apart(a.offset_s - b.offset_s - apart_s, 4)) <= 0.020, (a.name, b.name)
        assert abs(_apart(a.heard_offset_s - b.heard_offset_s - apart_s, 1)) <= 0.020, (a.name, b.name)


@pytest.mark.slow
def test_at_five_percent_loss_the_mix_goes_on(tmp_path: Path) -> None:
    chance = random.Random(5)
    lost = 0

    def drops(packet: RtpPacket) -> bool:
        """Of whatever comes: pictures, sound, and what is sent again."""
        nonlocal lost
        loses = chance.random() < 0.05
        lost += loses
        return loses

    verdict = mixed(tmp_path, 40.0, drops).verdict
    assert lost > 300 and (verdict.violations, verdict.holes) == ((), ())
    for user in verdict.users:
        assert user.frames_lost + user.frames_unread <= 0.03 * (user.frames_seen + user.frames_lost), user
        assert user.still_s <= 1.0 and user.frames_backward == 0, user


def _apart(difference_s: float, turn_s: float) -> float:
    """The users repeat themselves."""
    return difference_s - round(difference_s / turn_s) * turn_s
