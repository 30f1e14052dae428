"""Reading a request's body into a shape."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.wire.body import MAX_BODY_BYTES, Shape, Warnings, parse, shape
from models.vocabulary.errors import BadBody

M = TypeVar("M", bound=Shape)


async def read(request: Request, model: type[M]) -> tuple[M, Warnings]:
    """The body as a `model`, and what is to be said about it. Any Content-Type is taken; what counts is the JSON."""
    warnings = Warnings()
    request.state.said = warnings.texts  # an error's answer tells them, too
    found = parse(await _bytes(request), warnings)
    if isinstance(given := found.get("clientRequest"), dict):
        warnings.client_request = given
    return shape(model, found, warnings), warnings


async def _bytes(request: Request) -> bytes:
    """The body, never more than the bound in memory."""
    taken = bytearray()
    try:
        async for chunk in request.stream():
            taken += chunk
            if len(taken) > MAX_BODY_BYTES:
                raise BadBody(f"the body has more than {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        raise BadBody("the caller left before the body was whole") from None
    return bytes(taken)
