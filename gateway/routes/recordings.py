"""Recordings as they really are: the list, and the full record of each, kept 30 days from its end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import App
from gateway.routes.cloud_recording import SECURED
from gateway.runtime import Runtime, runtime
from models.vocabulary import errors as e

router = APIRouter(prefix="/v1/apps/{appid}/recordings", tags=["Recordings"])

Run = Annotated[Runtime, Depends(runtime)]


@router.get("", summary="List recordings, newest first", responses=documents.responses(), openapi_extra=SECURED)
async def recordings(
    appid: App,
    run: Run,
    limit: Annotated[int, Query(description="How many, 1 to 200.")] = 50,
    before: Annotated[str, Query(description="`next` of the page before.", pattern="^[0-9a-f]{0,32}$")] = "",
    live: Annotated[bool | None, Query(description="Only those that run, or only those that have ended.")] = None,
) -> JSONResponse:
    return answer(await run.sql(run.service.records, appid, limit=limit, before=before, live=live))


@router.get(
    "/{sid}",
    summary="Everything about one recording",
    description="Status, how it ended and whose fault, holes, files, segments, warnings, tenures. Also after its end.",
    responses=documents.responses(e.WorkerNotFound),
    openapi_extra=SECURED,
)
async def recording(appid: App, sid: Annotated[str, Path(description="Of start.")], run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.record, appid, sid))


@router.post(
    "/{sid}/stop",
    summary="Stop a recording by its sid alone",
    description="Answers at once with the record. Also when resourceExpiredHour is over; stopping twice is like stopping once.",
    responses=documents.responses(e.WorkerNotFound),
    openapi_extra=SECURED,
)
async def stop(appid: App, sid: Annotated[str, Path(description="Of start.")], run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.stop_own, appid, sid))
