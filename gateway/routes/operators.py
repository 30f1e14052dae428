"""The operators' API: apps, customer keys and what they may use, where notices go. With the operator's own key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response

from gateway import documents
from gateway.answers import answer
from gateway.auth import AppId, bearer
from gateway.routes.reading import read
from gateway.runtime import Runtime, runtime
from gateway.wire.body import Shape
from gateway.wire.operators import AppChange, AppRequest, KeyRequest, NoticesChange
from models.vocabulary import errors as e
from scheduler.operators import Operators

SHAPES: Final[list[type[Shape]]] = [AppRequest, AppChange, NoticesChange, KeyRequest]
MIN_KEY: Final = 32

Run = Annotated[Runtime, Depends(runtime)]
Key = Annotated[str, Path(description="Of a customer.", pattern="^[0-9A-Za-z]{1,64}$")]


def operator(request: Request, run: Run) -> None:
    """Raises `Unauthorized` for whoever does not have the operator's key; for everybody, where none is set."""
    given = bearer(request.headers.get("authorization", ""))
    wanted = run.service.settings.operator_key.get_secret_value()
    if len(wanted) < MIN_KEY or not hmac.compare_digest(_hash(given), _hash(wanted)):
        raise e.Unauthorized


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def known_app(appid: AppId) -> str:
    if not 0 < len(appid) <= 64 or not appid.isprintable():
        raise e.UnknownApp
    return appid


router = APIRouter(prefix="/v1/operator", tags=["Operators"], dependencies=[Depends(operator)])
KnownApp = Annotated[str, Depends(known_app)]

SECURED: Final[dict[str, Any]] = {"security": [{"operator": []}]}
_APP: Final[dict[str, Any]] = {
    "appid": "5f3c0de0b4a14c2b9d2c4ad7c8d1c3b0", "name": "classes", "channel": "whip:", "store": "request", "slice_s": 6,
    "limits": {"requests_per_s": 10, "max_recordings": 0},
    "behaviour": {"query_after_end": "original", "when_full": "refuse", "redundancy": 1, "keep_files_days": 0},
    "notice_url": "https://example.org/notices", "created_ms": 1780000000000,
}  # fmt: skip
_NOTICES: Final = {"notice_url": "https://example.org/notices", "notice_secret": "SECRET"}
_KEY: Final = {"key": "KEY", "secret": "SECRET", "appids": [_APP["appid"]]}


def _door(run: Run) -> Operators:
    return Operators(run.service.database, run.service.settings)


Door = Annotated[Operators, Depends(_door)]


@router.get(
    "/apps",
    summary="List apps",
    responses={**documents.responses(), **documents.ok("All apps", {"apps": [_APP]})},
    openapi_extra=SECURED,
)
async def list_apps(run: Run, door: Door) -> JSONResponse:
    return answer(await run.sql(door.apps))


@router.post(
    "/apps",
    summary="Add an app",
    status_code=201,
    responses={**documents.responses(), **documents.ok("The app", _APP, 201)},
    openapi_extra=documents.body(AppRequest, {"name": "classes", "channel": "whip:"}) | SECURED,
)
async def add_app(request: Request, run: Run, door: Door) -> JSONResponse:
    asked, said = await read(request, AppRequest)
    return answer(await run.sql(door.add, asked.order()), status=201, warnings=said.texts)


@router.get(
    "/apps/{appid}",
    summary="One app",
    responses={**documents.responses(), **documents.ok("The app", _APP)},
    openapi_extra=SECURED,
)
async def app(appid: KnownApp, run: Run, door: Door) -> JSONResponse:
    return answer(await run.sql(door.app, appid))


@router.patch(
    "/apps/{appid}",
    summary="Change an app: name, limits, behaviour",
    responses={**documents.responses(), **documents.ok("The app", _APP)},
    openapi_extra=documents.body(AppChange, {"requests_per_s": 50, "query_after_end": "record"}) | SECURED,
)
async def change_app(request: Request, appid: KnownApp, run: Run, door: Door) -> JSONResponse:
    asked, said = await read(request, AppChange)
    return answer(await run.sql(door.change, appid, asked.order()), warnings=said.texts)


@router.delete(
    "/apps/{appid}",
    summary="Remove an app with its records",
    description="Refused while it records. Files in stores stay.",
    status_code=204,
    response_class=Response,
    responses=documents.responses(e.InvalidOperation),
    openapi_extra=SECURED,
)
async def remove_app(appid: KnownApp, run: Run, door: Door) -> Response:
    await run.sql(door.remove, appid)
    return Response(status_code=204)


@router.put(
    "/apps/{appid}/notices",
    summary="Say where an app's notices go",
    description="Without a secret one is made, or the one there is stays; it is told in this answer only. An empty url ends notices.",
    responses={**documents.responses(e.AddressRefused), **documents.ok("Address and secret", _NOTICES)},
    openapi_extra=documents.body(NoticesChange, {"url": "https://example.org/notices"}) | SECURED,
)
async def set_notices(request: Request, appid: KnownApp, run: Run, door: Door) -> JSONResponse:
    asked, said = await read(request, NoticesChange)
    return answer(await run.sql(door.set_notices, appid, asked.url, asked.secret), warnings=said.texts)


@router.get(
    "/keys",
    summary="List customer keys and what they may use",
    responses={
        **documents.responses(),
        **documents.ok("All keys", {"keys": [{"key": "KEY", "appids": [_APP["appid"]], "created_ms": 1780000000000}]}),
    },
    openapi_extra=SECURED,
)
async def list_keys(run: Run, door: Door) -> JSONResponse:
    return answer(await run.sql(door.keys))


@router.post(
    "/keys",
    summary="Make a customer key for some apps",
    description="The secret is told here and never again.",
    status_code=201,
    responses={**documents.responses(), **documents.ok("Key and secret", _KEY, 201)},
    openapi_extra=documents.body(KeyRequest, {"appids": [_APP["appid"]]}) | SECURED,
)
async def add_key(request: Request, run: Run, door: Door) -> JSONResponse:
    asked, said = await read(request, KeyRequest)
    return answer(await run.sql(door.add_key, asked.appids), status=201, warnings=said.texts)


@router.put(
    "/keys/{key}",
    summary="Say which apps a key may use",
    responses={
        **documents.responses(e.KeyNotFound),
        **documents.ok("The key", {"key": "KEY", "appids": [_APP["appid"]]}),
    },
    openapi_extra=documents.body(KeyRequest, {"appids": [_APP["appid"]]}) | SECURED,
)
async def rescope_key(request: Request, key: Key, run: Run, door: Door) -> JSONResponse:
    asked, said = await read(request, KeyRequest)
    return answer(await run.sql(door.rescope, key, asked.appids), warnings=said.texts)


@router.delete(
    "/keys/{key}",
    summary="Take a key back",
    status_code=204,
    response_class=Response,
    responses=documents.responses(e.KeyNotFound),
    openapi_extra=SECURED,
)
async def remove_key(key: Key, run: Run, door: Door) -> Response:
    await run.sql(door.remove_key, key)
    return Response(status_code=204)
