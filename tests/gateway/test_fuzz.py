"""Whatever is sent, the gateway answers with a documented status, never a 5xx, and stays small.

Three ways to make requests: schemathesis from the OpenAPI document, mutations of its examples, and JSON of any shape by
hypothesis; besides, a list of bodies that have broken servers before. A seeded half minute here; `make fuzz-gateway` goes
on for ten. FUZZ_SECONDS (180 where CI has the time), FUZZ_SEED.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.wire.body import MAX_BODY_BYTES
from tests.gateway.fuzzing import APPID, NO_ROUTE, OPERATOR, SECONDS, SEED, Gateway

#: Of FUZZ_SECONDS; what is left is for the parts that are not bound by time.
BY_DOCUMENT: Final = 0.55
BY_MUTATION: Final = 0.4
CHECKS: Final = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: An answer is due within this: nothing here waits for a recorder.
ANSWER_WITHIN_S: Final = 30
WRONG: Final[list[Any]] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 1.5, 1e308, "", " ", "0", "-1", "a" * 70_000,
    "\0", "\ud800", "💥" * 40, "../../etc/passwd", "%00", "'; DROP TABLE app; --", "#allstream#", "http://169.254.169.254/",
    [], {}, [[]], [None], [1, "1"], {"a": {}}, [{}] * 40, ["x"] * 100,
]  # fmt: skip


@pytest.fixture
def gateway(tmp_path: Path, redis_url: str) -> Iterator[Gateway]:
    made = Gateway(tmp_path, redis_url)
    yield made
    made.close()


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from spots(item, (*path, name))


def mutated(chance: random.Random, body: Any) -> Any:
    body = copy.deepcopy(body)
    for _ in range(chance.randint(0, 3)):
        path = chance.choice(list(spots(body)))
        if not path:
            return chance.choice(WRONG) if chance.random() < 0.2 else body
        where = body
        for name in path[:-1]:
            where = where[name]
        match chance.randint(0, 3):
            case 0:
                del where[path[-1]]
            case 1 if isinstance(where, dict):
                where[chance.choice(["uid", "extra", "ſtrange", "clientRequest", "storageConfig"])] = where[path[-1]]
            case _:
                where[path[-1]] = copy.deepcopy(chance.choice(WRONG))
    return body


def raw(chance: random.Random, body: Any) -> bytes:
    text = json.dumps(mutated(chance, body)).encode()
    match chance.randint(0, 30):
        case 0:
            return text[: chance.randint(0, len(text))]
        case 1:
            return bytes(chance.randrange(256) for _ in range(chance.randint(0, 200)))
        case 2:
            return b"[" * chance.randint(1, 60_000)
        case 3:
            return text.replace(b'"uid"', b'"uid": "2", "uid"')
        case 4 if chance.random() < 0.1:
            return b'{"a": "' + b"x" * 10_000_000 + b'"}'
    return text


def example(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example", {})


def test_mutated_requests_of_every_operation(gateway: Gateway) -> None:
    chance = random.Random(SEED)
    known: dict[str, list[str]] = {"resource_id": ["r"], "sid": ["0" * 32], "appid": [APPID], "mode": ["mix"]}
    modes = ["mix", "individual", "web", "MIX", "x"]
    # Not to saw off the branch: our own app keeps its limits.
    kept = ("DELETE", "PATCH")
    operations = [o for o in gateway.operations() if "/operator/apps" not in o[1] or o[0] not in kept]
    weights = [8 if "cloud_recording" in path else 1 for _, path, _ in operations]
    until = time.monotonic() + SECONDS * BY_MUTATION
    sent = 0
    while time.monotonic() < until:
        method, template, operation = chance.choices(operations, weights)[0]
        path = template
        for name in re.findall(r"\{(\w+)\}", template):
            odd = chance.random()
            values = modes if name == "mode" and odd < 0.2 else known.get(name, ["x", "0" * 32])[-5:]
            value = (
                chance.choice(values)
                if odd > 0.03
                else str(chance.choice(["%00", "a" * 3000, "%ff", "..", "💥", "-1"]))
            )
            path = path.replace("{" + name + "}", value)
        if operation.get("parameters") and chance.random() < 0.3:
            names = [p["name"] for p in operation["parameters"] if p["in"] == "query"] or ["x"]
            path += (
                f"?{chance.choice(names)}={chance.choice(['', '-1', '0', '999999999999999999999', 'x', '%00', 'true'])}"
            )
        body = raw(chance, example(operation)) if method in ("POST", "PUT", "PATCH") else None
        if body is not None and "cloud_recording/acquire" in template and chance.random() < 0.5:
            fresh: dict[str, Any] = {"cname": f"c{chance.randrange(10**9)}", "uid": "527841", "clientRequest": {}}
            body = json.dumps(fresh).encode()
        answer = gateway.send(method, path, body, operation)
        sent += 1
        if answer is not None and answer.headers.get("content-type") == "application/json" and answer.status_code < 300:
            found = answer.json()
            for name, key in (
                ("resourceId", "resource_id"),
                ("sid", "sid"),
                ("notice_id", "notice_id"),
                ("job_id", "job_id"),
            ):
                if isinstance(found, dict) and isinstance(found.get(name), str):
                    known.setdefault(key, []).append(found[name])
    assert {200, 400, 404} <= set(gateway.seen)
    gateway.is_well("mutated examples")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=25,
)
FIELDS = st.sampled_from(["token", "storageConfig", "recordingConfig", "snapshotConfig", "extensionServiceConfig"])


def test_bodies_of_any_shape(gateway: Gateway) -> None:
    [start] = [o for m, p, o in gateway.operations() if m == "POST" and p.endswith("/mode/{mode}/start")]

    @settings(
        max_examples=round(max(120, SECONDS * 5)),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.dictionaries(FIELDS, JSON, max_size=4), JSON, st.sampled_from(["mix", "individual", "web"]))
    def any_shape(client_request: dict[str, Any], uid: Any, mode: str) -> None:
        body = {"cname": "c", "uid": uid, "clientRequest": client_request}
        path = f"/v1/apps/{APPID}/cloud_recording/resourceid/r/mode/{mode}/start"
        gateway.send("POST", path, json.dumps(body).encode(), start)

    any_shape()
    gateway.is_well("JSON of any shape")


DEEP: Final = 200_000
NASTY: Final[dict[str, bytes]] = {
    "nothing": b"",
    "ten megabytes in a string": b'{"a": "' + b"x" * 10_000_000 + b'"}',
    "ten megabytes of fields": b"{" + b",".join(b'"%d":0' % n for n in range(1_000_000)) + b"}",
    "just below the bound, in a string": b'{"cname": "' + b"c" * (MAX_BODY_BYTES - 40) + b'", "uid": "1"}',
    "just below the bound, in lists": b'{"cname": [' + b"[]," * ((MAX_BODY_BYTES - 40) // 3) + b"1]}",
    "just below the bound, in names": b"{" + b",".join(b'"%d":0' % n for n in range(6_000)) + b"}",
    "lists in lists": b"[" * DEEP,
    "objects in objects": b'{"a":' * (MAX_BODY_BYTES // 12) + b"1" + b"}" * (MAX_BODY_BYTES // 12),
    "thirteen deep": b'{"a":' * 13 + b"1" + b"}" * 13,
    "the same name twice": b'{"cname": "a", "cname": "b", "uid": "1", "uid": 2, "clientRequest": {}, "clientRequest": []}',
    "the same name two thousand times": b"{" + b",".join([b'"uid":"1"'] * 2_000) + b"}",
    "a number of 5000 digits": b'{"uid": ' + b"9" * 5_000 + b"}",
    "a number beyond all floats": b'{"uid": 1e99999}',
    "no number": b'{"uid": NaN}',
    "half a surrogate pair": b'{"cname": "\\ud800", "uid": "1"}',
    "a NUL": b'{"cname": "\\u0000", "uid": "1"}',
    "a NUL in a name": b'{"cname\\u0000": "c", "uid": "1"}',
    "right to left, joined, astral": '{"cname": "\u202e\u200d\U0001f4a5\ufeff", "uid": "١", "clientRequest": {"ſcene": 1}}'.encode(),
    "UTF-16": '{"cname": "c", "uid": "1"}'.encode("utf-16"),
    "Latin-1": b'{"cname": "\xe4", "uid": "1"}',
    "a byte order mark": b'\xef\xbb\xbf{"cname": "c", "uid": "1"}',
    "two objects": b'{"cname": "c"}{"uid": "1"}',
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
}


def test_bodies_that_have_broken_servers_before(gateway: Gateway) -> None:
    taking = [(m, p, o) for m, p, o in gateway.operations() if "requestBody" in o]
    assert len(taking) >= 10
    for method, template, operation in taking:
        path = re.sub(r"\{mode\}", "mix", template).replace("{appid}", APPID)
        for body in NASTY.values():
            answer = gateway.send(method, re.sub(r"\{\w+\}", "0" * 32, path), body, operation)
            if answer is not None and len(body) > MAX_BODY_BYTES:
                assert (answer.status_code, answer.json()["code"]) == (400, 8)
    gateway.is_well("nasty bodies")


def test_requests_made_from_the_document(gateway: Gateway) -> None:
    """By schemathesis: what the document allows, and what it does not; answers as the document has them."""
    schema = schemathesis.openapi.from_dict(gateway.document)
    found = list(schema.get_all_operations())
    operations = [one.ok() for one in found if isinstance(one, Ok)]
    assert len(operations) == len(found) == len(gateway.operations())
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    until = time.monotonic() + SECONDS * BY_DOCUMENT
    sent = 0
    hopeless: set[tuple[str, GenerationMode]] = set()
    for number in itertools.count():
        known = gateway.begin() | {"appid": APPID, "mode": "mix"} if number % 2 == 0 else {}
        for operation, mode in itertools.product(operations, modes):
            if time.monotonic() >= until:
                break
            if (operation.label, mode) in hopeless:
                continue
            pinned = {n: v for n, v in known.items() if "{" + n + "}" in operation.path}
            if "/operator/" in operation.path:  # our own app keeps its limits
                pinned = {}
            cases = operation.as_strategy(generation_mode=mode, path_parameters=pinned or None)

            @seed(SEED + number)
            @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(cases)
            def ask(case: schemathesis.Case[Any]) -> None:
                nonlocal sent
                sent += _asked(gateway, case)

            try:
                ask()
            except Unsatisfiable:  # nothing can be sent here that breaks the document
                hopeless.add((operation.label, mode))
        else:
            continue
        break
    assert sent > 100
    gateway.is_well("by the document")


def _asked(gateway: Gateway, case: schemathesis.Case[Any]) -> bool:
    as_operator = case.operation.path.startswith("/v1/operator")
    who: dict[str, Any] = (
        {"headers": {"Authorization": f"Bearer {OPERATOR}"}} if as_operator else {"auth": gateway.auth}
    )
    try:
        answer = case.call(base_url=gateway.url, timeout=ANSWER_WITHIN_S, allow_redirects=False, **who)
    except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeEncodeError):
        return False  # the client refuses to send it
    gateway.saw(answer.status_code)
    if answer.status_code == 404 and answer.content and answer.json() == NO_ROUTE:
        return True  # a path parameter with a slash, or a method that is not there: no operation of ours
    case.validate_response(answer, checks=CHECKS)
    return True
