"""The contract as a client: one call, one outcome. Whatever an endpoint says or does not say is an outcome, never an error."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from models.vocabulary.errors import AddressRefused, BadParameter, FetchFailed, FetchRefused
from net.guard import Network
from net.http import Answer, fetch
from scheduler.jobs import waits
from scheduler.jobs.view import JobView, Kind, Outcome, Verb

#: A start waits for its recorder, 5 s by default; nothing else has to.
TIMEOUT_S: Final = 10.0
START_TIMEOUT_S: Final = 20.0
MAX_FILE_NAME: Final = 1_200
MAX_REASON: Final = 300
MAX_RESOURCE_ID: Final = 2_048
MAX_SID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One base URL of a service, and who calls."""

    base_url: str
    appid: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    allow_networks: tuple[Network, ...] = ()

    @property
    def limit_key(self) -> str:
        return f"{self.base_url}|{self.appid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """clientRequest of acquire and of start, as they were given."""

    acquire: Mapping[str, Any] = field(repr=False)
    start: Mapping[str, Any] = field(repr=False)


def call(endpoint: Endpoint, job: JobView, bodies: Bodies) -> Outcome:
    """Make the job's next call. Bounded in time and bytes."""
    method, path, body = _request(job, bodies)
    url = f"{endpoint.base_url.rstrip('/')}/v1/apps/{quote(endpoint.appid, safe='')}/{path}"
    try:
        answer = fetch(
            method,
            url,
            allow_networks=endpoint.allow_networks,
            body=None if body is None else json.dumps(body).encode(),
            headers=_headers(endpoint),
            timeout_s=START_TIMEOUT_S if job.verb is Verb.START else TIMEOUT_S,
        )
    except (FetchFailed, FetchRefused) as error:
        return Outcome(kind=Kind.LOST, reason=error.text[:MAX_REASON])
    except (
        AddressRefused,
        BadParameter,
    ) as error:  # what the job named may not be called: like the endpoint's own refusal
        return Outcome(http=400, code=error.code, reason=error.text[:MAX_REASON])
    return outcome(job.verb, answer)


def _request(job: JobView, bodies: Bodies) -> tuple[str, str, dict[str, Any] | None]:
    attempt, terms = job.attempt, job.terms
    names = {"cname": terms.cname, "uid": attempt.uid}
    resource = f"cloud_recording/resourceid/{quote(attempt.resource_id, safe='')}"
    running = f"{resource}/sid/{quote(attempt.sid, safe='')}/mode/{terms.mode}"
    match job.verb:
        case Verb.ACQUIRE:
            return "POST", "cloud_recording/acquire", names | {"clientRequest": dict(bodies.acquire)}
        case Verb.START:
            return "POST", f"{resource}/mode/{terms.mode}/start", names | {"clientRequest": dict(bodies.start)}
        case Verb.QUERY:
            return "GET", f"{running}/query", None
        case Verb.STOP:
            return "POST", f"{running}/stop", names | {"clientRequest": {"async_stop": True}}
        case Verb.RECORD:
            return "GET", f"recordings/{quote(attempt.sid, safe='')}", None
        case _:
            raise AssertionError("there is no call to make")


def _headers(endpoint: Endpoint) -> dict[str, str]:
    credentials = base64.b64encode(f"{endpoint.key}:{endpoint.secret}".encode()).decode()
    return {"Authorization": f"Basic {credentials}", "Content-Type": "application/json;charset=utf-8"}


def outcome(verb: Verb, answer: Answer) -> Outcome:
    """What an answer means. A success that lacks what it is for is no answer at all."""
    said = _object(answer.body)
    if said is None:
        if answer.status < 300:
            return Outcome(kind=Kind.LOST, reason=f"{answer.status} without a JSON object")
        return Outcome(http=answer.status, reason="no JSON object")
    heard = Outcome(
        http=answer.status,
        code=_number(said.get("code")) or 0,
        reason=_reason(verb, said),
        resource_id=_text(said.get("resourceId"), MAX_RESOURCE_ID),
        sid=_text(said.get("sid"), MAX_SID),
        status=_status(verb, said),
        files=_files(verb, said),
    )
    lacks = {Verb.ACQUIRE: not heard.resource_id, Verb.START: not heard.sid, Verb.QUERY: heard.status is None}
    if heard.http == 200 and lacks.get(verb, False):
        return Outcome(kind=Kind.LOST, reason=f"{verb} answered 200 without what it is for")
    return heard


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(value: object, longest: int) -> str:
    """Longer ones are not cut: half a sid names another recording."""
    usable = isinstance(value, str) and len(value) <= longest and value.isprintable()
    return str(value) if usable else ""


def _number(value: object) -> int | None:
    """Older services send numbers as strings."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


def _response(said: Mapping[str, Any]) -> Mapping[str, Any]:
    found = said.get("serverResponse")
    return found if isinstance(found, dict) else {}


def _status(verb: Verb, said: Mapping[str, Any]) -> int | None:
    found = _number(said.get("status") if verb is Verb.RECORD else _response(said).get("status"))
    return found if found is not None and 0 <= found <= 100 else None


def _reason(verb: Verb, said: Mapping[str, Any]) -> str:
    names = ("what_happened", "reason") if verb is Verb.RECORD else ("reason", "message")
    text = next((said[name] for name in names if isinstance(said.get(name), str) and said[name]), "")
    return "".join(c if c.isprintable() else " " for c in text[:MAX_REASON])


def _files(verb: Verb, said: Mapping[str, Any]) -> tuple[str, ...]:
    if verb is Verb.RECORD:
        return _names(said.get("files"))
    response = _response(said)
    found = list(_names(response.get("fileList")))
    for service in _list(response.get("extensionServiceState")):
        payload = service.get("payload") if isinstance(service, dict) else None
        found += _names(payload.get("fileList")) if isinstance(payload, dict) else ()
    return tuple(dict.fromkeys(found))[: waits.MAX_FILES]


def _names(listed: object) -> tuple[str, ...]:
    """A name alone, or items that hold one: fileName, filename (web and older ones), key (our record)."""
    items: Iterable[object] = [listed] if isinstance(listed, str) else _list(listed)
    named = (
        next((i[k] for k in ("fileName", "filename", "key") if k in i), "") if isinstance(i, dict) else i for i in items
    )
    texts = (_text(name, MAX_FILE_NAME) for name in named)
    return tuple(text for text in texts if text)[: waits.MAX_FILES]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
