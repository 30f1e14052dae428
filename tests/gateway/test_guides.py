"""The curl page is run as it stands, and the Postman collection from top to bottom; it has every call there is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import pytest
from pydantic import SecretStr

from gateway.app import create_app
from models.repositories import apps, files, notices, recordings
from models.vocabulary import keys
from models.vocabulary.events import Event
from models.vocabulary.spec import RecordingSpec, S3Store, StoreKeys
from stores.opening import open_store
from tests.gateway.live import live_gateway
from tests.scheduler.farm import APPID, Farm, Worker
from tests.servers import S3Server

LOCAL: Final = (ip_network("127.0.0.0/8"),)
ROOT: Final = Path(__file__).parents[2]
COLLECTION: Final = json.loads((ROOT / "deploy/postman/reelyard.postman_collection.json").read_text())


def works(farm: Farm, worker: Worker, over: threading.Event) -> None:
    """Takes every recording, makes a slice, and ends it when it is told to."""
    running: list[str] = []
    while not over.wait(0.02):
        for _, (sid, epoch), _ in farm.messages(worker.name):
            if sid not in worker.claims:
                worker.claim(sid, epoch)
                worker.ready(sid)
                worker.slice(sid)
                running.append(sid)
        for sid in [sid for sid in running if farm.recording(sid).wanted.value in ("stop", "cancel")]:
            worker.finish(sid)
            running.remove(sid)


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


class Runner:
    """Runs the collection as Postman does: variables, and scripts that keep what an answer says."""

    KEEP: Final = re.compile(r"pm\.collectionVariables\.set\('(\w+)', got((?:\.\w+|\[\d+\])+)\);")

    def __init__(self, **given: str) -> None:
        self.known = {it["key"]: it["value"] for it in COLLECTION["variable"]} | given
        self.http = httpx.Client(timeout=30, follow_redirects=True)  # as Postman does

    def run(self, item: dict[str, Any]) -> httpx.Response:
        asked = item["request"]
        who = {one["key"]: self.filled(one["value"]) for one in asked.get("auth", COLLECTION["auth"])[self.kind(asked)]}
        headers = {it["key"]: self.filled(it["value"]) for it in asked["header"]}
        auth = httpx.BasicAuth(who["username"], who["password"]) if "username" in who else None
        if auth is None:
            headers["Authorization"] = f"Bearer {who['token']}"
        body = asked.get("body", {}).get("raw")
        content = None if body is None else self.filled(body)
        answer = self.http.request(
            asked["method"], self.filled(asked["url"]["raw"]), content=content, headers=headers, auth=auth
        )
        for event in item.get("event", ()):
            kept = [match for line in event["script"]["exec"] for match in self.KEEP.finditer(line)]
            assert kept, f"{item['name']}: a script that this test cannot run"
            for match in kept:
                found = answer.json()
                for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", match[2]):
                    found = found[name] if name else found[int(number)]
                self.known[match[1]] = found
        return answer

    @staticmethod
    def kind(asked: dict[str, Any]) -> str:
        return str(asked.get("auth", COLLECTION["auth"])["type"])

    def filled(self, text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda m: str(self.known[m[1]]), text)


def test_the_collection_runs_from_top_to_bottom(sqlite_farm: Farm, s3: S3Server) -> None:
    farm, operator_key = sqlite_farm, "planted-operator-key-0123456789abcdef"
    update = {"operator_key": SecretStr(operator_key), "allow_networks": LOCAL}
    farm.service.settings = farm.settings.model_copy(update=update)
    with farm.database.unit() as session:
        apps.set_notices(session, APPID, url="http://127.0.0.1:9/hook", secret="s")
    over = threading.Event()
    thread = threading.Thread(target=works, args=(farm, farm.worker("node-a"), over), daemon=True)
    thread.start()
    statuses: dict[str, int] = {}
    try:
        with live_gateway(farm) as url:
            keys = {"customerKey": farm.key, "customerSecret": farm.secret, "operatorKey": operator_key}
            stores = {"bucket": s3.bucket, "accessKey": s3.access_key, "secretKey": s3.secret_key}
            stores["noticeUrl"] = "http://127.0.0.1:9/hook"
            runner = Runner(farm=url, appid=APPID, **keys, **stores)
            for folder in COLLECTION["item"]:
                for item in folder["item"]:
                    if item["name"] == "query":
                        _until_sliced(farm, runner.known["sid"])
                    answer = runner.run(item)
                    statuses[item["name"]] = answer.status_code
                    assert answer.is_success and answer.status_code != 206, f"{item['name']}: {answer.text}"
                    if item["name"] == "stop":
                        _deliver(farm, runner.known["sid"])
                        _has_files(farm, s3, runner.known["sid"])
    finally:
        over.set()
        thread.join(5)
    assert len(statuses) == len(list(requests(COLLECTION["item"])))


def _until_sliced(farm: Farm, sid: str) -> None:
    deadline = time.monotonic() + 20
    while not farm.recording(sid).sliced:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _deliver(farm: Farm, sid: str) -> None:
    """A notice, delivered as by a scheduler: only such can be replayed."""
    with farm.database.unit() as session:
        notices.say(session, sid, Event.SESSION_EXIT, exitStatus=0)
        for notice in notices.of(session, sid):
            notices.done(session, sid, notice.sequence, "200")


def _has_files(farm: Farm, s3: S3Server, sid: str) -> None:
    """A playlist and an MP4 in the operator's own bucket."""
    with farm.database.unit() as session:
        row = recordings.get(session, sid)
        app = apps.get(session, APPID)
        assert row is not None
        spec = RecordingSpec.model_validate(row.spec)
        address = S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)
        given = StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key)
        app.store, app.store_keys = address.model_dump(mode="json"), given.model_dump(mode="json")
        row.spec = row.spec | {"store": app.store}
        with closing(open_store(address, given, allow_networks=LOCAL)) as store:
            names = (spec.file_prefix, sid, spec.cname)
            kinds: dict[str, Literal["playlist", "mp4"]]
            kinds = {keys.playlist_key(*names): "playlist", keys.mp4_key(*names, 0): "mp4"}
            for key, kind in kinds.items():
                md5 = hashlib.md5(b"#EXTM3U\n").hexdigest()
                store.put(key, b"#EXTM3U\n", md5_hex=md5, content_type="application/octet-stream")
                files.wrote(session, sid, key, kind, bytes_=8, md5=md5, final=True)


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
    ours = {call for call in there if re.search(r"cloud_recording|/notices|/operator|/recordings|/files", call[1])}
    assert ours <= named, ours - named
