"""A browser plays a recording from a private bucket, with nothing but a link.

Natively where Chromium can; by hls.js where `HLS_JS` names its hls.min.js (`npm pack hls.js`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from models.vocabulary.spec import StoreKeys
from stores.opening import open_store
from tests.gateway.live import live_gateway
from tests.gateway.test_files import ROOT, S, own, private, recorded
from tests.scheduler.farm import Farm
from tests.segment.scripted import Tenure, full, in_order, numbered, spec, tones
from tests.servers import S3Server, s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
HLS_JS = os.environ.get("HLS_JS", "")
NATIVELY = "async url => { v.src = url; await v.play() }"
BY_HLS_JS = """url => new Promise((played, failed) => {
    window.errors = []
    const hls = new Hls()
    hls.on(Hls.Events.ERROR, (_, error) => { errors.push(error.details); if (error.fatal) failed(error.details) })
    hls.on(Hls.Events.MANIFEST_PARSED, () => v.play().then(played, failed))
    hls.loadSource(url); hls.attachMedia(v)
})"""


@pytest.mark.skipif(CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="apt install chromium")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(NATIVELY, id="natively"),
        pytest.param(BY_HLS_JS, id="hls.js", marks=pytest.mark.skipif(not HLS_JS, reason="HLS_JS is not set")),
    ],
)
def test_a_browser_plays_a_private_bucket(sqlite_farm: Farm, s3: S3Server, tmp_path: Path, how: str) -> None:
    from playwright.sync_api import sync_playwright

    made = Tenure(spec(), tmp_path / "slices")
    made.programme.show(full())
    made.play(in_order(numbered(90, 15), tones(6)), 6 * S)
    made.programme.finish(6 * S)
    store_keys = StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key)
    networks = (ip_network("127.0.0.0/8"),)
    sqlite_farm.settings = sqlite_farm.settings.model_copy(update={"allow_networks": networks})
    sqlite_farm.service.settings = sqlite_farm.settings
    own(sqlite_farm, private(s3), store_keys)
    store = open_store(private(s3), store_keys, allow_networks=networks)
    sid = recorded(sqlite_farm, store, [(m.start_90k // S, m.end_90k // S, m.path.read_bytes()) for m in made.slices])
    rule: CORSRuleTypeDef = {"AllowedMethods": ["GET", "HEAD"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}
    s3_client(s3).put_bucket_cors(Bucket=s3.bucket, CORSConfiguration={"CORSRules": [rule]})
    with live_gateway(sqlite_farm) as url, sync_playwright() as playwright:
        auth = (sqlite_farm.key, sqlite_farm.secret)
        link = httpx.get(f"{url}{ROOT}/recordings/{sid}/link", auth=auth).json()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page()
            page.goto(f"{url}/healthz")
            page.set_content("<video id=v muted width=192 height=96></video>")
            if how is BY_HLS_JS:
                page.add_script_tag(path=HLS_JS)
            elif not page.evaluate("v.canPlayType('application/vnd.apple.mpegurl')"):
                pytest.skip("this Chromium has no HLS of its own")
            page.evaluate(how, url + link["playlist"])
            page.wait_for_function("v.currentTime > 2.5", timeout=20_000)
            shown = page.evaluate("[v.duration, v.videoWidth, v.getVideoPlaybackQuality().droppedVideoFrames]")
            assert abs(shown[0] - 6) < 0.2
            assert shown[1] == 192
        finally:
            browser.close()
