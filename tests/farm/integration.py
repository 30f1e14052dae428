"""An integration as anybody writes it from the Cloud Recording contract: only httpx and the standard library, nothing of ours.

BASE_URL, APP_ID, CUSTOMER_ID, CUSTOMER_SECRET, CNAME, NOTICE_PORT, NOTICE_SECRET in the environment. It records a channel
in which somebody publishes, changes it while it runs, stops it, and believes no notice whose signatures are wrong. The last
line is JSON; the exit code is 0 when all of it went as the contract says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

UID = "527841"
PREFIX = ["calls", "today"]
NAMES = {
    1: "cloud_recording_error",
    2: "cloud_recording_warning",
    3: "cloud_recording_status_update",
    4: "cloud_recording_file_infos",
    11: "session_exit",
    12: "session_failover",
    30: "uploader_started",
    31: "uploaded",
    32: "backuped",
    33: "uploading_progress",
    40: "recorder_started",
    41: "recorder_leave",
    42: "recorder_slice_start",
    43: "recorder_audio_stream_state_changed",
    44: "recorder_video_stream_state_changed",
}
#: Between repetitions of a request that was answered 206 or 50x.
BACK_OFF_S = (3, 6, 9)


class Wrong(Exception):
    """Something is not as the contract says."""


def must(true: object, what: str) -> None:
    if not true:
        raise Wrong(what)


class Receiver(BaseHTTPRequestHandler):
    secret = b""
    notices: list[dict[str, Any]] = []  # noqa: RUF012 # one receiver a process
    wrong: list[str] = []  # noqa: RUF012 # as above

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        for header, algorithm in (("Agora-Signature", hashlib.sha1), ("Agora-Signature-V2", hashlib.sha256)):
            expected = hmac.new(self.secret, raw, algorithm).hexdigest()
            if not hmac.compare_digest(expected, self.headers.get(header, "")):
                self.wrong.append(f"{header} does not fit the body")
        if not self.headers.get("Content-Type", "").startswith("application/json"):
            self.wrong.append("Content-Type is not application/json")
        self.notices.append(json.loads(raw))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


class CloudRecording:
    """The REST API with its retries."""

    def __init__(self, base_url: str, app_id: str, auth: tuple[str, str], cname: str) -> None:
        self._http = httpx.Client(base_url=f"{base_url}/v1/apps/{app_id}/cloud_recording", auth=auth, timeout=40)
        self._cname = cname

    def post(self, path: str, client_request: dict[str, Any]) -> httpx.Response:
        body = {"cname": self._cname, "uid": UID, "clientRequest": client_request}
        headers = {"Content-Type": "application/json;charset=utf-8"}
        answer = self._http.post(path, json=body, headers=headers)
        for wait_s in BACK_OFF_S:
            if answer.status_code not in (206, 500, 504) or answer.json().get("code") == 435:
                return answer
            time.sleep(wait_s)
            answer = self._http.post(path, json=body, headers=headers)
        return answer

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def acquire(self) -> str:
        answer = self.post("/acquire", {"scene": 0, "resourceExpiredHour": 24})
        must(answer.status_code == 200, f"acquire: {answer.text}")
        return str(answer.json()["resourceId"])

    def start(self, resource_id: str, client_request: dict[str, Any]) -> str:
        answer = self.post(f"/resourceid/{resource_id}/mode/mix/start", client_request)
        must(answer.status_code in (200, 201), f"start: {answer.text}")
        found = answer.json()
        must(re.fullmatch("[0-9a-f]{32}", found["sid"]), "sid is no 32 hex digits")
        return str(found["sid"])


WISH: dict[str, Any] = {
    "token": "",
    "recordingConfig": {
        "maxIdleTime": 120,
        "streamTypes": 2,
        "audioProfile": 1,
        "channelType": 0,
        "videoStreamType": 0,
        "transcodingConfig": {
            "width": 320,
            "height": 180,
            "fps": 15,
            "bitrate": 300,
            "mixedVideoLayout": 1,
            "backgroundColor": "#000000",
        },
        "subscribeVideoUids": ["#allstream#"],
        "subscribeAudioUids": ["#allstream#"],
    },
    "recordingFileConfig": {"avFileType": ["hls"]},
    "storageConfig": {
        "vendor": 1,
        "region": 0,
        "bucket": "recordings",
        "accessKey": "access",
        "secretKey": "secret",
        "fileNamePrefix": PREFIX,
    },
}


def record(api: CloudRecording, cname: str) -> str:
    resource_id = api.acquire()
    sid = api.start(resource_id, WISH)
    again = api.post(f"/resourceid/{resource_id}/mode/mix/start", WISH)
    must((again.status_code, again.json()["code"]) == (201, 7), f"a second start: {again.text}")
    running = f"/resourceid/{resource_id}/sid/{sid}/mode/mix"
    same = {"cname": cname, "uid": UID, "resourceId": resource_id, "sid": sid}

    found = until_it_runs(api, running)
    must({k: found[k] for k in same} == same, f"query names another recording: {found}")
    playlist = f"{'/'.join(PREFIX)}/{sid}_{cname}.m3u8"
    listed = found["serverResponse"]
    must(listed["fileListMode"] == "string" and listed["fileList"] == playlist, f"fileList: {listed}")
    must(len(str(listed["sliceStartTime"])) == 13, f"sliceStartTime is no Unix ms: {listed}")

    only_sound = {"streamSubscribe": {"videoUidList": {"unSubscribeVideoUids": ["#allstream#"]}}}
    everybody = {
        "streamSubscribe": {
            "audioUidList": {"subscribeAudioUids": ["#allstream#"]},
            "videoUidList": {"subscribeVideoUids": ["#allstream#"]},
        }
    }
    half = {"x_axis": 0.0, "y_axis": 0.0, "width": 0.5, "height": 1.0, "alpha": 1.0, "render_mode": 1}
    custom = {"mixedVideoLayout": 3, "backgroundColor": "#FF0000", "layoutConfig": [half, half | {"x_axis": 0.5}]}
    for verb, wish in (("update", only_sound), ("update", everybody), ("updateLayout", custom)):
        changed = api.post(f"{running}/{verb}", wish)
        must((changed.status_code, changed.json()) == (200, same), f"{verb}: {changed.text}")
    refused = api.post(f"{running}/updateLayout", {"mixedVideoLayout": 3})
    must(refused.status_code == 400, f"a layout without its regions: {refused.text}")

    stopped = api.post(f"{running}/stop", {"async_stop": False})
    must(stopped.status_code == 200, f"stop: {stopped.text}")
    response = stopped.json()["serverResponse"]
    must(response["uploadingStatus"] in ("uploaded", "backuped"), f"stop: {response}")
    must((response["fileListMode"], response["fileList"]) == ("string", playlist), f"stop: {response}")
    twice = api.post(f"{running}/stop", {})
    must((twice.status_code, twice.json()["code"]) in ((400, 49), (404, 404)), f"a second stop: {twice.text}")
    gone = api.get(f"{running}/query")
    must((gone.status_code, gone.json()["code"]) == (404, 404), f"query after the end: {gone.text}")
    return sid


def until_it_runs(api: CloudRecording, running: str) -> dict[str, Any]:
    """Status 4 or 5 within 90 s, and then a name of a file."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        answer = api.get(f"{running}/query")
        must(answer.status_code == 200, f"query: {answer.text}")
        found: dict[str, Any] = answer.json()
        if found["serverResponse"]["status"] == 5 and found["serverResponse"]["fileList"]:
            return found
        time.sleep(0.5)
    raise Wrong("it does not run after 90 s")


def told(sid: str) -> list[int]:
    """The events of a recording, once its session has ended."""
    until = time.monotonic() + 30
    mine: list[dict[str, Any]] = []
    while 11 not in [notice["eventType"] for notice in mine]:
        must(time.monotonic() < until, f"no session_exit among {[notice['eventType'] for notice in mine]}")
        time.sleep(0.1)
        mine = [notice for notice in Receiver.notices if notice["payload"]["sid"] == sid]
    once = {notice["noticeId"]: notice for notice in mine}  # duplicates are possible
    for notice in once.values():
        must(set(notice) == {"noticeId", "productId", "eventType", "notifyMs", "payload"}, f"envelope: {notice}")
        must(notice["productId"] == 3, "productId is not 3")
        must(abs(notice["notifyMs"] - time.time() * 1000) < 300_000, "notifyMs is no Unix ms of now")
        payload = notice["payload"]
        must((payload["uid"], payload["serviceScene"]) == (UID, "rtc_record"), f"payload: {payload}")
        must(payload["details"]["msgName"] == NAMES[notice["eventType"]], f"msgName: {payload['details']}")
    numbers = sorted(notice["payload"]["sequence"] for notice in once.values())
    must(numbers == list(range(len(numbers))), f"sequence has holes: {numbers}")
    exits = [n["payload"]["details"]["exitStatus"] for n in once.values() if n["eventType"] == 11]
    must(exits == [0], f"exitStatus: {exits}")
    events = [notice["eventType"] for notice in sorted(once.values(), key=lambda n: int(n["payload"]["sequence"]))]
    must({40, 30, 42, 4, 41, 33, 31, 11} <= set(events), f"missing among {events}")
    return events


def main() -> int:
    given = {name: os.environ[name] for name in ("BASE_URL", "APP_ID", "CUSTOMER_ID", "CUSTOMER_SECRET", "CNAME")}
    Receiver.secret = os.environ["NOTICE_SECRET"].encode()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["NOTICE_PORT"])), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    auth = (given["CUSTOMER_ID"], given["CUSTOMER_SECRET"])
    try:
        sid = record(CloudRecording(given["BASE_URL"], given["APP_ID"], auth, given["CNAME"]), given["CNAME"])
        events = told(sid)
        must(not Receiver.wrong, str(Receiver.wrong))
    except Wrong as wrong:
        print(json.dumps({"passed": False, "wrong": str(wrong)}))
        return 1
    finally:
        server.shutdown()
    print(json.dumps({"passed": True, "sid": sid, "events": events}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
