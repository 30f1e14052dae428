"""Users of a `pull:` channel: URLs that recorders read. They come and go also while the channel is being recorded."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import App
from gateway.routes.cloud_recording import SECURED
from gateway.routes.reading import read
from gateway.runtime import Runtime, runtime
from gateway.wire.body import Shape
from gateway.wire.requests import PullRequest
from models.vocabulary import errors as e

router = APIRouter(prefix="/v1/apps/{appid}/channels/{cname}/users", tags=["Channels"])
SHAPES: Final[list[type[Shape]]] = [PullRequest]

_USER: Final[dict[str, Any]] = {"uid": "camera-1", "source": "rtsp://camera.example.org", "created_ms": 1780000000000}
Run = Annotated[Runtime, Depends(runtime)]
Cname = Annotated[str, Path(description="The channel.")]
Uid = Annotated[str, Path(description="The user, 1 to 64 characters.")]


@router.get(
    "",
    summary="List a channel's users that are URLs",
    description="Of each URL scheme and host alone: the rest may be secret.",
    responses={**documents.responses(e.ChannelNameInvalid), **documents.ok("The users", {"users": [_USER]})},
    openapi_extra=SECURED,
)
async def users(appid: App, cname: Cname, run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.pulled, appid, cname))


@router.put(
    "/{uid}",
    summary="Add a user that is a URL, or give him another one",
    description="`rtmp://`, `rtmps://`, `rtsp://`, `rtsps://`, `http://` or `https://` (HLS, or a file). A recording that is on reads it within seconds. The same again changes nothing.",
    responses={
        **documents.responses(e.ChannelNameInvalid, e.AddressRefused, e.InvalidOperation),
        **documents.ok("The user", _USER),
    },
    openapi_extra=documents.body(PullRequest, {"url": "rtsp://viewer:PASSWORD@camera.example.org/main"}) | SECURED,
)
async def add(request: Request, appid: App, cname: Cname, uid: Uid, run: Run) -> JSONResponse:
    asked, said = await read(request, PullRequest)
    return answer(await run.outside(run.service.pull, appid, cname, uid, asked.url), warnings=said.texts)


@router.delete(
    "/{uid}",
    summary="Remove a user that is a URL",
    responses={
        **documents.responses(e.ChannelNameInvalid, e.UserNotFound),
        **documents.ok("Those who are left", {"users": [_USER]}),
    },
    openapi_extra=SECURED,
)
async def remove(appid: App, cname: Cname, uid: Uid, run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.unpull, appid, cname, uid))
