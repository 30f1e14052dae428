"""Short-lived tokens between publisher, gateway, ingest and recorder: HS256, signed with keys derived from the farm's.

Every part that holds the farm's secret mints and verifies alike; nobody asks anybody.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import jwt

from models.vocabulary.errors import Internal, Unauthorized
from models.vocabulary.units import RAN_OUT

#: A token is a JWT of five short claims; what is longer is no token of ours.
MAX_TOKEN_BYTES = 4096


class Audience(StrEnum):
    """What a token is good for. One kind is never taken for another."""

    WHIP = "whip"  # a publisher's bearer at the gateway
    WHIP_INGEST = "whip-ingest"  # what the gateway's redirect carries to the ingest
    UNITS = "units"  # a recorder at an ingest's unit server; uid is the recorder's own
    CLOCK = "clock"  # a node, telling the ingest beside it the farm's time, which is the claim `exp`; names no room
    ROOMS = "rooms"  # the farm itself, asking an ingest for its rooms; names no room


@dataclass(frozen=True, slots=True)
class WhipClaims:
    appid: str
    cname: str
    uid: str
    expires_s: int


def whip_keys(secret_keys: str) -> tuple[bytes, ...]:
    """Signing keys from the setting `secret_keys`: the first signs, all verify. Raises `Internal` when there is none."""
    secrets = [part.strip() for part in secret_keys.split(",") if part.strip()]
    if not secrets:
        raise Internal("REELYARD_SECRET_KEYS is not set, so no token can be signed")
    return tuple(hmac.digest(secret.encode(), b"reelyard whip tokens v1", hashlib.sha256) for secret in secrets)


def mint_whip(key: bytes, appid: str, cname: str, uid: str, ttl_s: int, now_s: float, audience: Audience) -> str:
    claims = {"aud": audience.value, "appid": appid, "room": cname, "uid": uid, "exp": int(now_s) + ttl_s}
    return jwt.encode(claims, key, algorithm="HS256")


def verify_whip(keys: bytes | Sequence[bytes], token: str, audience: Audience, now_s: float) -> WhipClaims:
    """The claims of a good token. Raises `Unauthorized`, which says what is wrong but never the token."""
    if len(token) > MAX_TOKEN_BYTES:
        raise Unauthorized("the token is too long")
    candidates = (keys,) if isinstance(keys, bytes) else keys
    failure = "there is no key to verify the token with"
    for key in candidates:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["HS256"],
                audience=audience.value,
                options={"require": ["aud", "exp", "appid", "room", "uid"], "verify_exp": False},  # by `now_s`, below
            )
        except jwt.PyJWTError as error:
            failure = f"the token is not valid here ({type(error).__name__})"
            continue
        return _claims(claims, now_s)
    raise Unauthorized(failure)


def mint_time(key: bytes, now_s: float) -> str:
    return mint_whip(key, "", "", "", 0, now_s, Audience.CLOCK)


def verify_time(keys: bytes | Sequence[bytes], token: str) -> int:
    """The unix second that it tells. Raises `Unauthorized`."""
    return verify_whip(keys, token, Audience.CLOCK, now_s=0).expires_s


def _claims(claims: dict[str, object], now_s: float) -> WhipClaims:
    appid, cname, uid, expires_s = claims["appid"], claims["room"], claims["uid"], claims["exp"]
    if not (isinstance(appid, str) and isinstance(cname, str) and isinstance(uid, str) and isinstance(expires_s, int)):
        raise Unauthorized("the token's claims are malformed")
    if now_s >= expires_s:
        raise Unauthorized(RAN_OUT)
    return WhipClaims(appid, cname, uid, expires_s)
