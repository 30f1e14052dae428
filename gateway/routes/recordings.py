"""Recordings as they really are: the list, and the full record of each, kept 30 days from its end."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import App
from gateway.routes.cloud_recording import SECURED
from gateway.runtime import Runtime, runtime
from models.vocabulary import errors as e

router = APIRouter(prefix="/v1/apps/{appid}/recordings", tags=["Recordings"])

_LINE: Final = {
    "sid": "38f8e3cfdc474cd56fc1ceba380d7e1a", "cname": "lesson-7", "uid": "527841", "mode": "mix", "status": 8,
    "wanted": "stop", "reason": "stop called", "created_ms": 1780000000000, "started_ms": 1780000003200,
    "ended_ms": 1780000063200,
}  # fmt: skip
_RECORD: Final = _LINE | {
    "resource_id": "RESOURCE_ID", "wanted_cause": "stop called", "fault": None, "weight": 60, "uploading": "uploaded",
    "what_happened": "the recording ended at 2026-05-28T20:27:43.200Z: stop called", "keep_until_ms": 1782592063200,
    "warnings": ["clientRequest.token is null and counts as not given"], "spec": {},
    "segments": {"count": 10, "stored": 10, "bytes": 4500000, "duration_s": 60.0},
    "holes": [{"track": "mix", "start_s": 12.0, "end_s": 13.4, "state": "lost", "cause": "the recorder died"}],
    "files": [{"key": "38f8e3cfdc474cd56fc1ceba380d7e1a_lesson-7.m3u8", "kind": "playlist", "bytes": 1200, "final": True,
               "store": "primary", "error": ""}],
    "tenures": [{"epoch": 1, "node": "node-a", "role": "primary", "state": "ended", "created_ms": 1780000000000,
                 "ended_ms": 1780000063200, "cause": "all is stored"}],
    "notices": [],
}  # fmt: skip
Run = Annotated[Runtime, Depends(runtime)]


@router.get(
    "",
    summary="List recordings, newest first",
    responses={**documents.responses(), **documents.ok("One page", {"recordings": [_LINE], "next": None})},
    openapi_extra=SECURED,
)
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
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The record", _RECORD)},
    openapi_extra=SECURED,
)
async def recording(appid: App, sid: Annotated[str, Path(description="Of start.")], run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.record, appid, sid))


@router.post(
    "/{sid}/stop",
    summary="Stop a recording by its sid alone",
    description="Answers at once with the record. Also when resourceExpiredHour is over; stopping twice is like stopping once.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The record", _RECORD)},
    openapi_extra=SECURED,
)
async def stop(appid: App, sid: Annotated[str, Path(description="Of start.")], run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.stop_own, appid, sid))


@router.post(
    "/{sid}/cancel",
    summary="End a recording and its uploads",
    description="What is in the store stays and is listed; all else is thrown away. Answers at once with the record. Also after a stop, until the recording has ended; cancelling twice is like cancelling once.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The record", _RECORD)},
    openapi_extra=SECURED,
)
async def cancel(appid: App, sid: Annotated[str, Path(description="Of start.")], run: Run) -> JSONResponse:
    return answer(await run.sql(run.service.cancel, appid, sid))
