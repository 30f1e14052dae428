"""Files of recordings: list, play, download, delete. With the customer's key, or by a link that is good for one recording."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import MAX_APPID, App, AppId, customer
from gateway.routes.cloud_recording import SECURED
from gateway.routes.reading import read
from gateway.runtime import Runtime, runtime
from gateway.wire.body import Shape
from gateway.wire.files import ReadingKeys
from models.vocabulary import errors as e
from models.vocabulary.playlist import CONTENT_TYPE
from scheduler.files import Download, Files

router = APIRouter(prefix="/v1/apps/{appid}", tags=["Files"])
SHAPES: Final[list[type[Shape]]] = [ReadingKeys]

PIECE_BYTES: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
#: A link is its own right; no cookie and no key is ever sent along, so any page may use it.
ANYWHERE: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "private, no-store"}

Run = Annotated[Runtime, Depends(runtime)]
Sid = Annotated[str, Path(description="Of start.", pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, Path(description="A file's name, without folders.", min_length=1, max_length=255)]
ForS = Annotated[int, Query(description="How long its addresses are good, in seconds; a week at most.")]


def _files(run: Run) -> Files:
    return Files(run.service.database, run.service.settings)


Door = Annotated[Files, Depends(_files)]


async def reader(
    request: Request,
    appid: AppId,
    sid: Sid,
    run: Run,
    door: Door,
    token: Annotated[str, Query(description="Of a link, instead of a key.", max_length=1_024)] = "",
) -> str:
    """The appid, for a customer or for the bearer of a link."""
    if not token:
        return await customer(request, appid, run)
    if not 0 < len(appid) <= MAX_APPID or not appid.isprintable():
        raise e.UnknownApp
    await run.sql(door.admits, appid, sid, token)
    return appid


Reader = Annotated[str, Depends(reader)]

_SID: Final = "38f8e3cfdc474cd56fc1ceba380d7e1a"
_FILE: Final[dict[str, Any]] = {
    "name": f"{_SID}_lesson-7_0.mp4", "key": f"{_SID}_lesson-7_0.mp4", "kind": "mp4", "state": "stored",
    "bytes": 4200000, "md5": "9e107d9d372bb6826bd81d3542a419d6", "duration_s": 58.6, "started_ms": 1780000003200,
    "error": "", "store": "primary",
}  # fmt: skip
_LISTED: Final[dict[str, Any]] = {
    "sid": _SID, "cname": "lesson-7", "uid": "527841", "status": 8, "created_ms": 1780000000000,
    "started_ms": 1780000003200, "ended_ms": 1780000063200, "recorded_s": 58.6, "stored_s": 58.6, "own_store": True,
    "files": [_FILE],
}  # fmt: skip
_SEGMENT: Final = {
    "name": f"{_SID}_lesson-7_20260528202643200.ts", "state": "stored", "bytes": 450000,
    "md5": "e4d909c290d0fb1ca068ffaddf22cbd0", "start_s": 0.0, "duration_s": 6.0, "store": "primary",
}  # fmt: skip
_LINK: Final = {
    "token": "TOKEN", "until_s": 1780003600,
    "playlist": f"/v1/apps/APPID/recordings/{_SID}/play/{_SID}_lesson-7.m3u8?token=TOKEN",
    "files": [{"name": _FILE["name"], "path": f"/v1/apps/APPID/recordings/{_SID}/files/{_FILE['name']}?token=TOKEN"}],
}  # fmt: skip
_PLAYED: Final = "#EXTM3U\n…\n#EXTINF:6.000000,\nhttps://bucket.example.org/…_20260528202643200.ts?X-Amz-Signature=…\n"
_M3U8: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The playlist, its segments at addresses that need no keys",
        "content": {CONTENT_TYPE: {"example": _PLAYED}},
    }
}
_BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file", "content": {"application/octet-stream": {"example": "(bytes)"}}},
    206: {"description": "A part of it, by `Range`", "content": {"application/octet-stream": {}}},
    307: {"description": "Where the store itself gives it, without keys"},
    416: {"description": "Begins behind its end"},
}


@router.get(
    "/files",
    summary="List files by channel and time, newest recording first",
    responses={**documents.responses(), **documents.ok("One page", {"recordings": [_LISTED], "next": None})},
    openapi_extra=SECURED,
)
async def list_files(
    appid: App,
    run: Run,
    door: Door,
    cname: Annotated[str, Query(description="Only of this channel.", max_length=1_024)] = "",
    from_ms: Annotated[
        int | None, Query(description="Recordings started from here on, unix ms.", ge=0, le=2**53)
    ] = None,
    to_ms: Annotated[int | None, Query(description="Recordings started before, unix ms.", ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(description="How many recordings, 1 to 200.")] = 50,
    before: Annotated[str, Query(description="`next` of the page before.", pattern="^[0-9a-f]{0,32}$")] = "",
) -> JSONResponse:
    listed = await run.sql(door.list, appid, cname=cname, from_ms=from_ms, to_ms=to_ms, limit=limit, before=before)
    return answer(listed)


@router.get(
    "/recordings/{sid}/files",
    summary="One recording's files, its segments included",
    description="Also while it records: what is still being written says so, with its size so far.",
    responses={
        **documents.responses(e.WorkerNotFound),
        **documents.ok("Files, and a page of segments", _LISTED | {"segments": [_SEGMENT], "next": None}),
    },
    openapi_extra=SECURED,
)
async def files_of(
    appid: App,
    sid: Sid,
    run: Run,
    door: Door,
    limit: Annotated[int, Query(description="How many segments, 1 to 1000.")] = 1_000,
    after: Annotated[str, Query(description="`next` of the page before.", max_length=255)] = "",
) -> JSONResponse:
    return answer(await run.sql(door.of, appid, sid, after=after, limit=limit))


@router.get(
    "/recordings/{sid}/link",
    summary="A link with which a player may fetch this recording, and nothing else",
    description="Give its paths to a browser; they need no key until `until_s`.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The link", _LINK)},
    openapi_extra=SECURED,
)
async def link(appid: App, sid: Sid, run: Run, door: Door, for_s: ForS = 3_600) -> JSONResponse:
    return answer(await run.sql(door.link, appid, sid, for_s=for_s))


@router.get(
    "/recordings/{sid}/play/{name}",
    summary="A playlist as it is now, playable from a private bucket",
    description="Its segments stand at addresses signed by the store, or at this gateway for folders.",
    response_class=Response,
    responses={**documents.responses(e.WorkerNotFound, e.FileNotFound, e.StoreSealed), **_M3U8},
    openapi_extra=SECURED,
)
async def play(
    appid: Reader,
    sid: Sid,
    name: Name,
    run: Run,
    door: Door,
    token: Annotated[str, Query(max_length=1_024)] = "",
    for_s: ForS = 3_600,
) -> Response:
    text = await run.sql(door.playlist, appid, sid, name, for_s=for_s, token=token)
    return Response(text, media_type=CONTENT_TYPE, headers=ANYWHERE)


@router.post(
    "/recordings/{sid}/play/{name}",
    summary="The same, with keys of the customer's own store",
    description="For a recording whose keys were wiped when its last upload was proven. They are forgotten again.",
    response_class=Response,
    responses={**documents.responses(e.WorkerNotFound, e.FileNotFound), **_M3U8},
    openapi_extra=documents.body(ReadingKeys, {"accessKey": "KEY", "secretKey": "SECRET"}) | SECURED,
)
async def play_with_keys(
    request: Request, appid: App, sid: Sid, name: Name, run: Run, door: Door, for_s: ForS = 3_600
) -> Response:
    given, _ = await read(request, ReadingKeys)
    text = await run.sql(door.playlist, appid, sid, name, given.keys(), for_s=for_s)
    return Response(text, media_type=CONTENT_TYPE, headers=ANYWHERE)


@router.get(
    "/recordings/{sid}/files/{name}",
    summary="Download a file",
    response_class=Response,
    responses={**documents.responses(e.WorkerNotFound, e.FileNotFound, e.StoreSealed), **_BYTES},
    openapi_extra=SECURED,
)
async def download(request: Request, appid: Reader, sid: Sid, name: Name, run: Run, door: Door) -> Response:
    found = await run.sql(door.download, appid, sid, name)
    if found.url:
        return RedirectResponse(found.url, 307, headers=ANYWHERE)
    return await _streamed(request, run, door, (appid, sid), found)


@router.delete(
    "/recordings/{sid}/files",
    summary="Delete all files of an ended recording in the operator's own store",
    description="They go soon, the playlist first; the record stays and says so.",
    status_code=202,
    responses={
        **documents.responses(e.WorkerNotFound, e.InvalidOperation),
        **documents.ok("What is left", _LISTED | {"segments": [], "next": None}, 202),
    },
    openapi_extra=SECURED,
)
async def delete_all(appid: App, sid: Sid, run: Run, door: Door) -> JSONResponse:
    return answer(await run.sql(door.delete, appid, sid), status=202)


@router.delete(
    "/recordings/{sid}/files/{name}",
    summary="Delete one MP4 in the operator's own store",
    status_code=202,
    responses={
        **documents.responses(e.WorkerNotFound, e.FileNotFound, e.InvalidOperation),
        **documents.ok("What is left", _LISTED | {"segments": [], "next": None}, 202),
    },
    openapi_extra=SECURED,
)
async def delete_one(appid: App, sid: Sid, name: Name, run: Run, door: Door) -> JSONResponse:
    return answer(await run.sql(door.delete, appid, sid, name), status=202)


async def _streamed(request: Request, run: Runtime, door: Files, of: tuple[str, str], found: Download) -> Response:
    span = _span(request.headers.get("range", ""), found.size_bytes)
    headers = ANYWHERE | {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if span is None:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{found.size_bytes}"})
    start, end, partial = span
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size_bytes}"

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(start, end, PIECE_BYTES):
            yield await run.sql(door.piece, *of, found.key, at, min(end, at + PIECE_BYTES))

    headers["Content-Length"] = str(end - start)
    return StreamingResponse(pieces(), 206 if partial else 200, headers, media_type=found.content_type)


def _span(header: str, size_bytes: int) -> tuple[int, int, bool] | None:
    """[start, end) and whether it is a part; None: nothing of it is there. What is no single range is not asked for."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return 0, size_bytes, False
    first, last = match.groups()
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
    return (start, end, True) if start < end else None
