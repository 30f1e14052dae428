"""The end of a take: why it ends, and up to which tick it records. Of several reasons and of several ticks the first counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from models.vocabulary.channel import Closing

Reason = Literal["finish", "cut", "idle", "kicked", "token", "limit", "closed", "stdin"]
CLOSES: Final[Mapping[Closing, Reason]] = {
    Closing.CLOSED: "closed",
    Closing.KICKED: "kicked",
    Closing.EXPIRED: "token",
}


@dataclass(frozen=True, slots=True)
class Ending:
    reason: Reason
    head_90k: int


class End:
    """None each: nobody has told to end, nothing limits what is recorded."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.until_90k: int | None = None

    def because(self, reason: Reason) -> None:
        self.reason = self.reason or reason

    def at(self, tick_90k: int) -> None:
        self.until_90k = tick_90k if self.until_90k is None else min(self.until_90k, tick_90k)

    def ending(self, head_90k: int) -> Ending:
        return Ending(self.reason or "cut", head_90k)
