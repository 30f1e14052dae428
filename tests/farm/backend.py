"""A web backend as it meets the farm: the contract over HTTP, and the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

#: Small and as fast as the synthetic camera, so that each recorded frame shows exactly one of its pictures.
WIDTH, HEIGHT, FPS = 320, 180, 15
UID = "900001"
ANY_STORAGE = {"vendor": 1, "region": 0, "bucket": "b", "accessKey": "k", "secretKey": "s"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Backend:
    url: str
    appid: str
    key: str
    secret: str = field(repr=False)

    def request(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        url = f"{self.url}/v1/apps/{self.appid}{path}"
        return httpx.request(method, url, json=body, auth=(self.key, self.secret), timeout=40)

    def acquire(self, cname: str) -> str:
        answer = self.request("POST", "/cloud_recording/acquire", {"cname": cname, "uid": UID, "clientRequest": {}})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["resourceId"])

    def try_start(
        self, cname: str, resource_id: str, storage: Json = ANY_STORAGE, files: tuple[str, ...] = ()
    ) -> httpx.Response:
        video = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate": 300, "mixedVideoLayout": 1}
        wish = {
            "recordingConfig": {"maxIdleTime": 60, "streamTypes": 2, "transcodingConfig": video},
            "storageConfig": storage,
        }
        if files:
            wish["recordingFileConfig"] = {"avFileType": list(files)}
        body = {"cname": cname, "uid": UID, "clientRequest": wish}
        return self.request("POST", f"/cloud_recording/resourceid/{resource_id}/mode/mix/start", body)

    def record_channel(self, cname: str, *files: str) -> Take:
        """acquire and start, repeated as the contract asks while the answer is 206/65. `files`: avFileType."""
        resource_id = self.acquire(cname)
        for _ in range(6):
            answer = self.try_start(cname, resource_id, files=files)
            if "sid" in answer.json():
                return Take(self, cname, resource_id, answer.json()["sid"])
            assert answer.status_code == 206, answer.text
            time.sleep(1)
        raise AssertionError(f"not started: {answer.text}")


@dataclass(frozen=True)
class Take:
    """One recording, as its backend knows it."""

    backend: Backend
    cname: str
    resource_id: str
    sid: str

    @property
    def _path(self) -> str:
        return f"/cloud_recording/resourceid/{self.resource_id}/sid/{self.sid}/mode/mix"

    @property
    def playlist_name(self) -> str:
        return f"{self.sid}_{self.cname}.m3u8"

    def query(self) -> httpx.Response:
        return self.backend.request("GET", f"{self._path}/query")

    def stop(self) -> httpx.Response:
        body = {"cname": self.cname, "uid": UID, "clientRequest": {"async_stop": False}}
        return self.backend.request("POST", f"{self._path}/stop", body)

    def told(self) -> Json:
        answer = self.backend.request("GET", f"/recordings/{self.sid}")
        assert answer.status_code == 200, answer.text
        record: Json = answer.json()
        return record

    def stored(self) -> int:
        return int(self.told()["segments"]["stored"])

    def until(self, true: Callable[[Json], object], what: str, within_s: float) -> Json:
        """The record once `true` of it; fails after `within_s`."""
        until = time.monotonic() + within_s
        while not true(told := self.told()):
            assert time.monotonic() < until, f"not {what} after {within_s} s: {told}"
            time.sleep(0.1)
        return told

    def until_more(self, segments: int, within_s: float = 20) -> Json:
        """… once so many more segments are in the store."""
        goal = self.stored() + segments
        return self.until(lambda told: told["segments"]["stored"] >= goal, f"at {goal} segments", within_s)
