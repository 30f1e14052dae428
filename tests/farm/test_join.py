"""A browser publishes from `/join`, and what its camera and microphone gave is read in the recording."""

from __future__ import annotations

import importlib.util
import shutil
import wave
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from farm.judge.report import Verdict, judge_recording
from farm.judge.users import Cell, Watched
from models.vocabulary.ticks import SAMPLE_RATE
from tests.farm.backend import HEIGHT, WIDTH, Take
from tests.farm.conftest import QUICK
from tests.farm.processes import UpFarm, eventually
from workers.synthetic.marker import View
from workers.synthetic.pictures import Painter
from workers.synthetic.plan import MediaPlan
from workers.synthetic.tones import second_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CAMERA = MediaPlan(user_no=5, width=640, height=360, fps=15, loop_s=4)


def camera_file(path: Path) -> Path:
    """What Chromium takes for a camera: YUV4MPEG2, played round and round."""
    painter = Painter(CAMERA)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{CAMERA.width} H{CAMERA.height} F{CAMERA.fps}:1 Ip A1:1 C420jpeg\n".encode())
        for n in range(CAMERA.loop_frames):
            file.write(b"FRAME\n" + painter.paint(n).to_ndarray(format="yuv420p").tobytes())
    return path


def microphone_file(path: Path) -> Path:
    sound = np.concatenate([second_of(CAMERA.user_no, second) for second in range(CAMERA.loop_s)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.skipif(CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="apt install chromium")
def test_a_browser_joins_is_recorded_and_leaves(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    flags = [
        *("--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        f"--use-file-for-fake-video-capture={camera_file(tmp_path / 'camera.y4m')}",
        f"--use-file-for-fake-audio-capture={microphone_file(tmp_path / 'microphone.wav')}",
        "--allow-loopback-in-peer-connection",
    ]
    farm = UpFarm(tmp_path / "farm", env=QUICK)
    try:
        minted = farm.backend.request("POST", "/whip-tokens", {"cname": "lesson", "uid": "eve", "ttl_s": 60}).json()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            page = browser.new_page()
            page.goto(f"{farm.ready['url']}/join#{urlencode({'url': minted['url'], 'token': minted['token']})}")
            page.check("#untouched")
            page.click("#join")
            page.locator("#status", has_text="in the room").wait_for(timeout=15_000)
            assert "token" not in page.url
            take = farm.backend.record_channel("lesson")
            told = take.until_more(4, within_s=30)
            assert told["status"] in (4, 5)
            page.evaluate("dispatchEvent(new Event('online'))")  # as on another network
            log = farm.folder / "logs" / "ingest.log"
            eventually(lambda: "comes another way" in log.read_text(), "moved", 10)
            take.until_more(1)
            page.click("#leave")
            page.locator("#status", has_text="left").wait_for(timeout=5_000)
            browser.close()
        verdict = stopped(farm, take)
    finally:
        farm.close()
    assert verdict.violations == ()
    [eve] = verdict.users
    assert eve.frames_unread <= 0.1 * eve.frames_seen and eve.beeps_found >= 4, eve


def stopped(farm: UpFarm, take: Take) -> Verdict:
    assert take.stop().status_code == 200
    [playlist] = farm.store.rglob(take.playlist_name)
    whole = Cell(View(0, 0, WIDTH, HEIGHT, CAMERA.width, CAMERA.height), 1.0, 7.0)
    return judge_recording(playlist, [Watched(5, "eve", (whole,), ((1.0, 7.0),), CAMERA.fps, CAMERA.loop_s)])
