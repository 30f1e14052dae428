"""Links to a recording's files: tokens that a player may carry in an address, for one recording and for a while."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import jwt

from models.vocabulary.errors import Internal, Unauthorized

MAX_TOKEN_BYTES: Final = 1_024
_AUDIENCE: Final = "files"


def link_keys(secret_keys: str) -> tuple[bytes, ...]:
    """Signing keys from the setting `secret_keys`: the first signs, all verify. Raises `Internal` when there is none."""
    secrets = [part.strip() for part in secret_keys.split(",") if part.strip()]
    if not secrets:
        raise Internal("REELYARD_SECRET_KEYS is not set, so no link can be signed")
    return tuple(hmac.digest(secret.encode(), b"reelyard file links v1", hashlib.sha256) for secret in secrets)


def mint(key: bytes, appid: str, sid: str, *, until_s: int) -> str:
    return jwt.encode({"aud": _AUDIENCE, "appid": appid, "sid": sid, "exp": until_s}, key, algorithm="HS256")


def verify(keys: tuple[bytes, ...], token: str, appid: str, sid: str, now_s: float) -> int:
    """When it runs out, in unix seconds. Raises `Unauthorized` unless it is good for this recording, now."""
    for key in keys if len(token) <= MAX_TOKEN_BYTES else ():
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                options={"require": ["aud", "exp", "appid", "sid"], "verify_exp": False},  # by `now_s`, below
            )
        except jwt.PyJWTError:
            continue
        exp = claims["exp"]
        if (claims["appid"], claims["sid"]) == (appid, sid) and isinstance(exp, int) and now_s < exp:
            return exp
    raise Unauthorized("the link is not good for this file, or has run out")
