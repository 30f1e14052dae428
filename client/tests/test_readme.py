"""The README's tour does what it says."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import reelyard
from tests.service import APPID, KEY, SECRET, Says, Service

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_tour_records_a_channel(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    identity = {"resourceId": "r", "sid": "5" * 32}
    running = {"status": 4, "fileListMode": "string", "fileList": ""}
    ended = {"fileListMode": "string", "fileList": "x.m3u8", "uploadingStatus": "uploaded"}
    service.says(*(Says(body=identity | {"serverResponse": told}) for told in ({}, {}, running, ended)))
    [tour] = [
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if code.startswith("import reelyard")
    ]
    names = {"appid": APPID, "customer_key": KEY, "customer_secret": SECRET, "access_key": "AK", "secret_key": "SK"}
    exec(tour.replace("https://recordings.example.org", service.url), names)
    assert [path.rsplit("/", 1)[1] for path in service.paths] == ["acquire", "start", "query", "stop"]
    assert capsys.readouterr().out.splitlines() == ["READY", "['x.m3u8'] uploaded"]


def test_the_job_is_found_by_its_key_and_ends(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    running = {"job_id": "a" * 32, "key": "lesson-7", "cname": "lesson-7", "mode": "mix", "state": "running"}
    found = {"jobs": [running], "next": None}
    done = running | {"state": "done", "cause": "stop_called", "files": ["x.m3u8"]}
    service.says(*(Says(body=told) for told in (running, running, found, running, found, done)))
    [code] = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "submit_job" in code]
    with reelyard.Client(service.url, APPID, KEY, SECRET) as client:
        exec(code, {"client": client, "request": {}, "time": time})
    assert capsys.readouterr().out.splitlines() == ["running True", "done stop_called ['x.m3u8']"]
