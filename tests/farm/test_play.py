"""`reelyard play` over HTTP, and in a browser where there is one."""

from __future__ import annotations

import http.client
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from farm.cli import main
from tests.farm.processes import Command

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: A root's Chromium in a machine without a screen or a network.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A playlist of one segment of 2 s, with things beside it that are nobody's business."""
    root = tmp_path_factory.mktemp("player")
    folder = root / "store"
    folder.mkdir()
    (root / "secret.m3u8").write_text("#EXTM3U\n")
    (folder / "farm.json").write_text("{}")
    (folder / "link.m3u8").symlink_to(root / "secret.m3u8")
    segment(folder / "call & co_1.ts")
    playlist = folder / "call & co.m3u8"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\ncall & co_1.ts\n#EXT-X-ENDLIST\n"
    )
    return playlist


def segment(path: Path) -> None:
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=15, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for n in range(30):
            picture = np.full((180, 320, 3), (40, 90, 40 + 5 * n), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def player(recording: Path) -> Iterator[str]:
    command = Command("play", str(recording), cwd=recording.parent.parent)
    yield command.line(30).strip()
    command.interrupt()
    assert command.exit_code(10) == 0


def test_the_page_names_the_recording_and_lets_nothing_foreign_in(player: str) -> None:
    page = httpx.get(player)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "call &amp; co" in page.text
    assert '"/media/call%20%26%20co.m3u8"' in page.text
    assert "link" not in page.text.partition('id="list"')[2].partition("</ul>")[0]


@pytest.mark.parametrize(
    ("name", "kind"), [("call & co.m3u8", "application/vnd.apple.mpegurl"), ("call & co_1.ts", "video/mp2t")]
)
def test_media_comes_with_its_type(player: str, recording: Path, name: str, kind: str) -> None:
    answer = httpx.get(f"{player}media/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert answer.content == (recording.parent / name).read_bytes()


def test_a_range_is_answered_with_that_part(player: str, recording: Path) -> None:
    whole = (recording.parent / "call & co_1.ts").read_bytes()
    part = httpx.get(f"{player}media/call & co_1.ts", headers={"Range": "bytes=188-375"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 188-375/{len(whole)}"
    assert part.content == whole[188:376]
    beyond = httpx.get(f"{player}media/call & co_1.ts", headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416


@pytest.mark.parametrize(
    "name", ["farm.json", "../secret.m3u8", "%2e%2e/secret.m3u8", "link.m3u8", "/etc/passwd", "nothing.ts", ""]
)
def test_only_recordings_below_the_folder_are_served(player: str, name: str) -> None:
    connection = http.client.HTTPConnection(player.removeprefix("http://").rstrip("/"), timeout=5)
    connection.request("GET", f"/media/{name}")  # httpx would tidy the path
    assert connection.getresponse().status == 404


def test_a_foreign_host_name_is_refused(player: str) -> None:
    assert httpx.get(player, headers={"Host": "evil.example"}).status_code == 400


def test_what_cannot_be_played_is_said_in_one_line(tmp_path: Path) -> None:
    for target, text in ((tmp_path, "there is no playlist and no MP4 in"), (tmp_path / "none.m3u8", "there is no")):
        refused = CliRunner().invoke(main, ["play", str(target)])
        assert refused.exit_code == 1
        assert refused.stderr.startswith(f"Error: player: {text}")
        assert refused.stderr.count("\n") == 1


@pytest.mark.skipif(CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="apt install chromium")
def test_a_browser_plays_it(player: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1100, "height": 760})
            page.goto(player)
            page.wait_for_function("document.getElementById('status').textContent != 'loading …'", timeout=20_000)
            page.wait_for_timeout(300)
            page.screenshot(path=str(tmp_path / "player.png"))
            status = page.inner_text("#status")
            if page.evaluate("document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"):
                assert status in (
                    "320 × 180 · 00:01",
                    "320 × 180 · 00:02",
                )  # Chromium counts up to the last frame's begin
            else:
                assert "cannot play HLS by itself" in status
        finally:
            browser.close()
