"""Round every request: an id, one log line without anything secret, and the last catch for what nobody expected."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.answers import NO_ROUTE
from models import logs
from models.vocabulary.errors import Internal

log = logging.getLogger(__name__)

HEADER: Final = b"x-request-id"
QUIET: Final = ("/healthz", "/readyz")
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RESOURCE: Final = re.compile(r"(/resourceid/[^/]{6})[^/]*")


class RequestLine:
    """`X-Request-Id` in and out (ours when there is none or a strange one), and a line a request. The path is logged
    without its query: tokens may stand there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER, b"")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
        began_s, status = time.perf_counter(), 0

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (HEADER, request_id)]
            await send(message)

        with logs.bound(request=request_id.decode()):
            try:
                await self._inner(scope)(scope, receive, stamped)
            except Exception:
                log.exception("unexpected")
                if status:
                    raise  # half an answer is out: the connection must break
                text = f"the farm failed; its log has the reason under request {request_id.decode()}"
                await JSONResponse(Internal(text).body(), 500)(scope, receive, stamped)
            finally:
                level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
                spent_ms = (time.perf_counter() - began_s) * 1000
                log.log(level, "%s %.300s → %s in %.0f ms", scope["method"], shown(scope["path"]), status, spent_ms)

    def _inner(self, scope: Scope) -> ASGIApp:
        # No name of ours has a NUL, and a database refuses it.
        return JSONResponse(NO_ROUTE, 404) if "\0" in scope["path"] else self._app


def shown(path: str) -> str:
    """A resourceId is a right to start: only its beginning is written down."""
    return _RESOURCE.sub(r"\1…", path)
