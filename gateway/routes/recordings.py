"""Recordings as they really are: the list, and the full record of each, kept 30 days from its end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import App
from gateway.routes.cloud_recording import SECURED
from gateway.routes.parameters import Before, Page, Run, Sid
from gateway.wire import examples
from models.vocabulary import errors as e

router = APIRouter(prefix="/v1/apps/{appid}/recordings", tags=["Recordings"])


@router.get(
    "",
    summary="List recordings, newest first",
    responses={**documents.responses(), **documents.ok("One page", {"recordings": [examples.LINE], "next": None})},
    openapi_extra=SECURED,
)
async def recordings(
    appid: App,
    run: Run,
    limit: Page = 50,
    before: Before = "",
    live: Annotated[bool | None, Query(description="Only those that run, or only those that have ended.")] = None,
) -> JSONResponse:
    return answer(await run.sql(run.service.records, appid, limit=limit, before=before, live=live))


@router.get(
    "/{sid}",
    summary="Everything about one recording",
    description="Status, how it ended and whose fault, holes, files, segments, warnings, tenures. Also after its end.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The record", examples.RECORD)},
    openapi_extra=SECURED,
)
async def recording(appid: App, sid: Sid, run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.record, appid, sid))


@router.post(
    "/{sid}/stop",
    summary="Stop a recording by its sid alone",
    description="Answers at once with the record. Also when resourceExpiredHour is over; stopping twice is like stopping once.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The record", examples.RECORD)},
    openapi_extra=SECURED,
)
async def stop(appid: App, sid: Sid, run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.stop_own, appid, sid))


@router.post(
    "/{sid}/cancel",
    summary="End a recording and its uploads",
    description="What is in the store stays and is listed; all else is thrown away. Answers at once with the record. Also after a stop, until the recording has ended; cancelling twice is like cancelling once.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The record", examples.RECORD)},
    openapi_extra=SECURED,
)
async def cancel(appid: App, sid: Sid, run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.cancel, appid, sid))
