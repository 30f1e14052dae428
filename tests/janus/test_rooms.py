"""A room of a real Janus, recorded by the whole farm in two ways at once, and through what happens to Janus."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from farm.judge.report import Verdict, judge_recording
from farm.judge.users import Cell, Watched
from tests.farm.backend import FPS, HEIGHT, WIDTH
from tests.farm.conftest import QUICK
from tests.farm.processes import UpFarm
from tests.farm.singles import MIXED, SINGLE, Held, Sent, held, started
from tests.janus.server import ADDRESS, HOST, ROOM, Control, JanusPublisher, JanusServer, at_janus
from tests.janus.simulcast import SimulcastPublisher
from workers.recorder.mixer.geometry import best_fit_cells, pixels
from workers.synthetic.marker import View
from workers.synthetic.media import AudioLoop, VideoLoop
from workers.synthetic.plan import MediaPlan

T = TypeVar("T")

pytestmark = [pytest.mark.usefixtures("janus"), pytest.mark.slow]

MIX_FPS = 30
#: See test_mix.py: between the mix's frames.
CAMERA_FPS = 29
LOOP_S = 10
APART_S = 0.8
TOGETHER_S = 11.0
PLANS = {
    "ada": (MediaPlan(1, "h264", 320, 180, CAMERA_FPS, LOOP_S),),
    "bea": tuple(MediaPlan(2, "vp8", w, h, CAMERA_FPS, LOOP_S, "#b5482f") for w, h in ((160, 90), (240, 136), (320, 180))),
    "cyd": (MediaPlan(3, "h264", 320, 180, CAMERA_FPS, LOOP_S, "#2f7d4f"),),
}  # fmt: skip
MIX = MIXED | {
    "transcodingConfig": {"width": 640, "height": 360, "fps": MIX_FPS, "bitrate": 900, "mixedVideoLayout": 1}
}


async def with_farm(folder: Path, story: Callable[[UpFarm], Awaitable[T]]) -> T:
    env = QUICK | {"REELYARD_ICE_ADDRESSES": HOST}
    farm = await asyncio.to_thread(UpFarm, folder, "--channel", ADDRESS, env=env)
    try:
        return await story(farm)
    finally:
        await asyncio.to_thread(farm.close)


def user_of(uid: str) -> JanusPublisher:
    plans = PLANS[uid]
    return SimulcastPublisher(uid, plans) if len(plans) > 1 else JanusPublisher(uid, plans[0])


def test_three_users_are_mixed_and_recorded_each_by_himself(tmp_path: Path) -> None:
    sent: dict[str, Sent] = {}
    had: dict[str, Held] = {}
    began: dict[str, float] = {}
    listed: list[str] = []

    async def in_farm(farm: UpFarm, control: Control) -> Verdict:
        mix = await asyncio.to_thread(started, farm.backend, ROOM, "1", "mix", MIX)
        single = await asyncio.to_thread(started, farm.backend, ROOM, "2", "individual", SINGLE)
        users = {uid: user_of(uid) for uid in PLANS}
        for user in users.values():
            await user.open()
            await asyncio.sleep(APART_S)
        await asyncio.sleep(TOGETHER_S)
        listed.extend(str(entry["id"]) for entry in await control.participants())
        sent.update({uid: Sent.by(user) for uid, user in users.items()})
        answers = await asyncio.gather(asyncio.to_thread(mix.stop), asyncio.to_thread(single.stop))
        assert [answer.status_code for answer in answers] == [200, 200]
        for uid, user in users.items():
            began[uid] = user.started_at or 0.0
            await user.close()
            had[uid] = await asyncio.to_thread(held, farm.store, single, uid, PLANS[uid][-1])
        assert [take.told()["status"] for take in (mix, single)] == [8, 8]
        watched = [watched_in_mix(n, uid) for n, uid in enumerate(PLANS)]
        return await asyncio.to_thread(judge_recording, farm.store / mix.playlist_name, watched)

    async def story(server: JanusServer, control: Control) -> Verdict:
        for plan in itertools.chain.from_iterable(PLANS.values()):
            await asyncio.to_thread(make, plan)
        return await with_farm(tmp_path / "farm", lambda farm: in_farm(farm, control))

    verdict = at_janus(tmp_path / "janus", story)
    assert sorted(listed) == sorted(PLANS), "nobody sees the recorders"
    for uid in PLANS:
        assert min(had[uid].pcts_of(sent[uid])) >= 99.5, (uid, had[uid].pcts_of(sent[uid]))
    assert had["bea"].sizes[-1] == (320, 180), "the highest layer"
    assert (verdict.violations, verdict.holes) == ((), ())
    for user in verdict.users:
        assert user.frames_lost <= 0.01 * (user.frames_seen + user.frames_lost) and user.frames_backward == 0, user
        assert user.offset_s is not None and user.heard_offset_s is not None
        apart_s = user.offset_s - 0.5 / CAMERA_FPS - user.heard_offset_s  # see test_mix.py
        assert abs(apart_s - round(apart_s)) <= 0.020, user
    assert verdict.av_offset_ms is not None and abs(verdict.av_offset_ms) <= 40
    for a, b in itertools.combinations(verdict.users, 2):
        assert a.offset_s is not None and b.offset_s is not None
        off_s = a.offset_s - b.offset_s - (began[a.name] - began[b.name])
        assert abs(off_s - round(off_s / LOOP_S) * LOOP_S) <= 0.020, (a.name, b.name, off_s)


def make(plan: MediaPlan) -> None:
    AudioLoop(plan).prepare()
    for gop in range(0, plan.loop_frames, plan.gop_frames):
        VideoLoop(plan).run(gop)


def watched_in_mix(n: int, uid: str) -> Watched:
    plan = PLANS[uid][-1]
    box = pixels(best_fit_cells(3)[n], 640, 360)
    span = (3 * APART_S + 2.0, 2 * APART_S + TOGETHER_S - 1.0)
    cell = Cell(View(box.x, box.y, box.w, box.h, plan.width, plan.height), *span)
    return Watched(plan.user_no, uid, (cell,), (span,), plan.fps, plan.loop_s)


def test_a_recording_goes_on_when_janus_was_gone_for_ten_seconds(tmp_path: Path) -> None:
    """The same tenure and clock: what was mixed meanwhile shows nobody, and nothing is missing of it."""
    plan = MediaPlan(1, "h264", WIDTH, HEIGHT, FPS, loop_s=4)

    async def in_farm(farm: UpFarm, server: JanusServer) -> tuple[Path, dict[str, object]]:
        alice = JanusPublisher("alice", plan)
        await alice.open()
        take = await asyncio.to_thread(farm.backend.record_channel, ROOM)
        await asyncio.to_thread(take.until_more, 3)
        await asyncio.to_thread(server.kill)
        await alice.close()
        await asyncio.sleep(10)
        await asyncio.to_thread(server.start_again)
        control = await Control.open()
        await control.make_room()
        back = JanusPublisher("alice", plan)
        await back.open()
        await asyncio.to_thread(take.until_more, 5)
        answer = await asyncio.to_thread(take.stop)
        assert answer.status_code == 200, answer.text
        await back.close()
        await control.close()
        return farm.store / take.playlist_name, await asyncio.to_thread(take.told)

    async def story(server: JanusServer, control: Control) -> tuple[Verdict, dict[str, object]]:
        await asyncio.to_thread(make, plan)

        async def told(farm: UpFarm) -> tuple[Verdict, dict[str, object]]:
            playlist, record = await in_farm(farm, server)
            whole = Cell(View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT))
            length_s = (await asyncio.to_thread(judge_recording, playlist)).duration_s
            watched = Watched(1, "alice", (whole,), ((0.0, length_s),), FPS, 4)
            return await asyncio.to_thread(judge_recording, playlist, [watched]), record

        return await with_farm(tmp_path / "farm", told)

    verdict, record = at_janus(tmp_path / "janus", story)
    assert (verdict.violations, verdict.holes) == ((), ())
    tenures = record["tenures"]
    assert isinstance(tenures, list) and [tenure["epoch"] for tenure in tenures] == [1]
    assert record["status"] == 8
    [alice] = verdict.users
    assert 10.0 < alice.still_s < 16.0, "he is seen before, and again soon after"
    assert alice.frames_lost == alice.frames_backward == 0
