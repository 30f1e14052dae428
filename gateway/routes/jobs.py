"""Supervised jobs: keep this channel recorded, so, until I say stop."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import App, basic
from gateway.routes.cloud_recording import SECURED
from gateway.routes.reading import read
from gateway.runtime import Runtime, runtime
from gateway.wire.body import Shape
from gateway.wire.jobs import JobRequest
from models.vocabulary import errors as e
from scheduler.jobs.orders import Credentials
from scheduler.jobs.service import Jobs

router = APIRouter(prefix="/v1/apps/{appid}/jobs", tags=["Jobs"])
SHAPES: Final[list[type[Shape]]] = [JobRequest]

Run = Annotated[Runtime, Depends(runtime)]
JobId = Annotated[str, Path(description="`job_id` of the submission.", pattern="^[0-9a-f]{1,32}$")]

_EXAMPLE: Final = {
    "key": "lesson-7",
    "cname": "lesson-7",
    "uids": ["527841", "527842"],
    "start": {
        "token": "TOKEN",
        "recordingConfig": {"maxIdleTime": 300},
        "storageConfig": {"vendor": 1, "region": 0, "bucket": "BUCKET", "accessKey": "KEY", "secretKey": "SECRET"},
    },
    "for_s": 5400,
}
_JOB: Final[dict[str, Any]] = {
    "job_id": "0f3c5a1e9b7d4c2a8e6f1b3d5a7c9e0f", "key": "lesson-7", "cname": "lesson-7", "mode": "mix",
    "state": "running", "stop_wanted": False, "cause": "", "reason": "", "trouble": "",
    "sid": "38f8e3cfdc474cd56fc1ceba380d7e1a", "next_check_ms": 1780000080000, "deadline_ms": 1780006600000,
    "created_ms": 1780000000000, "ended_ms": None, "uids": ["527841", "527842"], "not_before_ms": 0, "until_ms": None,
    "for_ms": 5400000, "endpoints": [], "files": ["38f8e3cfdc474cd56fc1ceba380d7e1a_lesson-7.m3u8"],
    "attempts": [{
        "uid": "527841", "sid": "38f8e3cfdc474cd56fc1ceba380d7e1a", "status": 5,
        "files": ["38f8e3cfdc474cd56fc1ceba380d7e1a_lesson-7.m3u8"], "begun_ms": 1780000000100,
        "started_ms": 1780000002300, "confirmed_ms": 1780000007400, "ended_ms": None, "ending": "",
    }],
}  # fmt: skip
_ONE: Final[documents.Responses] = {200: {"description": "The job", "content": {"application/json": {"example": _JOB}}}}
_MADE: Final[documents.Responses] = {
    201: {"description": "A new job", "content": {"application/json": {"example": _JOB}}}
}


def _jobs(run: Run) -> Jobs:
    return Jobs(run.service.database, run.service.broker)


Door = Annotated[Jobs, Depends(_jobs)]


@router.post(
    "",
    summary="Keep a channel recorded",
    description="201 with a new job, 200 with the one that has this key already. The job acquires, starts, confirms, watches, restarts and stops by itself.",
    responses={**documents.responses(), **_ONE, **_MADE},
    openapi_extra=documents.body(JobRequest, _EXAMPLE) | SECURED,
)
async def submit(request: Request, appid: App, run: Run, jobs: Door) -> JSONResponse:
    asked, said = await read(request, JobRequest)
    key, secret = basic(request.headers.get("authorization", ""))
    caller = Credentials(key=key, secret=secret)
    job, new = await run.sql(jobs.submit, appid, asked.order(), caller)
    return answer(job, status=201 if new else 200, warnings=said.texts)


@router.get(
    "",
    summary="List jobs, newest first",
    responses={
        **documents.responses(),
        **documents.ok(
            "One page, without files and attempts",
            {"jobs": [{k: v for k, v in _JOB.items() if k not in ("files", "attempts")}], "next": None},
        ),
    },
    openapi_extra=SECURED,
)
async def jobs(
    appid: App,
    run: Run,
    jobs: Door,
    limit: Annotated[int, Query(description="How many, 1 to 200.")] = 50,
    before: Annotated[str, Query(description="`next` of the page before.", pattern="^[0-9a-f]{0,32}$")] = "",
    live: Annotated[bool | None, Query(description="Only those that run, or only those that have ended.")] = None,
    key: Annotated[str, Query(description="Only the one of this key.", max_length=200)] = "",
) -> JSONResponse:
    if "\0" in key:
        raise e.BadParameter("key has a NUL character")
    return answer(await run.sql(jobs.list, appid, limit=limit, before=before, live=live, key=key))


@router.get(
    "/{job_id}",
    summary="One job: where it stands, its sids and files, every attempt, its next check",
    responses={**documents.responses(e.JobNotFound), **_ONE},
    openapi_extra=SECURED,
)
async def job(appid: App, job_id: JobId, run: Run, jobs: Door) -> JSONResponse:
    return answer(await run.sql(jobs.get, appid, job_id))


@router.post(
    "/{job_id}/stop",
    summary="End a job",
    description="Answers at once with the job as it stands; `state` becomes `done` when nothing records any more. Stopping twice is like stopping once.",
    responses={**documents.responses(e.JobNotFound), **_ONE},
    openapi_extra=SECURED,
)
async def stop(appid: App, job_id: JobId, run: Run, jobs: Door) -> JSONResponse:
    return answer(await run.sql(jobs.stop, appid, job_id))
