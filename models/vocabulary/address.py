"""An app's channel address, taken apart: which scheme, and for Janus where, which room, and who is who."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import parse_qsl, urlsplit

from models.vocabulary.errors import ChannelAddressInvalid
from models.vocabulary.pulls import SCHEME as PULL

#: What an address begins with, as operators are told.
SCHEMES: Final = ("whip:", "pull:", "scripted:", "janus+ws://", "janus+wss://")
SUPPORTED: Final = "whip:, pull:, scripted:FILE.json or janus+ws://HOST:PORT?rooms=string|number|map"
MAX_CHARS: Final = 2_000

_PORTS: Final = {"janus+ws": 8188, "janus+wss": 8989}
_MAX_ROOM_NUMBER: Final = 2**53

RoomId = int | str


@dataclass(frozen=True, slots=True)
class JanusAddress:
    """`janus+ws://HOST[:PORT][/PATH]?rooms=string|number|map[&room=CNAME:ROOM…][&users=id|display][&token=pin|api]`."""

    secure: bool
    host: str
    port: int
    path: str
    rooms: Literal["string", "number", "map"]
    mapped: tuple[tuple[str, RoomId], ...]
    users: Literal["id", "display"]  # which of a participant's fields is the contract's uid
    token: Literal["pin", "api"]  # what a request's token is: the room's pin, or one of Janus itself

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}{self.path}"

    def room_of(self, cname: str) -> RoomId:
        """Raises `ChannelAddressInvalid` when the channel's name means no room."""
        match self.rooms:
            case "string":
                return cname
            case "number":
                return _number(cname)
            case _:
                found = dict(self.mapped).get(cname)
                if found is None:
                    raise ChannelAddressInvalid(f"the app's channel address maps no room to {cname!r}")
                return found


def janus(address: str) -> JanusAddress:
    """Raises `ChannelAddressInvalid`."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ChannelAddressInvalid(f"the channel address is no URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise ChannelAddressInvalid("a Janus address is janus+ws://HOST:PORT?rooms=string|number|map")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ChannelAddressInvalid("a Janus address has no user, password or fragment")
    query = parse_qsl(parts.query, keep_blank_values=True)
    options = {name: value for name, value in query if name != "room"}
    if unknown := options.keys() - {"rooms", "users", "token"}:
        raise ChannelAddressInvalid(f"a Janus address has no option {min(unknown)!r}")
    rooms = _one_of(options, "rooms", ("string", "number", "map"))
    mapped = tuple(_mapped(value) for name, value in query if name == "room")
    if (rooms == "map") != bool(mapped):
        raise ChannelAddressInvalid("rooms=map goes with room=CNAME:ROOM, once for each channel")
    return JanusAddress(
        secure=parts.scheme == "janus+wss",
        host=host,
        port=port or _PORTS[parts.scheme],
        path=parts.path,
        rooms=cast(Literal["string", "number", "map"], rooms),
        mapped=mapped,
        users=cast(Literal["id", "display"], _one_of(options, "users", ("id", "display"))),
        token=cast(Literal["pin", "api"], _one_of(options, "token", ("pin", "api"))),
    )


def scheme_of(address: str) -> str:
    return address.partition(":")[0]


def is_janus(address: str) -> bool:
    return scheme_of(address) in _PORTS


def check(address: str) -> None:
    """Whether an app may have this address. Raises `ChannelAddressInvalid`; what a script holds is not looked at."""
    if len(address) > MAX_CHARS or not address.startswith(SCHEMES):
        raise ChannelAddressInvalid(f"the channel address must be {SUPPORTED}")
    if is_janus(address):
        janus(address)
    if scheme_of(address) == "pull" and address != PULL:
        raise ChannelAddressInvalid(f"{PULL} names nothing more: a channel's users and their URLs are told by the API")


def _one_of(options: dict[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = options.get(name, choices[0])
    if value not in choices:
        raise ChannelAddressInvalid(f"{name} must be one of {', '.join(choices)}")
    return value


def _mapped(pair: str) -> tuple[str, RoomId]:
    """`CNAME:ROOM`; a room of digits alone is a number, in quotes it is a string."""
    cname, colon, room = pair.rpartition(":")
    if not colon or not cname or not room:
        raise ChannelAddressInvalid("room must be CNAME:ROOM")
    if len(room) > 2 and room[0] == room[-1] == '"':
        return cname, room[1:-1]
    return cname, _number(room) if room.isdigit() else room


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < _MAX_ROOM_NUMBER:
        raise ChannelAddressInvalid(f"{text[:64]!r} is no room number of Janus; rooms=string or rooms=map may be meant")
    return int(text)
