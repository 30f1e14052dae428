"""Requests and answers written from the contract, against a running gateway. golden/README.md says how a case reads."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from models.database import Database, shift_time
from models.repositories import apps, files
from tests.gateway.live import live_gateway
from tests.scheduler.farm import APPID, Farm, Worker

FOLDER: Final = Path(__file__).parent / "golden"
BASE: Final = f"/v1/apps/{APPID}/cloud_recording"
RUNNING: Final = BASE + "/resourceid/{resourceId}/sid/{sid}/mode/mix"
KEPT: Final = ("resourceId", "sid")
NODE: Final = "node-a"
DOINGS: Final = {"worker": "work"}  # a noun in the files, a verb here

Case = dict[str, Any]


def cases() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.json")):
        for n, case in enumerate(json.loads(path.read_text())):
            yield pytest.param(case, id=f"{path.stem}-{n}-{case['rows'][0].replace(' ', '_')}")


@pytest.mark.parametrize("case", list(cases()))
def test_the_gateway_answers_as_the_contract_says(sqlite_farm: Farm, case: Case) -> None:
    waits = {"start_wait_ms": 2_500, "stop_wait_ms": 1_500} if _somebody_works(case) else {"start_wait_ms": 200}
    sqlite_farm.service.settings = sqlite_farm.settings.model_copy(update={"stop_wait_ms": 200} | waits)
    with live_gateway(sqlite_farm) as url:
        scene = Scene(sqlite_farm, url)
        try:
            for step in case["steps"]:
                scene.play(step)
        finally:
            scene.close()
            shift_time(sqlite_farm.database, 0)


def _somebody_works(case: Case) -> bool:
    return any(
        step.get("then") in ("ready", "fail") or step.get("do") == "finish_when_stopped" for step in case["steps"]
    )


class Scene:
    def __init__(self, farm: Farm, url: str) -> None:
        self.farm = farm
        self.http = httpx.Client(base_url=url, auth=(farm.key, farm.secret), timeout=30)
        self.known: dict[str, Any] = {"appid": APPID}
        self.worker: Worker | None = None
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(5)
        self.http.close()

    def play(self, step: dict[str, Any]) -> None:
        if "do" in step:
            more = {name: value for name, value in step.items() if name != "do"}
            getattr(self, DOINGS.get(step["do"], step["do"]))(**more)
            return
        method, path, body = step["send"]
        url = self._filled(path.replace("RUNNING", RUNNING).replace("BASE", BASE))
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        answer = self.http.request(method, url, content=content)
        found = answer.json()
        for name in (*KEPT, *step.get("keep", ())):
            if name in found:
                self.known[name] = found[name]
        if step["answer"] is not None:
            status, wanted = step["answer"]
            assert answer.status_code == status, answer.text
            self._equal(self._filled(wanted), found, "body")

    def _filled(self, value: Any) -> Any:
        match value:
            case str():
                return re.sub(r"\{(\w+)\}", lambda m: str(self.known.get(m[1], m[0])), value)
            case dict():
                return {name: self._filled(item) for name, item in value.items()}
            case list():
                return [self._filled(item) for item in value]
        return value

    def _equal(self, wanted: Any, found: Any, where: str) -> None:
        match wanted:
            case "<string>":
                assert isinstance(found, str) and found, where
            case "<int>":
                assert isinstance(found, int), where
            case "<sid>":
                assert isinstance(found, str) and re.fullmatch("[0-9a-f]{32}", found), where
            case str() if wanted.endswith("…"):
                assert isinstance(found, str) and found.startswith(wanted[:-1]), f"{where}: {found}"
            case dict():
                assert isinstance(found, dict) and set(found) == set(wanted), f"{where}: {found}"
                for name, item in wanted.items():
                    self._equal(item, found[name], f"{where}.{name}")
            case list():
                assert isinstance(found, list) and len(found) == len(wanted), f"{where}: {found}"
                for n, item in enumerate(wanted):
                    self._equal(item, found[n], f"{where}[{n}]")
            case _:
                assert (type(found), found) == (type(wanted), wanted), where

    # -- what happens at the farm -------------------------------------------------------------------------------

    def work(self, then: str, capacity: int = 200, code: int = 0, text: str = "") -> None:
        """A node; what it does with what it is given."""
        worker = self.worker = self.farm.worker(NODE, capacity=capacity)

        def takes() -> bool:
            for _, (sid, epoch), _ in self.farm.messages(NODE):
                worker.claim(sid, epoch)
                if then == "ready":
                    worker.ready(sid)
                else:
                    fault = {"code": code, "scope": "caller", "retryable": False, "text": text, "fatal": True}
                    worker.fail(sid, fault)
                return True
            return False

        if then != "nothing":
            self.beside(takes)

    def _at_work(self) -> Worker:
        assert self.worker is not None
        return self.worker

    def beside(self, work: Callable[[], bool]) -> None:
        """`work` until it says that it has done something."""

        def run() -> None:
            while not self._over.wait(0.02) and not work():
                pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def forget_credentials(self) -> None:
        self.http.auth = httpx.Auth()

    def wrong_credentials(self) -> None:
        self.http.auth = httpx.BasicAuth(self.farm.key, "wrong")

    def send_from(self, address: str) -> None:
        service = self.farm.service
        service.settings = service.settings.model_copy(update={"notice_addresses": (address,)})

    def limit(self, per_s: int) -> None:
        self._limits(apps.Limits(requests_per_s=per_s, max_recordings=0))

    def most(self, recordings: int) -> None:
        self._limits(apps.Limits(requests_per_s=100_000, max_recordings=recordings))

    def _limits(self, limits: apps.Limits) -> None:
        with self.farm.database.unit() as session:
            apps.get(session, APPID).limits = limits.model_dump()

    def behave(self, query_after_end: str) -> None:
        with self.farm.database.unit() as session:
            apps.get(session, APPID).behaviour = {"query_after_end": query_after_end}

    def time_passes(self, s: int) -> None:
        shift_time(self.farm.database, s * 1000)

    def database_away(self) -> None:
        self.farm.service.database = Database("postgresql+psycopg://nobody@127.0.0.1:9/none")

    def slice(self) -> None:
        self._at_work().slice(self.known["sid"])

    def finish(self, cause: str) -> None:
        self._at_work().finish(self.known["sid"], cause)

    def mp4(self) -> None:
        key = f"{self.known['sid']}_httpClient463224_0.mp4"
        with self.farm.database.unit() as session:
            files.wrote(session, self.known["sid"], key, "mp4", bytes_=1, md5="0" * 32, final=True)

    def finish_when_stopped(self) -> None:
        worker, sid = self._at_work(), self.known["sid"]

        def done() -> bool:
            if self.farm.recording(sid).wanted.value != "stop":
                return False
            worker.finish(sid)
            return True

        self.beside(done)

    def warned(self, of: str) -> None:
        assert any(of in text for text in self.known["warnings"]), self.known["warnings"]

    def wanted(self, **is_: str) -> None:
        assert self.farm.recording(self.known["sid"]).wanted.value == is_["is"]


def test_every_row_of_the_contract_that_can_occur_has_its_pair() -> None:
    """docs/reference/contract.md names, row by row, the pair that shows it, or why there is none."""
    page = (FOLDER.parents[2] / "docs/reference/contract.md").read_text()
    named = set(re.findall(r"passes: `([^`]+)`", page))
    shown = {row for path in FOLDER.glob("*.json") for case in json.loads(path.read_text()) for row in case["rows"]}
    assert named and named <= shown, named - shown
    assert {
        row for row in shown if re.match(r"(any|acquire|start|query|update|updateLayout|stop) \d", row)
    } <= named | {row for row in shown if " 200" in row}
