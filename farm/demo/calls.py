"""The contract as a web backend speaks it: acquire, start, query, stop, and the record afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from farm.demo.cast import BEST_FIT, BITRATE_KBPS, CNAME, FPS, HEIGHT, RECORDER_UID, WIDTH
from farm.processes import PartFailed

#: What a farm whose app has a store of its own accepts and does not use.
ANY_STORAGE: Final = {"vendor": 1, "region": 0, "bucket": "demo", "accessKey": "demo", "secretKey": "demo"}


@dataclass(slots=True)
class Calls:
    url: str
    appid: str
    key: str
    secret: str = field(repr=False)
    resource_id: str = ""
    sid: str = ""

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = httpx.request(
            method, f"{self.url}/v1/apps/{self.appid}{path}", json=body, auth=(self.key, self.secret), timeout=40
        )
        if answer.status_code not in (200, 201, 206):
            raise PartFailed(f"{method} {path.rsplit('/', 1)[-1]} answered {answer.status_code}: {answer.text[:300]}")
        told: dict[str, Any] = answer.json()
        return told

    def _post(self, path: str, client_request: dict[str, Any]) -> dict[str, Any]:
        return self._request("POST", path, {"cname": CNAME, "uid": RECORDER_UID, "clientRequest": client_request})

    @property
    def _running(self) -> str:
        return f"/cloud_recording/resourceid/{self.resource_id}/sid/{self.sid}/mode/mix"

    def token(self, uid: str) -> str:
        return str(self._request("POST", "/whip-tokens", {"cname": CNAME, "uid": uid})["token"])

    def acquire(self) -> None:
        self.resource_id = self._post("/cloud_recording/acquire", {})["resourceId"]

    def start(self) -> None:
        """Repeats what the contract says is to be repeated (206/65); 201/7 then is a success."""
        video = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate": BITRATE_KBPS, "mixedVideoLayout": BEST_FIT}
        wish = {
            "recordingConfig": {"maxIdleTime": 30, "streamTypes": 2, "transcodingConfig": video},
            "storageConfig": ANY_STORAGE,
        }
        for _ in range(3):
            told = self._post(f"/cloud_recording/resourceid/{self.resource_id}/mode/mix/start", wish)
            if "sid" in told:
                self.sid = told["sid"]
                return
            time.sleep(3)
        raise PartFailed(f"start did not complete: {told}")

    def query(self) -> int:
        return int(self._request("GET", f"{self._running}/query")["serverResponse"]["status"])

    def stop(self) -> dict[str, Any]:
        return self._post(f"{self._running}/stop", {"async_stop": False})

    def record(self) -> dict[str, Any]:
        return self._request("GET", f"/recordings/{self.sid}")
