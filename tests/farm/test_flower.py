"""Flower on a running farm: what an operator sees of three recordings, through its API and in a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm import flower
from farm.home import read_environment
from farm.processes import belonging
from tests.farm.backend import Take
from tests.farm.conftest import QUICK
from tests.farm.processes import ROOT, UpFarm, alive, command_of, descendants, environment, eventually
from tests.servers import free_ports
from workers.announcing import AGAIN_S

NODE = "embedded@reelyard"
CHANNELS = ("algebra", "biology", "choir")
CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

pytestmark = pytest.mark.xdist_group("flower")


@pytest.fixture(scope="module")
def watched(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpFarm]:
    """A farm with Flower."""
    up = UpFarm(tmp_path_factory.mktemp("watched") / "farm", "--flower", "--channel", f"scripted:{scene}", env=QUICK)
    yield up
    up.close()


@pytest.fixture(scope="module")
def takes(watched: UpFarm) -> list[Take]:
    return [watched.backend.record_channel(cname) for cname in CHANNELS]


def credentials(farm: UpFarm) -> tuple[str, str]:
    return farm.ready["flower_user"], farm.ready["flower_password"]


def tasks(farm: UpFarm, url: str = "") -> dict[str, Any]:
    """Recording tasks, as Flower's API tells them."""
    try:
        answer = httpx.get(f"{url or farm.ready['flower']}/api/tasks", auth=credentials(farm), timeout=5)
    except httpx.TransportError:
        return {}
    assert answer.status_code == 200, answer.text
    return {uuid: task for uuid, task in answer.json().items() if task["state"] == "RECORDING"}


def test_each_recording_is_a_task_with_its_state_channel_and_node(watched: UpFarm, takes: list[Take]) -> None:
    eventually(lambda: len(tasks(watched)) == len(takes), "three tasks in RECORDING", 20)
    shown = tasks(watched)
    assert set(shown) == {f"{take.sid}.1" for take in takes}
    for take in takes:
        task = shown[f"{take.sid}.1"]
        assert task["name"] == "reelyard.record"
        assert task["args"] == f"{watched.ready['appid']}/{take.cname}"
        assert task["worker"] == NODE
        assert task["started"] > 1_700_000_000


def test_nobody_without_the_password_sees_anything(watched: UpFarm) -> None:
    for path in ("/", "/tasks", "/workers", "/api/tasks", "/api/workers", "/broker"):
        assert httpx.get(f"{watched.ready['flower']}{path}").status_code == 401, path
        wrong = httpx.get(f"{watched.ready['flower']}{path}", auth=(flower.USER, "wrong"))
        assert wrong.status_code == 401, path


def test_the_password_is_kept_where_only_the_owner_reads_and_in_no_log_or_command_line(watched: UpFarm) -> None:
    password = watched.ready["flower_password"]
    assert json.loads((watched.folder / "farm.json").read_text())["flower_password"] == password
    assert (watched.folder / "farm.json").stat().st_mode & 0o077 == 0
    said = [log.read_text() for log in (watched.folder / "logs").iterdir()]
    said += [command_of(pid) for pid in (watched.pid, *descendants(watched.pid))]
    assert "flower" in " ".join(said)
    assert not [text for text in said if password in text]


def test_flower_has_no_button_that_ends_a_recording(watched: UpFarm, takes: list[Take]) -> None:
    url = f"{watched.ready['flower']}/api/task/revoke/{takes[0].sid}.1?terminate=true"
    assert httpx.post(url, auth=credentials(watched)).status_code == 403
    assert takes[0].query().json()["serverResponse"]["status"] in (4, 5)


def test_a_flower_that_is_started_later_shows_what_has_long_begun(
    watched: UpFarm, takes: list[Take], tmp_path: Path
) -> None:
    [port] = free_ports(1)
    command = [sys.executable, "-m", "celery", "-A", "scheduler.app", "flower"]
    command += flower.options(address="127.0.0.1", port=port, memory=str(tmp_path / "memory"))
    env = read_environment(watched.folder) | {"FLOWER_BASIC_AUTH": ":".join(credentials(watched))}
    with (tmp_path / "log").open("wb") as log:
        later = subprocess.Popen(command, cwd=ROOT, env=environment(env), stdout=log, stderr=log)
    try:
        shown: dict[str, Any] = {}

        def all_shown() -> bool:
            shown.update(tasks(watched, f"http://127.0.0.1:{port}"))
            return len(shown) == len(takes)

        eventually(all_shown, "all tasks in the later Flower", 20 + AGAIN_S)
        assert {task["args"].rpartition("/")[2] for task in shown.values()} == set(CHANNELS)
        assert {(task["worker"], task["name"]) for task in shown.values()} == {(NODE, "reelyard.record")}
        began = tasks(watched)
        for uuid, task in shown.items():
            assert task["started"] == pytest.approx(began[uuid]["started"], abs=1)
    finally:
        later.terminate()
        later.wait(10)


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")
def test_a_browser_shows_each_recordings_state_channel_and_node(
    watched: UpFarm, takes: list[Take], tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    user, password = credentials(watched)
    eventually(lambda: len(tasks(watched)) == len(takes), "three tasks in RECORDING", 20)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        page = browser.new_page(
            http_credentials={"username": user, "password": password}, viewport={"width": 1400, "height": 700}
        )
        page.goto(f"{watched.ready['flower']}/tasks")
        page.wait_for_function(f"document.querySelectorAll('#tasks-table tbody tr').length >= {len(takes)}")
        head = [(cell.text_content() or "").strip().lower() for cell in page.locator("#tasks-table thead th").all()]
        rows = [
            dict(zip(head, ((cell.text_content() or "").strip() for cell in row.locator("td").all()), strict=False))
            for row in page.locator("#tasks-table tbody tr").all()
        ]
        page.screenshot(path=str(tmp_path / "tasks.png"))
        page.goto(f"{watched.ready['flower']}/workers")
        page.wait_for_selector(f"text={NODE}")
        page.screenshot(path=str(tmp_path / "workers.png"))
        browser.close()
    mine = {row["args"].rpartition("/")[2]: row for row in rows if row["state"] == "RECORDING"}
    assert set(mine) == set(CHANNELS)
    assert all(row["worker"] == NODE for row in mine.values())
    for take in takes:
        assert take.sid in mine[take.cname]["uuid"]


def test_a_recording_that_is_stopped_is_not_shown_as_running_any_more(watched: UpFarm, takes: list[Take]) -> None:
    assert takes[-1].stop().status_code == 200
    eventually(lambda: f"{takes[-1].sid}.1" not in tasks(watched), "gone from RECORDING", 20)


def test_a_flower_that_dies_takes_nothing_with_it(watched: UpFarm, takes: list[Take]) -> None:
    [view] = [pid for pid in belonging(f"REELYARD_FARM_PID={watched.pid}") if " flower " in command_of(pid)]
    subprocess.run(["kill", "-9", str(view)], check=True)
    eventually(lambda: not alive(view), "flower gone", 5)
    takes[0].until_more(2)
    assert watched.process.poll() is None
