"""Whatever a service says is an outcome: told, bounded, never an error."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from net.guard import EVERYWHERE
from net.http import Answer
from scheduler.jobs.endpoint import Bodies, Endpoint, call, outcome
from scheduler.jobs.view import Attempt, JobView, Kind, Verb
from tests.scheduler.jobs.scripts import terms
from tests.scheduler.jobs.standin import Standin
from tests.servers import free_ports

NOTHING = Bodies(acquire={}, start={})


def said(verb: Verb, body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return outcome(verb, Answer(status, httpx.Headers(), raw, "http://x"))


@pytest.mark.parametrize(
    ("response", "status", "files"),
    [
        ({"status": 5, "fileListMode": "string", "fileList": "a/s_c.m3u8"}, 5, ("a/s_c.m3u8",)),
        ({"status": "5", "fileList": [{"fileName": "a.m3u8"}, {"filename": "b.mp4"}]}, 5, ("a.m3u8", "b.mp4")),
        ({"status": 4, "fileList": ""}, 4, ()),
        ({"status": 5, "extensionServiceState": [{"payload": {"fileList": [{"filename": "w.m3u8"}]}}]}, 5, ("w.m3u8",)),
        ({"status": 5, "fileList": [1, None, {"fileName": 7}, {}, "x" * 2000]}, 5, ()),
    ],
)
def test_a_query_is_read_in_every_shape_the_contract_ever_had(
    response: dict[str, Any], status: int, files: tuple[str, ...]
) -> None:
    heard = said(Verb.QUERY, {"serverResponse": response})
    assert (heard.kind, heard.status, heard.files) == (Kind.ANSWER, status, files)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        (Verb.START, {}),
        (Verb.START, {"sid": 5}),
        (Verb.START, {"sid": "x" * 65}),
        (Verb.START, b"<html>"),
        (Verb.ACQUIRE, {"resourceId": ""}),
        (Verb.QUERY, {"serverResponse": {"status": -1}}),
        (Verb.QUERY, {"serverResponse": []}),
        (Verb.QUERY, b"[" * 100_000),
        (Verb.QUERY, b"null"),
    ],
)
def test_a_success_without_what_it_is_for_is_no_answer(verb: Verb, body: Any) -> None:
    assert said(verb, body).kind is Kind.LOST


def test_an_error_keeps_its_status_code_and_reason_whatever_its_body_is() -> None:
    heard = said(Verb.START, {"code": 65, "reason": "request not completed", "sid": "s"}, 206)
    assert (heard.http, heard.code, heard.reason, heard.sid) == (206, 65, "request not completed", "s")
    assert said(Verb.START, b"bad gateway", 502).http == 502
    assert said(Verb.START, {"message": "no\nline\x00s" + "x" * 999}, 404).reason[:10] == "no line sx"


def test_no_answer_is_an_outcome(standin: Standin) -> None:
    job = JobView(terms=terms(), verb=Verb.ACQUIRE, attempts=(Attempt(uid="1", begun_ms=0),), current=0)
    [closed] = free_ports(1)
    nobody = Endpoint(base_url=f"http://127.0.0.1:{closed}", appid="a", key="k", secret="s", allow_networks=EVERYWHERE)
    assert call(nobody, job, NOTHING).kind is Kind.LOST
    standin.faults, standin.kinds = 1.0, ("reset after",)
    resets = Endpoint(base_url=standin.url, appid="a", key="k", secret="s", allow_networks=EVERYWHERE)
    assert call(resets, job, NOTHING).kind is Kind.LOST
    assert len(standin.resources) == 1, "the service did what it was asked"


def test_an_endpoint_does_not_show_its_secret() -> None:
    shown = repr(Endpoint(base_url="http://x", appid="a", key="planted-key", secret="planted-secret"))
    assert "planted" not in shown
