"""Users that are URLs through the whole farm: added and removed while they are recorded, mixed and each by himself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from farm.judge.report import judge_recording
from farm.judge.users import Cell, Watched
from tests.farm.backend import ANY_STORAGE, FPS, HEIGHT, WIDTH, Backend, Take
from tests.farm.conftest import QUICK
from tests.farm.processes import UpFarm, eventually, recorder_of
from tests.farm.test_individual import listed, pictures, times
from tests.pull.origin import Camera, Origin
from workers.recorder.clock import RealClock
from workers.synthetic.marker import View
from workers.synthetic.plan import MediaPlan


@contextmanager
def cameras(**plans: MediaPlan) -> Iterator[Origin]:
    """Live streams over HTTP, from a thread."""
    clock = RealClock()
    origin, loop, over = Origin(clock), asyncio.new_event_loop(), asyncio.Event()
    origin.cameras = {uid: Camera(plan, clock.now()) for uid, plan in plans.items()}
    ready = threading.Event()

    async def serve() -> None:
        async with origin.serving():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield origin
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


def each_by_himself(backend: Backend, cname: str) -> Take:
    """A recording beside the mix, thus of a recorder with another uid."""
    who = {"cname": cname, "uid": "900002"}
    resource_id = backend.request("POST", "/cloud_recording/acquire", who | {"clientRequest": {}}).json()["resourceId"]
    wish = {"recordingConfig": {"maxIdleTime": 60, "subscribeUidGroup": 0}, "storageConfig": ANY_STORAGE}
    path = f"/cloud_recording/resourceid/{resource_id}/mode/individual/start"
    for _ in range(3):
        answer = backend.request("POST", path, who | {"clientRequest": wish})
        if "sid" in answer.json():
            return Take(backend, cname, resource_id, answer.json()["sid"])
    raise AssertionError(answer.text)


@pytest.mark.slow
def test_users_come_and_go_by_api_while_a_mix_and_an_individual_recording_are_on(tmp_path: Path) -> None:
    plan = MediaPlan(user_no=1, width=WIDTH, height=HEIGHT, fps=FPS)
    farm = UpFarm(tmp_path / "farm", "--channel", "pull:", env=QUICK)
    backend = farm.backend
    with cameras(ada=plan, bob=MediaPlan(user_no=2, codec="vp8", width=160, height=90, fps=FPS)) as origin:
        try:

            def put(uid: str) -> None:
                url = origin.url(uid).replace("//", "//viewer:planted-p4ss@", 1)
                answer = backend.request("PUT", f"/channels/lesson/users/{uid}", {"url": url})
                assert answer.status_code == 200 and "planted" not in answer.text, answer.text

            put("ada")
            single = each_by_himself(backend, "lesson")
            mix = backend.record_channel("lesson")
            mix.until_more(3)
            put("bob")
            eventually(lambda: list(farm.store.glob("*uid_s_bob__uid_e_video*.webm")), "with bob", 20)
            for take in (single, mix):
                os.kill(recorder_of(take.sid, farm.worker), signal.SIGKILL)
            mix.until_more(3)
            assert backend.request("DELETE", "/channels/lesson/users/ada").status_code == 200
            put("eve")  # whom nobody has
            mix.until(lambda told: any("user eve" in text for text in told["warnings"]), "warned", 15)
            told = mix.stop().json()["serverResponse"]
            backend.request("POST", f"/recordings/{single.sid}/stop")
            single.until(lambda told: told["status"] >= 8, "over", 20)
        finally:
            farm.close()
    assert told["uploadingStatus"] == "uploaded"
    alone = Watched(1, "ada", (Cell(View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT), 0, 5.5),), ((1.0, 5.5),), fps=FPS)
    verdict = judge_recording(farm.store / mix.playlist_name, [alone])
    (ada,) = verdict.users
    assert not verdict.violations and len(verdict.holes) <= 1 and sum(b - a for a, b in verdict.holes) < 3.0
    assert ada.frames_unread == 0 and ada.frames_lost <= 2 and ada.flashes_found == ada.flashes_due > 2
    assert ada.av_offset_ms is not None and abs(ada.av_offset_ms) < 40
    for uid in ("ada", "bob"):
        files = listed(farm.store, f"{single.sid}_lesson__uid_s_{uid}__uid_e_video.m3u8")
        at = times(files)
        assert len(at) > 4 * FPS and pictures(files) >= len(at) - 2
        steps = [b - a for a, b in pairwise(at)]
        assert sum(abs(step - 1 / FPS) < 0.005 for step in steps) > 0.9 * len(steps)
    left = [path for path in farm.folder.rglob("*") if path.is_file() and b"planted-p4ss" in path.read_bytes()]
    assert not left
