"""The README's tour does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
