"""What goes out: JSON bodies, the warnings' header, and one handler for every error."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.vocabulary.errors import (
    AllocateTimedOut,
    BadParameter,
    FileInBackup,
    ReelyardError,
    StartTimedOut,
    StateUnavailable,
    Unauthorized,
)

log = logging.getLogger(__name__)

WARNING_HEADER: Final = "X-Reelyard-Warning"
MAX_HEADER: Final = 2_000
REALM: Final = {"WWW-Authenticate": 'Basic realm="reelyard", charset="UTF-8"'}
NO_ROUTE: Final = {"message": "no Route matched with those values"}
#: acquire and start have words of their own for a state that does not answer (contract §2).
AWAY: Final[Mapping[str, type[StateUnavailable]]] = {"acquire": AllocateTimedOut, "start": StartTimedOut}
#: A file may be out of the backup store by then.
AGAIN_S: Final = 30
NO_HEADER: Final = {"message": "Unauthorized"}


class CredentialsMissing(Exception):
    """The request has no Authorization header that could be read."""


def answer(content: Mapping[str, Any], *, status: int = 200, warnings: Iterable[str] = ()) -> JSONResponse:
    response = JSONResponse(dict(content), status)
    if header := warning_header(warnings):
        response.headers[WARNING_HEADER] = header
    return response


def warning_header(warnings: Iterable[str]) -> str:
    """One line of ASCII, bounded."""
    text = "; ".join(warnings).encode("ascii", "backslashreplace").decode("ascii")
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= MAX_HEADER else f"{text[: MAX_HEADER - 3]}..."


def error_answer(
    error: ReelyardError, *, extra: Mapping[str, Any] | None = None, warnings: Iterable[str] = ()
) -> JSONResponse:
    """`extra` stands beside code and reason: a start that is answered 201 or 206 tells its sid."""
    response = answer(error.body() | dict(extra or {}), status=error.http, warnings=warnings)
    if isinstance(error, Unauthorized):
        response.headers.update(REALM)
    if isinstance(error, FileInBackup):
        response.headers["Retry-After"] = str(AGAIN_S)
    return response


def install(app: FastAPI) -> None:
    """Whatever goes wrong, the caller gets one of the contract's bodies and never a bare 422. What nobody expected is
    caught by `middleware.RequestLine`."""

    @app.exception_handler(ReelyardError)
    async def _known(request: Request, error: ReelyardError) -> JSONResponse:
        if isinstance(error, StateUnavailable):
            error = AWAY.get(request.url.path.rpartition("/")[2], type(error))(error.text)
        if error.http >= 500:
            log.warning("answered %s/%s: %s", error.http, error.code, error.text)
        return error_answer(error, warnings=getattr(request.state, "said", ()))

    @app.exception_handler(CredentialsMissing)
    async def _no_credentials(_request: Request, _error: CredentialsMissing) -> JSONResponse:
        return JSONResponse(NO_HEADER, 401, headers=REALM)

    @app.exception_handler(RequestValidationError)
    async def _shape(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return error_answer(BadParameter(f"{first['loc'][-1]}: {str(first['msg']).lower()}"))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code in (404, 405):
            return JSONResponse(NO_ROUTE, 404)
        return JSONResponse({"message": str(error.detail)}, error.status_code, headers=error.headers)
