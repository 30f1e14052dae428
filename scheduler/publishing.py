"""How a publisher gets into a WHIP room: a token from the app's backend, and a redirect to the ingest that holds the room.

Browsers drop `Authorization` on a redirect to another origin, so the address carries a short-lived token of its own.
Tokens are judged by the database's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from sqlalchemy.orm import Session

from models import tokens
from models.database import Database, now_ms
from models.repositories import apps, nodes
from models.tokens import Audience
from models.vocabulary.errors import BadParameter, NoWorkers, Unauthorized
from scheduler import dispatch, rooms, rules

#: A browser follows a redirect at once.
REDIRECT_TTL_S: Final = 30
MAX_UID: Final = 64


@dataclass(frozen=True, slots=True)
class Ticket:
    token: str = field(repr=False)
    expires_s: int
    path: str  # where to POST the offer, at this gateway


def mint(database: Database, keys: Sequence[bytes], appid: str, cname: str, uid: str, ttl_s: int) -> Ticket:
    _check(cname, uid)
    with database.unit() as session:
        _check_channel(session, appid)
        now_s = now_ms(session) // 1000
    token = tokens.mint_whip(keys[0], appid, cname, uid, ttl_s, now_s, Audience.WHIP)
    return Ticket(token, now_s + ttl_s, path(appid, cname, uid))


def admit(database: Database, keys: Sequence[bytes], appid: str, cname: str, uid: str, token: str) -> str:
    """The room's address at its ingest. Raises `Unauthorized` or `NoWorkers`."""
    _check(cname, uid)
    with database.unit() as session:
        now_s = now_ms(session) / 1000
        claims = tokens.verify_whip(keys, token, Audience.WHIP, now_s)
        if (claims.appid, claims.cname, claims.uid) != (appid, cname, uid):
            raise Unauthorized("the token is for another room or user")
        _check_channel(session, appid)
        node = nodes.get(session, rooms.room(session, appid, cname, dispatch.seats(session)))
        if node is None:
            raise NoWorkers
    short = tokens.mint_whip(keys[0], appid, cname, uid, REDIRECT_TTL_S, now_s, Audience.WHIP_INGEST)
    return f"{node.ingest_url.rstrip('/')}{path(appid, cname, uid)}?token={short}"


def path(appid: str, cname: str, uid: str) -> str:
    return "/whip/" + "/".join(quote(part, safe="") for part in (appid, cname, uid))


def _check(cname: str, uid: str) -> None:
    rules.check_cname(cname)
    if not 0 < len(uid) <= MAX_UID or not uid.isprintable():
        raise BadParameter(f"uid must have 1 to {MAX_UID} printable characters")


def _check_channel(session: Session, appid: str) -> None:
    app = apps.get(session, appid)
    if not rooms.is_whip(app.channel):
        raise BadParameter("this app's channels are not WHIP rooms")
