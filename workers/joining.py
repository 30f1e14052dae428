"""How a tenure reaches its channel: the app's address resolved, identity and credentials minted for this tenure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories import nodes, rooms
from models.tokens import Audience, mint_whip, whip_keys
from models.vocabulary.address import is_janus
from models.vocabulary.errors import ChannelUnreachable
from models.vocabulary.spec import RecordingSpec

#: A recorder reconnects to its ingest for as long as the recording lasts; the contract's longest is 30 days.
UNITS_TOKEN_S: Final = 31 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Joining:
    address: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


def join(session: Session, spec: RecordingSpec, secret_keys: str, channel_token: str = "") -> Joining:
    """`channel_token`: what the request brought for its channel. Raises `ChannelUnreachable` when no live ingest holds the room."""
    if is_janus(spec.channel):
        return Joining(spec.channel, {"token": channel_token} if channel_token else {})
    if not spec.channel.startswith("whip:"):
        return Joining(spec.channel)
    place = rooms.find(session, spec.appid, spec.cname)
    holder = next((n for n in nodes.live(session) if place is not None and n.name == place.node), None)
    if holder is None or not holder.ingest_units:
        raise ChannelUnreachable("the room's ingest is not up")
    key = whip_keys(secret_keys)[0]
    token = mint_whip(key, spec.appid, spec.cname, spec.uid, UNITS_TOKEN_S, now_ms(session) / 1000, Audience.UNITS)
    return Joining(f"whip:{holder.ingest_units}", {"token": token})
