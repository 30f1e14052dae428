"""The Cloud Recording contract: acquire, start, query, update, updateLayout, stop."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer, error_answer
from gateway.auth import App
from gateway.routes.reading import read
from gateway.runtime import Runtime, runtime
from gateway.wire.answers import Acquired, QueryAnswer, Same, StopAnswer
from gateway.wire.body import Shape
from gateway.wire.requests import (
    AcquireRequest,
    StartRequest,
    StopRequest,
    UpdateLayoutRequest,
    UpdateRequest,
)
from models import logs
from models.vocabulary import errors as e
from models.vocabulary.spec import Mode
from scheduler.service import Glance

router = APIRouter(prefix="/v1/apps/{appid}/cloud_recording", tags=["Cloud Recording"])
SHAPES: Final[list[type[Shape]]] = [AcquireRequest, StartRequest, StopRequest, UpdateRequest, UpdateLayoutRequest]

Run = Annotated[Runtime, Depends(runtime)]
ModeName = Annotated[str, Path(alias="mode", description="individual, mix or web.", examples=["mix"])]
ResourceId = Annotated[str, Path(description="Of acquire; five minutes to use, once.")]
Sid = Annotated[str, Path(description="Of start.")]

RESOURCE: Final = "/resourceid/{resource_id}/mode/{mode}"
RUNNING: Final = "/resourceid/{resource_id}/sid/{sid}/mode/{mode}"
SECURED: Final[dict[str, Any]] = {"security": [{"customer": []}]}

_NAMES: Final = {"cname": "httpClient463224", "uid": "527841"}
_STORAGE: Final = {"vendor": 1, "region": 0, "bucket": "BUCKET", "accessKey": "KEY", "secretKey": "SECRET"}
_START: Final = _NAMES | {
    "clientRequest": {
        "token": "TOKEN",
        "recordingConfig": {
            "maxIdleTime": 120,
            "transcodingConfig": {"width": 640, "height": 360, "fps": 15, "bitrate": 600, "mixedVideoLayout": 1},
        },
        "recordingFileConfig": {"avFileType": ["hls"]},
        "storageConfig": _STORAGE | {"fileNamePrefix": ["recordings"]},
    }
}

_RESOURCE: Final = _NAMES | {"resourceId": "RESOURCE_ID"}
_SAME: Final = _RESOURCE | {"sid": "38f8e3cfdc474cd56fc1ceba380d7e1a"}
_FILE: Final = {
    "fileListMode": "string",
    "fileList": "recordings/38f8e3cfdc474cd56fc1ceba380d7e1a_httpClient463224.m3u8",
}
_QUERIED: Final = _SAME | {"serverResponse": {"status": 5} | _FILE | {"sliceStartTime": 1780000003200}}
_STOPPED: Final = _SAME | {"serverResponse": _FILE | {"uploadingStatus": "uploaded"}}
_UPDATE: Final = _NAMES | {
    "clientRequest": {
        "streamSubscribe": {
            "audioUidList": {"subscribeAudioUids": ["#allstream#"]},
            "videoUidList": {"unSubscribeVideoUids": ["123"]},
        }
    }
}


@router.post(
    "/acquire",
    summary="Get a resourceId: the right to start one recording",
    responses={
        **documents.responses(e.ChannelNameInvalid, e.TooManyRecordings, e.AllocateTimedOut),
        **documents.ok("The right to start", _RESOURCE, of=Acquired),
    },
    openapi_extra=documents.body(AcquireRequest, _NAMES | {"clientRequest": {}}) | SECURED,
)
async def acquire(request: Request, appid: App, run: Run) -> JSONResponse:
    asked, said = await read(request, AcquireRequest)
    got = await run.sql(run.service.acquire, appid, asked.order(), said.texts)
    return answer({"cname": got.cname, "uid": got.uid, "resourceId": got.resource_id}, warnings=got.warnings)


@router.post(
    RESOURCE + "/start",
    summary="Start recording",
    description="Answers when the recorder has joined the channel and the store has taken its first object; after five seconds without, 206 with code 65: repeat the request, it then answers 201 with code 7.",
    responses={**documents.responses(
        e.AlreadyStarted, e.RequestNotCompleted, e.ResourceExpired, e.ResourceMismatch, e.ResourceUnreadable,
        e.TaskConflict, e.StartTimedOut, e.ChannelRefused, e.StoreRefused, e.Overloaded, e.NoWorkers, e.NotBuiltYet,
    ), **documents.ok("It records", _SAME, of=Same)},
    openapi_extra=documents.body(StartRequest, _START) | SECURED,
)  # fmt: skip
async def start(request: Request, appid: App, resource_id: ResourceId, mode: ModeName, run: Run) -> JSONResponse:
    asked, said = await read(request, StartRequest)
    order = asked.order(_mode(mode), said.texts, said.client_request)
    begun = await run.sql(run.service.begin_start, appid, resource_id, order)
    with logs.bound(sid=begun.sid):
        if not begun.again:
            await run.watcher.until(begun.sid, _up, run.service.settings.start_wait_ms / 1000)
        try:
            body = await run.sql(run.service.started, begun)
        except (e.AlreadyStarted, e.RequestNotCompleted) as error:
            return error_answer(error, extra=begun.identity(), warnings=begun.warnings)
        return answer(body, warnings=begun.warnings)


@router.get(
    RUNNING + "/query",
    summary="Ask how a recording stands",
    responses={
        **documents.responses(e.WorkerNotFound, e.SidMismatch, e.ServiceExiting),
        **documents.ok("How it stands", _QUERIED, of=QueryAnswer),
    },
    openapi_extra=SECURED,
)
async def query(appid: App, resource_id: ResourceId, sid: Sid, mode: ModeName, run: Run) -> JSONResponse:
    with logs.bound(sid=_known(sid)):
        return answer(await run.sql(run.service.query, appid, _mode(mode), resource_id, sid))


@router.post(
    RUNNING + "/stop",
    summary="Stop recording",
    description='Answers when every file is uploaded, at most 20 s later; with `"async_stop": true` at once.',
    responses={
        **documents.responses(
            e.RequestNotCompleted, e.NoRecordedData, e.InvalidOperation, e.WorkerNotFound, e.SidMismatch
        ),
        **documents.ok("It has ended, or is to end", _STOPPED, of=StopAnswer),
    },
    openapi_extra=documents.body(StopRequest, _NAMES | {"clientRequest": {"async_stop": False}}) | SECURED,
)
async def stop(
    request: Request, appid: App, resource_id: ResourceId, sid: Sid, mode: ModeName, run: Run
) -> JSONResponse:
    asked, said = await read(request, StopRequest)
    order = asked.order(said.texts)
    with logs.bound(sid=_known(sid)):
        await run.sql(run.service.begin_stop, appid, _mode(mode), resource_id, sid, order)
        if not order.async_stop:
            await run.watcher.until(sid, _over, run.service.settings.stop_wait_ms / 1000)
        body = await run.sql(run.service.stopped, sid, waited=not order.async_stop)
        return answer(body, warnings=said.texts)


@router.post(
    RUNNING + "/update",
    summary="Change whom a running recording subscribes to, or refresh the keys of its store",
    description="What is not named stays as it is. Its recorder has it within half a second, without the broker within one renewal.",
    responses={
        **documents.responses(e.NotBuiltYet, e.WorkerNotFound, e.SidMismatch, e.ResourceMismatch, e.ServiceExiting),
        **documents.ok("Changed", _SAME, of=Same),
    },
    openapi_extra=documents.body(UpdateRequest, _UPDATE) | SECURED,
)
async def update(
    request: Request, appid: App, resource_id: ResourceId, sid: Sid, mode: ModeName, run: Run
) -> JSONResponse:
    asked, said = await read(request, UpdateRequest)
    with logs.bound(sid=_known(sid)):
        order = asked.order(said.texts)
        changed = await run.sql(run.service.update, appid, _mode(mode), resource_id, sid, order)
        return answer(changed.body, warnings=changed.warnings)


@router.post(
    RUNNING + "/updateLayout",
    summary="Replace the layout of a running recording",
    description="The whole layout: a field that is left out returns to its default.",
    responses={
        **documents.responses(e.BadLayout, e.WorkerNotFound, e.SidMismatch, e.ResourceMismatch, e.ServiceExiting),
        **documents.ok("Changed", _SAME, of=Same),
    },
    openapi_extra=documents.body(UpdateLayoutRequest, _NAMES | {"clientRequest": {"mixedVideoLayout": 1}}) | SECURED,
)
async def update_layout(
    request: Request, appid: App, resource_id: ResourceId, sid: Sid, mode: ModeName, run: Run
) -> JSONResponse:
    try:
        asked, said = await read(request, UpdateLayoutRequest)
    except e.BadParameter as error:
        raise e.BadLayout(error.text) from error
    with logs.bound(sid=_known(sid)):
        order = asked.order(said.texts)
        changed = await run.sql(run.service.update_layout, appid, _mode(mode), resource_id, sid, order)
        return answer(changed.body, warnings=changed.warnings)


def _up(glance: Glance) -> bool:
    return glance.up


def _over(glance: Glance) -> bool:
    return glance.over


def _mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        raise e.BadParameter("mode must be individual, mix or web") from None


def _known(sid: str) -> str:
    """A sid as it may stand in a log: what is none of ours is not repeated there."""
    return sid if len(sid) == 32 and sid.isalnum() and sid.isascii() else "?"
