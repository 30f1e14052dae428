"""Files of recordings: list, play, download, delete. With the customer's key, or by a link that is good for one recording."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from gateway import documents
from gateway.answers import answer
from gateway.auth import MAX_APPID, App, AppId, customer
from gateway.routes.cloud_recording import SECURED
from gateway.routes.parameters import NO_NUL, Before, Page, Run, Sid
from gateway.routes.reading import read
from gateway.runtime import Runtime
from gateway.wire import examples
from gateway.wire.body import Shape
from gateway.wire.files import ReadingKeys
from models.vocabulary import errors as e
from models.vocabulary.playlist import CONTENT_TYPE
from scheduler.files import LONGEST_LINK_S, Download, Files

router = APIRouter(prefix="/v1/apps/{appid}", tags=["Files"])
SHAPES: Final[list[type[Shape]]] = [ReadingKeys]

PIECE_BYTES: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
#: A link is its own right; no cookie and no key is ever sent along, so any page may use it.
ANYWHERE: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "private, no-store"}

Name = Annotated[str, Path(description="A file's name, without folders.", min_length=1, max_length=255)]
ForS = Annotated[int, Query(description="How long its addresses are good, in seconds; a week at most.")]
After = Annotated[str, Query(description="`next` of the page before.", max_length=255, pattern=NO_NUL)]
Segments = Annotated[int, Query(description="How many, 1 to 1000.")]
Given = documents.body(ReadingKeys, {"accessKey": "KEY", "secretKey": "SECRET"}) | SECURED


def _files(run: Run) -> Files:
    return Files(run.service.database, run.service.settings)


Door = Annotated[Files, Depends(_files)]


class Visitor(NamedTuple):
    """Who reads; addresses that are signed for him are good for no longer than `most_s`."""

    appid: str
    most_s: int


async def reader(
    request: Request,
    appid: AppId,
    sid: Sid,
    run: Run,
    door: Door,
    token: Annotated[str, Query(description="Of a link, instead of a key.", max_length=1_024)] = "",
) -> Visitor:
    """A customer, or the bearer of a link, which gives no right that outlives it."""
    if not token:
        return Visitor(await customer(request, appid, run), LONGEST_LINK_S)
    if not 0 < len(appid) <= MAX_APPID or not appid.isprintable():
        raise e.UnknownApp
    return Visitor(appid, await run.sql(door.admits, appid, sid, token))


Reader = Annotated[Visitor, Depends(reader)]

_M3U8: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The playlist, its segments at addresses that need no keys",
        "content": {CONTENT_TYPE: {"example": examples.PLAYED}},
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
    responses={**documents.responses(), **documents.ok("One page", {"recordings": [examples.LISTED], "next": None})},
    openapi_extra=SECURED,
)
async def list_files(
    appid: App,
    run: Run,
    door: Door,
    cname: Annotated[str, Query(description="Only of this channel.", max_length=1_024, pattern=NO_NUL)] = "",
    from_ms: Annotated[
        int | None, Query(description="Recordings started from here on, unix ms.", ge=0, le=2**53)
    ] = None,
    to_ms: Annotated[int | None, Query(description="Recordings started before, unix ms.", ge=0, le=2**53)] = None,
    limit: Page = 50,
    before: Before = "",
) -> JSONResponse:
    listed = await run.sql(door.list, appid, cname=cname, from_ms=from_ms, to_ms=to_ms, limit=limit, before=before)
    return answer(listed)


@router.get(
    "/recordings/{sid}/files",
    summary="One recording's files, its segments included",
    description="Also while it records: what is still being written says so, with its size so far. Segments of an individual recording come track by track.",
    responses={
        **documents.responses(e.WorkerNotFound),
        **documents.ok(
            "Files, and a page of segments", examples.LISTED | {"segments": [examples.SEGMENT], "next": None}
        ),
    },
    openapi_extra=SECURED,
)
async def files_of(
    appid: App,
    sid: Sid,
    run: Run,
    door: Door,
    track: Annotated[
        str, Query(description="Only segments of this track: `mix`, or `UID/video`.", max_length=128, pattern=NO_NUL)
    ] = "",
    limit: Segments = 1_000,
    after: After = "",
) -> JSONResponse:
    return answer(await run.sql(door.of, appid, sid, track=track, after=after, limit=limit))


@router.get(
    "/recordings/{sid}/snapshots",
    summary="One recording's snapshots, by user, in time order",
    description="Fetch one as a file, by its name.",
    responses={
        **documents.responses(e.WorkerNotFound),
        **documents.ok("A page", {"snapshots": [examples.SNAPSHOT], "next": None}),
    },
    openapi_extra=SECURED,
)
async def snapshots_of(
    appid: App,
    sid: Sid,
    run: Run,
    door: Door,
    uid: Annotated[str, Query(description="Only of this user.", max_length=128, pattern=NO_NUL)] = "",
    limit: Segments = 1_000,
    after: After = "",
) -> JSONResponse:
    return answer(await run.sql(door.snapshots, appid, sid, uid=uid, after=after, limit=limit))


@router.get(
    "/recordings/{sid}/link",
    summary="A link with which a player may fetch this recording, and nothing else",
    description="Give its paths to a browser; they need no key until `until_s`.",
    responses={**documents.responses(e.WorkerNotFound), **documents.ok("The link", examples.LINK)},
    openapi_extra=SECURED,
)
async def link(appid: App, sid: Sid, run: Run, door: Door, for_s: ForS = 3_600) -> JSONResponse:
    return answer(await run.sql(door.link, appid, sid, for_s=for_s))


@router.get(
    "/recordings/{sid}/play/{name}",
    summary="A playlist as it is now, playable from a private bucket",
    description="Its segments stand at addresses signed by the store, or at this gateway for folders.",
    response_class=Response,
    responses={**documents.responses(e.WorkerNotFound, e.FileNotFound, e.StoreSealed, e.FileInBackup), **_M3U8},
    openapi_extra=SECURED,
)
async def play(
    who: Reader,
    sid: Sid,
    name: Name,
    run: Run,
    door: Door,
    token: Annotated[str, Query(max_length=1_024)] = "",
    for_s: ForS = 3_600,
) -> Response:
    text = await run.outside(door.playlist, who.appid, sid, name, for_s=_at_most(for_s, who), token=token)
    return Response(text, media_type=CONTENT_TYPE, headers=ANYWHERE)


@router.post(
    "/recordings/{sid}/play/{name}",
    summary="The same, with keys of the customer's own store",
    description="For a recording whose keys were wiped when its last upload was proven. They are forgotten again.",
    response_class=Response,
    responses={**documents.responses(e.WorkerNotFound, e.FileNotFound, e.FileInBackup), **_M3U8},
    openapi_extra=Given,
)
async def play_with_keys(
    request: Request, appid: App, sid: Sid, name: Name, run: Run, door: Door, for_s: ForS = 3_600
) -> Response:
    given, _ = await read(request, ReadingKeys)
    text = await run.outside(door.playlist, appid, sid, name, given.keys(), for_s=for_s)
    return Response(text, media_type=CONTENT_TYPE, headers=ANYWHERE)


@router.get(
    "/recordings/{sid}/files/{name}",
    summary="Download a file",
    response_class=Response,
    responses={**documents.responses(e.WorkerNotFound, e.FileNotFound, e.StoreSealed, e.FileInBackup), **_BYTES},
    openapi_extra=SECURED,
)
async def download(
    request: Request, who: Reader, sid: Sid, name: Name, run: Run, door: Door, for_s: ForS = 300
) -> Response:
    found = await run.outside(door.download, who.appid, sid, name, for_s=_at_most(for_s, who))
    if found.url:
        return RedirectResponse(found.url, 307, headers=ANYWHERE)
    return await _streamed(request, run, door, (who.appid, sid), found)


@router.post(
    "/recordings/{sid}/files/{name}",
    summary="Where to download a file, with keys of the customer's own store",
    description="For a recording whose keys were wiped when its last upload was proven. They are forgotten again.",
    status_code=303,
    response_class=Response,
    responses={
        **documents.responses(e.WorkerNotFound, e.FileNotFound, e.InvalidOperation, e.FileInBackup),
        303: {"description": "`Location`: where the store itself gives it, without keys, for `for_s` seconds"},
    },
    openapi_extra=Given,
)
async def download_with_keys(
    request: Request, appid: App, sid: Sid, name: Name, run: Run, door: Door, for_s: ForS = 300
) -> Response:
    given, _ = await read(request, ReadingKeys)
    found = await run.outside(door.download, appid, sid, name, given.keys(), for_s=for_s)
    if not found.url:
        raise e.InvalidOperation("its store signs no addresses; get it without keys")
    return RedirectResponse(found.url, 303, headers=ANYWHERE)


@router.delete(
    "/recordings/{sid}/files",
    summary="Delete all files of an ended recording in the operator's own store",
    description="They go soon, the playlist first; the record stays and says so.",
    status_code=202,
    responses={
        **documents.responses(e.WorkerNotFound, e.InvalidOperation),
        **documents.ok("What is left", examples.LISTED | {"segments": [], "next": None}, 202),
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
        **documents.ok("What is left", examples.LISTED | {"segments": [], "next": None}, 202),
    },
    openapi_extra=SECURED,
)
async def delete_one(appid: App, sid: Sid, name: Name, run: Run, door: Door) -> JSONResponse:
    return answer(await run.sql(door.delete, appid, sid, name), status=202)


def _at_most(for_s: int, who: Visitor) -> int:
    """What is no time at all stays so, and is refused."""
    return for_s if for_s > LONGEST_LINK_S else min(for_s, who.most_s)


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
            yield await run.outside(door.piece, *of, found.found, at, min(end, at + PIECE_BYTES))

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
