"""A VideoRoom's list of participants as users. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from models.vocabulary.address import RoomId

log = logging.getLogger(__name__)

_MAX_UID: Final = 64
_MAX_NAME: Final = 128
#: More than anybody mixes; a room beyond is no meeting.
_MAX_PARTICIPANTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Participant:
    user: str  # the contract's uid; several participants may be one user
    name: str
    publishes: bool


def participants(listed: Iterable[Mapping[str, Any]], users_by: Literal["id", "display"]) -> dict[RoomId, Participant]:
    """By feed. Who has no name where names are the uids goes by his id."""
    found: dict[RoomId, Participant] = {}
    for entry in listed:
        number, name = entry.get("id"), str(entry.get("display") or "")
        if not isinstance(number, int | str) or isinstance(number, bool):
            continue
        user = (name if users_by == "display" else "") or str(number)
        if len(user) > _MAX_UID or len(found) >= _MAX_PARTICIPANTS:
            log.warning("a participant is left out: his uid is too long, or he is one too many")
            continue
        found[number] = Participant(user, name[:_MAX_NAME], bool(entry.get("publisher")))
    return found
