"""Where notices come from, for receivers that keep a list of addresses (contract §1, NCS)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import basic
from gateway.routes.cloud_recording import SECURED
from gateway.runtime import Runtime, runtime
from models.vocabulary.errors import Unauthorized

router = APIRouter(tags=["Notices"])

_EXAMPLE: Final[dict[str, Any]] = {"data": {"service": {"hosts": [{"primaryIP": "203.0.113.5"}]}}}
_RESPONSES: Final = {**documents.responses(), **documents.ok("Addresses", _EXAMPLE)}


@router.get("/v1/ncs/ip", summary="Where notices come from", responses=_RESPONSES, openapi_extra=SECURED)
@router.get("/v2/ncs/ip", summary="Where notices come from", responses=_RESPONSES, openapi_extra=SECURED)
async def addresses(request: Request, run: Annotated[Runtime, Depends(runtime)]) -> JSONResponse:
    key, secret = basic(request.headers.get("authorization", ""))
    if not await run.sql(run.service.knows, key, secret):
        raise Unauthorized
    hosts = [{"primaryIP": address} for address in run.service.settings.notice_addresses]
    return answer({"data": {"service": {"hosts": hosts}}})
