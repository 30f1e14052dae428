"""Full-jitter exponential back-off: hours of patience, no thundering herd."""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.2
MOST_S: Final = 30.0
#: A refusal by the customer's store is asked again more slowly: somebody has to mend it first.
REFUSED_S: Final = 15.0


def wait_s(attempt: int, chance: float, *, refused: bool = False) -> float:
    """Seconds before attempt `attempt` + 1; attempts count from 1, `chance` is uniform in [0, 1)."""
    most = min(MOST_S, FIRST_S * (1 << min(attempt, 20)))
    wait = FIRST_S / 2 + chance * most
    return max(wait, REFUSED_S * (0.5 + chance / 2)) if refused else wait
