"""Publishing into a WHIP room (RFC 9725): a token for the publisher, and the redirect to the ingest that holds the room."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response

from gateway import documents
from gateway.answers import answer, error_answer
from gateway.auth import App, AppId, bearer
from gateway.routes.cloud_recording import SECURED
from gateway.routes.reading import read
from gateway.runtime import Runtime, runtime
from gateway.wire.body import Shape
from gateway.wire.requests import TokenRequest
from models.vocabulary import errors as e

router = APIRouter(tags=["WHIP"])
SHAPES: Final[list[type[Shape]]] = [TokenRequest]

Run = Annotated[Runtime, Depends(runtime)]
CORS: Final = {
    "Access-Control-Allow-Origin": "*",  # whoever has a token may publish, from whatever page
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Expose-Headers": "Location, Link, X-Request-Id",
    "Access-Control-Max-Age": "600",
}
Cname = Annotated[str, Path(description="The channel.")]
Uid = Annotated[str, Path(description="The publisher's own id, 1 to 64 characters.")]
_ROOM: Final = "/whip/{appid}/{cname}/{uid}"


@router.options(_ROOM, summary="What a browser asks first", status_code=204)
async def preflight(appid: AppId, cname: Cname, uid: Uid) -> Response:
    return Response(status_code=204, headers=CORS)


@router.post(
    _ROOM,
    summary="Publish: go to the room's ingest",
    description="307 to the ingest that holds the room. The address carries a token of its own, good for half a minute, since browsers drop `Authorization` on a redirect to another origin.",
    status_code=307,
    response_class=Response,
    responses=documents.responses(e.NoWorkers, e.ChannelNameInvalid),
    openapi_extra={"security": [{"publisher": []}]},
)
async def publish(
    request: Request,
    run: Run,
    appid: AppId,
    cname: Cname,
    uid: Uid,
) -> Response:
    try:
        token = bearer(request.headers.get("authorization", ""))
        location = await run.sql(run.service.publish, appid, cname, uid, token)
    except e.ReelyardError as error:
        refusal = error_answer(error)
        refusal.headers.update(CORS)  # else a browser's script cannot read why
        if refusal.status_code == 401:
            refusal.headers["WWW-Authenticate"] = 'Bearer realm="reelyard"'
        return refusal
    return Response(status_code=307, headers=CORS | {"Location": location, "Cache-Control": "no-store"})


@router.post(
    "/v1/apps/{appid}/whip-tokens",
    summary="A token for one publisher of one room",
    responses={
        **documents.responses(e.ChannelNameInvalid),
        **documents.ok(
            "The token, and where to publish with it",
            {"token": "TOKEN", "url": "https://farm/whip/APPID/lesson-7/ada", "expires_s": 1780003600},
        ),
    },
    openapi_extra=documents.body(TokenRequest, {"cname": "lesson-7", "uid": "ada", "ttl_s": 3600}) | SECURED,
)
async def whip_token(request: Request, appid: App, run: Run) -> JSONResponse:
    asked, said = await read(request, TokenRequest)
    ticket = await run.sql(run.service.mint_publisher, appid, asked.cname, asked.uid, asked.ttl_s)
    url = str(request.base_url).rstrip("/") + ticket.path
    return answer({"token": ticket.token, "url": url, "expires_s": ticket.expires_s}, warnings=said.texts)
