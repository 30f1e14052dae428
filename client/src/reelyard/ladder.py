"""When a call is tried again: the contract's best practices (§11) as a function of what went wrong. Pure.

Three ladders, each with its own position, so that their sum is bounded:

* lost: no answer came. Once more at the same host, then at the next: after 1, 3, 6 s.
* busy: 50x and, where `repeats_unfinished`, 206 with code 65: after 3, 6, 9 s (a query: 5, 10, 15, 30 s).
* limited: 429: after what `Retry-After` says, else after 1, 3, 6 s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from reelyard.errors import ApiError, NotCompleted, RateLimited, ReelyardError, ServerError, TransportError

LOST_S: Final = (1.0, 3.0, 6.0)
LIMITED_S: Final = (1.0, 3.0, 6.0)


class Trouble(Enum):
    LOST = "lost"
    BUSY = "busy"
    LIMITED = "limited"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Ladder:
    """How one verb is repeated. `repeats_unfinished`: repeating after 206/65 means the same as asking once."""

    busy_s: tuple[float, ...] = (3.0, 6.0, 9.0)
    repeats_unfinished: bool = True

    def trouble(self, error: ReelyardError) -> Trouble:
        match error:
            case TransportError():
                return Trouble.LOST
            case RateLimited():
                return Trouble.LIMITED
            case ServerError():
                return Trouble.BUSY
            case NotCompleted() if self.repeats_unfinished:
                return Trouble.BUSY
            case _:
                return Trouble.FINAL

    def rungs_s(self, trouble: Trouble) -> tuple[float, ...]:
        match trouble:
            case Trouble.LOST:
                return LOST_S
            case Trouble.BUSY:
                return self.busy_s
            case Trouble.LIMITED:
                return LIMITED_S
            case Trouble.FINAL:
                return ()


#: start with the same resourceId is one start; update and updateLayout replace, so twice is once.
COMMAND: Final = Ladder()
#: A query that fails says nothing about the recording: patience.
QUERY: Final = Ladder(busy_s=(5.0, 10.0, 15.0, 30.0))
#: A stop that is under way answers its repetition with code 49: 65 is handed to the caller.
STOP: Final = Ladder(repeats_unfinished=False)


@dataclass(slots=True)
class Climb:
    """Where one call stands on its ladder."""

    ladder: Ladder
    troubles: dict[Trouble, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        return self.troubles.get(Trouble.LOST, 0)

    def pause_s(self, error: ReelyardError) -> float | None:
        """How long to wait before the next try; None: there is none."""
        trouble = self.ladder.trouble(error)
        rung = self.troubles.get(trouble, 0)
        rungs_s = self.ladder.rungs_s(trouble)
        self.troubles[trouble] = rung + 1
        if rung >= len(rungs_s):
            return None
        asked_s = error.retry_after_s if isinstance(error, ApiError) else None
        if asked_s is None:
            return rungs_s[rung]
        return asked_s if trouble is Trouble.LIMITED else max(asked_s, rungs_s[rung])


def host(lost: int, hosts: int) -> int:
    """Which of `hosts` the next try asks, as a distance from the preferred one: it twice, then the others in turn."""
    if lost < 2 or hosts == 1:
        return 0
    return 1 + (lost - 2) % (hosts - 1)
