"""The curl page is run as it stands; the Postman collection names calls that there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.app import create_app
from tests.gateway.live import live_gateway
from tests.scheduler.farm import APPID, Farm, Worker

ROOT: Final = Path(__file__).parents[2]
COLLECTION: Final = json.loads((ROOT / "deploy/postman/reelyard.postman_collection.json").read_text())


def works(farm: Farm, worker: Worker, over: threading.Event) -> None:
    """Takes one recording, makes a slice, and ends it when it is told to."""
    sid = ""
    while not over.wait(0.02):
        if not sid and (waiting := farm.messages(worker.name)):
            sid = str(waiting[0][1][0])
            worker.claim(sid)
            worker.ready(sid)
            worker.slice(sid)
        elif sid and farm.recording(sid).wanted.value == "stop":
            worker.finish(sid)
            return


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_page_runs_as_it_stands(sqlite_farm: Farm) -> None:
    page = (ROOT / "docs/guide/curl.md").read_text()
    script = "set -eu\n" + "\necho\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    over = threading.Event()
    thread = threading.Thread(target=works, args=(sqlite_farm, sqlite_farm.worker("node-a"), over), daemon=True)
    thread.start()
    try:
        with live_gateway(sqlite_farm) as url:
            names = {"FARM": url, "APPID": APPID, "KEY": sqlite_farm.key, "SECRET": sqlite_farm.secret}
            done = subprocess.run(
                ["sh", "-c", script], env=os.environ | names, capture_output=True, text=True, timeout=60, check=False
            )
    finally:
        over.set()
        thread.join(5)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(text) for text in re.findall(r"\{.*?\}(?=\s*(?:\{|$))", done.stdout, re.DOTALL)]
    assert not [answer for answer in answers if "code" in answer], answers
    assert '"uploadingStatus":"uploaded"' in done.stdout
    assert '"wanted_cause":"stop called"' in done.stdout


def requests(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield from requests(item["item"]) if "item" in item else [item["request"]]


def test_the_collection_has_every_call_of_the_contract_and_none_that_is_not_there(sqlite_farm: Farm) -> None:
    app = create_app(sqlite_farm.service)
    there = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    named = {
        (it["method"], re.sub(r"\{\{\w+\}\}", "{}", it["url"]["raw"].removeprefix("{{farm}}")))
        for it in requests(COLLECTION["item"])
    }
    assert named <= there, named - there
    ours = {call for call in there if re.search("cloud_recording|/notices|/operator|/recordings", call[1])}
    assert ours <= named, ours - named
