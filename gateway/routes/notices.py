"""Notices: what an app's receiver was told, how each delivery went, and once more, please."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import App
from gateway.routes.cloud_recording import SECURED
from gateway.runtime import Runtime, runtime
from models.vocabulary import errors as e
from scheduler.outbox import Outbox

router = APIRouter(prefix="/v1/apps/{appid}/notices", tags=["Notices"])

Run = Annotated[Runtime, Depends(runtime)]
NoticeId = Annotated[str, Path(description="`noticeId` of the notice.", pattern="^[0-9a-fA-F-]{1,36}$")]

_NOTICE: Final[dict[str, Any]] = {
    "notice_id": "0d6ef6e1-8f0b-4a9b-9d0a-9a4d3a5f1d52", "sid": "38f8e3cfdc474cd56fc1ceba380d7e1a", "sequence": 0,
    "event": 40, "state": "delivered", "attempts": 1, "created_ms": 1780000002300, "next_ms": None,
    "details": {"msgName": "recorder_started", "status": 0},
}  # fmt: skip
_LOGGED: Final = _NOTICE | {"log": [{"attempt": 1, "at_ms": 1780000002400, "outcome": "200"}]}


def _outbox(run: Run) -> Outbox:
    return Outbox(run.service.database)


Door = Annotated[Outbox, Depends(_outbox)]


@router.get(
    "",
    summary="List notices, newest first",
    responses={**documents.responses(), **documents.ok("One page", {"notices": [_NOTICE], "next": None})},
    openapi_extra=SECURED,
)
async def notices(
    appid: App,
    run: Run,
    outbox: Door,
    limit: Annotated[int, Query(description="How many, 1 to 200.")] = 50,
    before: Annotated[str, Query(description="`next` of the page before.", pattern="^[0-9a-fA-F-]{0,36}$")] = "",
    sid: Annotated[str, Query(description="Only those of this recording.", pattern="^[0-9a-f]{0,32}$")] = "",
    state: Annotated[str, Query(description="Only pending, delivered or given_up ones.", max_length=20)] = "",
) -> JSONResponse:
    return answer(await run.sql(outbox.list, appid, limit=limit, before=before, sid=sid, state=state))


@router.get(
    "/{notice_id}",
    summary="One notice, with every attempt to deliver it",
    responses={**documents.responses(e.NoticeNotFound), **documents.ok("The notice", _LOGGED)},
    openapi_extra=SECURED,
)
async def notice(appid: App, notice_id: NoticeId, run: Run, outbox: Door) -> JSONResponse:
    return answer(await run.sql(outbox.get, appid, notice_id))


@router.post(
    "/{notice_id}/replay",
    summary="Deliver a notice once more",
    description="It keeps its noticeId and sequence; only notifyMs is new.",
    responses={**documents.responses(e.NoticeNotFound, e.InvalidOperation), **documents.ok("The notice", _LOGGED)},
    openapi_extra=SECURED,
)
async def replay(appid: App, notice_id: NoticeId, run: Run, outbox: Door) -> JSONResponse:
    return answer(await run.sql(outbox.replay, appid, notice_id))
