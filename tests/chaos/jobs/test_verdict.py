"""The judge of `make chaos-jobs` sees what it is there for."""

from __future__ import annotations

import random
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.jobs.road import TROUBLES, Passed, Road, Trouble, paved
from tests.chaos.jobs.verdict import Span, judge, twice_on_record, twice_on_the_road
from tests.servers import free_ports

APP = "/v1/apps/a/cloud_recording"


def call(verb: str, path: str, http: int, uid: str = "1", **answer: Any) -> Passed:
    return Passed(0.0, verb, path, "lesson", uid, Trouble.NONE, http, answer)


def acquired(resource: str, uid: str = "1") -> Passed:
    return call("acquire", f"{APP}/acquire", 200, uid, resourceId=resource)


def started(resource: str, sid: str, http: int = 200, uid: str = "1") -> Passed:
    return call("start", f"{APP}/resourceid/{resource}/mode/mix/start", http, uid, sid=sid)


def gone(resource: str, sid: str) -> Passed:
    return call("query", f"{APP}/resourceid/{resource}/sid/{sid}/mode/mix/query", 404, "")


FIRST = [acquired("r1"), started("r1", "aa"), started("r1", "aa", 201)]


def test_a_uid_is_twice_in_a_channel_when_a_second_resource_starts_before_the_first_is_gone() -> None:
    second = [acquired("r2"), started("r2", "bb")]
    assert twice_on_the_road(FIRST + second) == ["1 in lesson"]
    assert twice_on_the_road([*FIRST, gone("r1", "aa"), *second]) == []
    recorded = call("record", "/v1/apps/a/recordings/aa", 200, "", status=8)
    assert twice_on_the_road([*FIRST, recorded, *second]) == []
    late = [*FIRST, recorded, *second, gone("r1", "aa"), acquired("r3"), started("r3", "cc")]
    assert twice_on_the_road(late) == ["1 in lesson"], "the second still records"
    lives = call("record", "/v1/apps/a/recordings/aa", 200, "", status=5)
    assert twice_on_the_road([*FIRST, lives, *second]) == ["1 in lesson"]


def test_another_uid_or_a_refused_start_is_not_twice() -> None:
    assert twice_on_the_road([*FIRST, acquired("r2", "2"), started("r2", "bb", uid="2")]) == []
    assert twice_on_the_road([*FIRST, acquired("r2"), started("r2", "", 500)]) == []


def test_two_recordings_of_a_uid_that_overlap_on_record_are_twice() -> None:
    assert twice_on_record([Span("c", "1", 10, 20), Span("c", "1", 20, None), Span("c", "2", 12, 14)]) == []
    assert twice_on_record([Span("c", "1", 10, 20), Span("c", "1", 19, 30)]) == ["1 in c"]
    assert twice_on_record([Span("c", "1", 10, None), Span("c", "1", 19, 30)]) == ["1 in c"]


def job(state: str, cause: str, *files: str) -> dict[str, Any]:
    return {"state": state, "cause": cause, "reason": "why", "attempts": [{"files": files}]}


def test_a_job_without_its_file_or_without_a_name_for_its_failure_is_bad(tmp_path: Path) -> None:
    (tmp_path / "cut.m3u8").write_text("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nlost.ts\n")
    assert judge(job("failed", "rounds_used_up"), tmp_path).kind == "failed"
    assert judge(job("failed", ""), tmp_path).kind == "bad"
    assert judge(job("running", ""), tmp_path).kind == "bad"
    assert judge(job("done", "length_reached", "none.m3u8"), tmp_path).why == "0.0 s are in the store"
    verdict = judge(job("done", "length_reached", "cut.m3u8"), tmp_path)
    assert verdict.kind == "bad"
    assert "ENDLIST" in verdict.why


class _Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        out = b'{"status": 5}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


def test_the_road_fails_in_each_of_its_ways_and_notes_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.jobs.road.SLOW_S", (0.0, 0.01))
    gateway = ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
    threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    [port] = free_ports(1)
    road = Road(gateway.server_port, 0.5, random.Random(1))
    heard: Counter[str] = Counter()
    with paved(road, port):
        for _ in range(80):
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/v1/apps/a/recordings/aa", timeout=10)
                heard[str(answer.status_code)] += 1
            except httpx.TransportError:
                heard["lost"] += 1
    gateway.shutdown()
    gateway.server_close()
    troubles = Counter(passed.trouble for passed in road.passed)
    assert set(troubles) == {Trouble.NONE, *TROUBLES}
    lost = sum(troubles[t] for t in (Trouble.RESET, Trouble.ANSWER_LOST, Trouble.ANSWER_CUT))
    assert heard["lost"] == lost
    assert heard["404"] == troubles[Trouble.NOT_FOUND]
    assert heard["200"] == troubles[Trouble.NONE] + troubles[Trouble.SLOW]
    for passed in road.passed:
        asked = passed.trouble not in (Trouble.REFUSED, Trouble.RESET)
        assert (passed.status, passed.answer.get("status")) == ((200, 5) if asked else (0, None))
