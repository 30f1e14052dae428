"""How long a recording waits for its next tenure, and when nobody tries any more."""

from __future__ import annotations

from typing import Final

#: Tenures lost in a row without one slice after which a recording is poisoned: it would kill every node it comes to.
POISONED_AFTER: Final = 5
#: Finalisers get as many tries again; then the recording ends as it lies.
GIVEN_UP_AFTER: Final = 2 * POISONED_AFTER

FIRST_MS: Final = 250
LONGEST_MS: Final = 8_000
#: No node had room, or none is up: nothing was lost by asking, ask again soon.
NO_ROOM_MS: Final = 1_000
#: From its start on a recording that no worker ever had waits so long for room: then the contract's callers give it up.
ROOM_WITHIN_MS: Final = 90_000


def after_deaths_ms(deaths: int) -> int:
    """Wait before the next tenure. The first successor goes at once: a dead host is no fault of the recording."""
    if deaths <= 1:
        return 0
    return min(LONGEST_MS, FIRST_MS << min(deaths - 2, 10))
