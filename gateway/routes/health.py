"""Whether the process lives, and whether the farm could record now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from gateway.runtime import Runtime, runtime

router = APIRouter(tags=["Health"])


@router.get("/healthz", summary="Alive: the event loop answers")
async def healthz() -> JSONResponse:
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Ready: database and broker answer, a worker is up",
    responses={503: {"description": "What is missing, by part"}},
)
async def readyz(run: Annotated[Runtime, Depends(runtime)]) -> JSONResponse:
    missing = await run.sql(run.service.ready)
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)
