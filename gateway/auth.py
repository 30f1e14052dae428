"""Who asks: HTTP Basic with a customer's key and secret, per app (contract §1); a bearer token for publishers."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

from fastapi import Depends, Path, Request

from gateway.answers import CredentialsMissing
from gateway.runtime import Runtime, runtime
from models.vocabulary.errors import RateLimited, Unauthorized, UnknownApp

MAX_HEADER: Final = 8_192
MAX_APPID: Final = 64
#: What the contract limits: its own calls. Records, jobs and notices are asked for otherwise.
LIMITED: Final = "/cloud_recording/"

AppId = Annotated[str, Path(description="The app's id.", examples=["5f3c0de0b4a14c2b9d2c4ad7c8d1c3b0"])]


async def customer(request: Request, appid: AppId, run: Annotated[Runtime, Depends(runtime)]) -> str:
    """The appid, once the caller has proven that he may use it."""
    key, secret = basic(request.headers.get("authorization", ""))
    if not 0 < len(appid) <= MAX_APPID or not appid.isprintable():
        raise UnknownApp
    per_s = await run.sql(run.service.authenticate, appid, key, secret)
    if LIMITED in request.url.path and not await run.limit.admits(appid, per_s):
        raise RateLimited
    return appid


def basic(header: str) -> tuple[str, str]:
    """Key and secret of an Authorization header. Raises `CredentialsMissing` or `Unauthorized`."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic" or not encoded or len(header) > MAX_HEADER:
        raise CredentialsMissing
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Unauthorized from None
    key, colon, secret = text.partition(":")
    if not colon or "\0" in text:
        raise Unauthorized
    return key, secret


def bearer(header: str) -> str:
    """The token of an Authorization header, judged by nobody yet. Raises `Unauthorized`."""
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("a bearer token is missing")
    return token.strip()


App = Annotated[str, Depends(customer)]
