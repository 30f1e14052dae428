"""A whole recording with a receiver; nothing secret of it is in a log, an answer, a command line, a notice or the database."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import httpx

from farm.home import read_environment
from farm.processes import belonging
from tests.farm.backend import FPS, HEIGHT, UID, WIDTH, Take
from tests.farm.processes import UpFarm, eventually, run
from tests.scheduler.receiver import Receiver

PLANTED = {
    name: f"planted-{name}-7f3a9c"
    for name in ("access", "secret", "sts", "token", "decryption", "notice", "password", "page", "startparameter")
}
STORAGE = {
    "vendor": 1, "region": 0, "bucket": "b", "accessKey": PLANTED["access"], "secretKey": PLANTED["secret"],
    "stsToken": PLANTED["sts"], "stsExpiration": 1_900_000_000,
}  # fmt: skip


class Answers:
    """What the farm said, all of it."""

    def __init__(self, farm: UpFarm) -> None:
        self.farm = farm
        self.said: list[str] = []

    def post(self, path: str, client_request: Any, *, auth: tuple[str, str] | None = None) -> httpx.Response:
        backend = self.farm.backend
        url = f"{backend.url}/v1/apps/{backend.appid}/cloud_recording{path}"
        body = {"cname": "planted", "uid": UID, "clientRequest": client_request}
        answer = httpx.post(url, json=body, auth=auth or (backend.key, backend.secret), timeout=40)
        self.said.append(answer.text + str(answer.headers))
        return answer


def test_no_secret_of_a_whole_recording_is_seen_anywhere(farm: UpFarm) -> None:
    receiver = Receiver()
    environment = {k: v for k, v in read_environment(farm.folder).items() if k.startswith("REELYARD_")}
    backend = farm.backend

    def listen(*args: str) -> str:
        command = ["app", "set", backend.appid, *args]
        done = run(*command, cwd=farm.folder.parent, env=environment, stdin=PLANTED["notice"])
        assert done.returncode == 0, done.stderr
        return done.stderr

    listen("--notices", receiver.url, "--notice-secret", "-")
    try:
        answers = Answers(farm)
        wish = {
            "token": PLANTED["token"],
            "storageConfig": STORAGE,
            "recordingConfig": {
                "secret": PLANTED["decryption"], "salt": PLANTED["decryption"], "maxIdleTime": 60,
                "transcodingConfig": {"width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate": 300},
            },
        }  # fmt: skip
        denied = answers.post("/acquire", {}, auth=(backend.key, PLANTED["password"]))
        assert denied.status_code == 401
        acquired = answers.post("/acquire", {"startParameter": {"token": PLANTED["startparameter"]}})
        start = f"/resourceid/{acquired.json()['resourceId']}/mode"
        page = {
            "extensionServices": [{"serviceName": "web_recorder_service", "serviceParam": {"url": PLANTED["page"]}}]
        }
        for mode, wrong in (
            ("mix", wish | {"storageConfig": STORAGE | {"vendor": 99}}),
            ("mix", wish | {"token": [PLANTED["token"]]}),
            ("mix", wish | {"recordingConfig": {"decryptionMode": 7, "secret": "s", "salt": PLANTED["decryption"]}}),
            ("web", {"storageConfig": STORAGE, "extensionServiceConfig": page}),
        ):
            assert answers.post(f"{start}/{mode}/start", wrong).status_code == 400
        begun = answers.post(f"{start}/mix/start", wish)
        assert begun.status_code in (200, 206), begun.text
        take = Take(backend, "planted", acquired.json()["resourceId"], begun.json()["sid"])
        take.until_more(1)
        update = take._path.removeprefix("/cloud_recording") + "/update"
        assert answers.post(update, {"storageConfig": STORAGE}).status_code == 200
        answers.said += [take.query().text, take.stop().text, json.dumps(take.told())]
        eventually(lambda: 11 in [got.body["eventType"] for got in receiver.got], "the exit's notice", 20)
    finally:
        listen("--notices", "")
        receiver.close()

    mine = [got for got in receiver.got if got.sid == take.sid]
    assert [got.sequence for got in mine] == list(range(len(mine)))
    assert {40, 30, 42, 4, 41, 31, 11} <= {got.body["eventType"] for got in mine}
    for got in mine:
        expected = hmac.new(PLANTED["notice"].encode(), got.raw, hashlib.sha256).hexdigest()
        assert got.headers["agora-signature-v2"] == expected

    seen = {f"answer {n}": text.encode() for n, text in enumerate(answers.said)}
    seen |= {f"notice {n}": got.raw for n, got in enumerate(mine)}
    seen |= {str(log): log.read_bytes() for log in (farm.folder / "logs").iterdir()}
    seen |= {str(p): p.read_bytes() for p in farm.folder.glob("reelyard.db*")}
    seen |= {str(p): p.read_bytes() for p in farm.store.glob("*.json")}
    for pid in belonging(f"REELYARD_FARM_PID={farm.pid}"):
        for file in ("cmdline", "comm", "environ"):
            seen[f"{pid}/{file}"] = Path(f"/proc/{pid}/{file}").read_bytes()
    found = [(where, name) for where, text in seen.items() for name, it in PLANTED.items() if it.encode() in text]
    assert found == []
