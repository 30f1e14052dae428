"""WHIP (RFC 9725): publishers come by HTTP with an SDP offer and get an answer.

POST /whip/{appid}/{cname}/{uid} → 201 with the answer and the session's URL; DELETE of that URL ends it, PATCH brings
more candidates or restarts ICE. `GET /rooms` and `GET /healthz` are the farm's own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from models.tokens import Audience, verify_time, verify_whip
from models.vocabulary.channel import User
from models.vocabulary.errors import BadBody, BadParameter, Overloaded, ReelyardError, Unauthorized, WorkerNotFound
from workers.ingest.publisher import Patience, Publisher, close_all
from workers.ingest.room import MAX_PUBLISHERS, RoomName, Rooms
from workers.ingest.wall import Wall
from workers.webrtc import fragment
from workers.webrtc.tap import Drops

log = logging.getLogger(__name__)

#: Chromium's offer with every codec is some 7 KiB a section.
MAX_SDP_BYTES: Final = 64 << 10
_MAX_UID: Final = 64
_MAX_NAME: Final = 128
_RETRY_AFTER_S: Final = 2
_SDP_TYPE: Final = "application/sdp"


class Whip:
    """The publishers of this ingest."""

    def __init__(
        self,
        rooms: Rooms,
        keys: Sequence[bytes],
        now: Callable[[], float],
        wall_s: Wall,
        public_url: str = "",
        patience: Patience | None = None,
        drops: Drops | None = None,
    ) -> None:
        self._rooms = rooms
        self._keys = keys
        self._now = now
        self._wall_s = wall_s
        self._public_url = public_url.rstrip("/")
        self._patience = patience or Patience()
        self._drops = drops
        self._publishers: dict[str, Publisher] = {}

    @property
    def publishers(self) -> list[Publisher]:
        return list(self._publishers.values())

    def app(self) -> Starlette:
        sessions = "/whip/{path:path}"  # taken apart by us: a uid may have an encoded slash in it
        return Starlette(
            routes=[
                Route(sessions, _answering(self._publish), methods=["POST"]),
                Route(sessions, _answering(self._delete), methods=["DELETE"]),
                Route(sessions, _answering(self._patch), methods=["PATCH"]),
                Route(sessions, self._options, methods=["OPTIONS"]),
                Route("/rooms", _answering(self._list), methods=["GET"]),
                Route("/healthz", _answering(self._health), methods=["GET"]),
            ],
            middleware=[
                Middleware(
                    CORSMiddleware,
                    allow_origins=["*"],  # no cookies: a page can only use a token it was given
                    allow_methods=["POST", "DELETE", "PATCH", "OPTIONS"],
                    allow_headers=["Authorization", "Content-Type", "If-Match"],
                    expose_headers=["Location", "ETag", "Link"],
                )
            ],
        )

    async def tick(self) -> None:
        for publisher in self.publishers:
            await publisher.tick()

    async def expire(self) -> None:
        """Close who never connected or has fallen silent. Every quarter of a second."""
        overdue = [p for p in self.publishers if p.overdue()]
        for publisher in overdue:
            log.warning("publisher %s of %s %s", publisher.user.id, publisher.room.name.cname, publisher.overdue())
        await close_all(overdue)

    async def close(self) -> None:
        await close_all(self.publishers)

    async def _publish(self, request: Request) -> Response:
        name, uid = self._admitted(request)
        if _content_type(request) != _SDP_TYPE:
            return PlainTextResponse(f"the body must be {_SDP_TYPE}", 415)
        offer = await _body(request)
        if len(self._publishers) >= MAX_PUBLISHERS:
            raise Overloaded(f"this ingest has {MAX_PUBLISHERS} publishers already")
        room = self._rooms.enter(name)
        publisher = Publisher(room, User(uid), self._now, self._ended, self._patience, self._drops)
        self._publishers[publisher.id] = publisher
        try:
            answer = await publisher.answer(offer)
        except BaseException:
            await publisher.close()
            raise
        path = "/whip/" + "/".join(quote(part, safe="") for part in _session(publisher))
        headers = {"Location": self._public_url + path, "ETag": f'"{publisher.etag}"'}
        return Response(answer, 201, headers, media_type=_SDP_TYPE)

    async def _delete(self, request: Request) -> Response:
        await self._found(request).close()
        return Response(status_code=200)

    async def _patch(self, request: Request) -> Response:
        """RFC 9725 §4.3: which session a fragment is for is said by If-Match, and by its credentials."""
        publisher = self._found(request)
        if _content_type(request) != fragment.TYPE:
            return PlainTextResponse(f"the body must be {fragment.TYPE}", 415)
        wanted = request.headers.get("if-match", "")
        if not wanted:
            return PlainTextResponse("If-Match is missing: the session's ETag, or * to restart ICE", 428)
        if wanted not in ("*", f'"{publisher.etag}"'):
            return PlainTextResponse("this is not the ICE session any more", 412)
        theirs = fragment.parsed(await _body(request))
        if not publisher.restarts(theirs):
            await publisher.trickle(theirs)
            return Response(status_code=204)
        ours = fragment.rendered(await publisher.restart(theirs), *publisher.bundle)
        return Response(ours, 200, {"ETag": f'"{publisher.etag}"'}, media_type=fragment.TYPE)

    def _found(self, request: Request) -> Publisher:
        """By the session's URL, which nobody else knows."""
        parts = _parts(request)
        publisher = self._publishers.get(parts[-1])
        if publisher is None or parts != _session(publisher):
            raise WorkerNotFound("no such session")
        return publisher

    async def _list(self, request: Request) -> Response:
        if not _is_local(request):
            verify_whip(self._keys, _token(request), Audience.ROOMS, self._wall_s())
        rooms = [
            {"appid": r.name.appid, "cname": r.name.cname, "users": [u.id for u in r.users], "recorders": r.recorders}
            for r in self._rooms
        ]
        return JSONResponse({"rooms": rooms, "publishers": len(self._publishers)})

    async def _health(self, request: Request) -> Response:
        """The node beside us asks, and says what time it is by the farm's clock."""
        if "authorization" in request.headers:
            self._wall_s.told(verify_time(self._keys, _token(request)))
        return JSONResponse({"status": "ok"})

    async def _options(self, request: Request) -> Response:
        return Response(status_code=204, headers={"Accept-Post": _SDP_TYPE})

    def _admitted(self, request: Request) -> tuple[RoomName, str]:
        """The room and user of the path. Raises `Unauthorized` unless the token says the same."""
        parts = _parts(request)
        if len(parts) != 3:
            raise WorkerNotFound("an endpoint is /whip/{appid}/{cname}/{uid}")
        name, uid = RoomName(parts[0], parts[1]), parts[2]
        if len(uid) > _MAX_UID or any(len(part) > _MAX_NAME for part in name):
            raise BadParameter(f"a uid has at most {_MAX_UID} characters, appid and cname {_MAX_NAME}")
        claims = verify_whip(self._keys, _token(request), Audience.WHIP_INGEST, self._wall_s())
        if (claims.appid, claims.cname, claims.uid) != (*name, uid):
            raise Unauthorized("the token is for another room or user")
        return name, uid

    def _ended(self, publisher: Publisher) -> None:
        self._publishers.pop(publisher.id, None)
        self._rooms.tidy(publisher.room)


Handler = Callable[[Request], Awaitable[Response]]


def _answering(handler: Handler) -> Handler:
    """Errors of the table as answers; RFC 9725 §4.2 wants 503 with Retry-After from a server that is full."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Overloaded as error:
            return JSONResponse(error.body(), 503, {"Retry-After": str(_RETRY_AFTER_S)})
        except ReelyardError as error:
            return JSONResponse(error.body(), error.http)

    return answer


def _parts(request: Request) -> list[str]:
    """The path's parts behind /whip, each decoded by itself. There is at least one."""
    raw: bytes = request.scope["raw_path"]
    return [unquote(part) for part in raw.decode("ascii", "replace").split("/")[2:]]


def _session(publisher: Publisher) -> list[str]:
    return [*publisher.room.name, publisher.user.id, publisher.id]


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _token(request: Request) -> str:
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else request.query_params.get("token", "")
    if not token:
        raise Unauthorized("a token is missing")
    return token


async def _body(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SDP_BYTES:
            raise BadBody(f"an offer has at most {MAX_SDP_BYTES} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadBody("the offer is not UTF-8") from error


def _is_local(request: Request) -> bool:
    """From this host, and not through a proxy on it."""
    proxied = any(header in request.headers for header in ("forwarded", "x-forwarded-for", "x-real-ip"))
    return not proxied and request.client is not None and request.client.host in ("127.0.0.1", "::1")
