"""The ladder's numbers: how long a job waits before which call. Milliseconds; each from the best-practice document or,
where it is silent, ours and said so."""

from __future__ import annotations

from typing import Final

#: start on 50x and 206/65, three times; then another UID. Ours: acquire likewise, and stop (which goes on at 9 s).
START_MS: Final = (3_000, 6_000, 9_000)
#: No answer at all: once more on the same domain, then on the other one.
DOMAIN_MS: Final = (1_000, 3_000, 6_000)
#: The failure in a row at which the other domain is taken.
OTHER_DOMAIN_AT: Final = 2
#: From sid to the first query; from then on doubled, below maxIdleTime.
CONFIRM_FIRST_MS: Final = 5_000
CONFIRM_LONGEST_MS: Final = 30_000  # ours
#: From sid: without status 4 or 5 it counts as not started.
CONFIRM_WITHIN_MS: Final = 90_000
PERIOD_MS: Final = 60_000
#: ±, so that jobs that began together do not ask together. Ours.
PERIOD_JITTER_MS: Final = 6_000
#: From the confirmation to the query that asks for the playlist's name; the next one is a period later.
PLAYLIST_MIX_MS: Final = 15_000
PLAYLIST_OTHER_MS: Final = 60_000
#: Query said 404: asked again three times.
MISSING_MS: Final = (5_000, 10_000, 15_000)
#: Query said 50x: nobody knows; asked again, from the fourth time on every 30 s.
UNKNOWN_MS: Final = (5_000, 10_000, 15_000, 30_000)
#: How often another service may fail to answer for a record that it may not have. Ours.
RECORD_TRIES: Final = 4
#: From the wish to end: without a proof of the end the job fails. Ours; a stop itself takes 20 s at most.
STOP_WITHIN_MS: Final = 180_000
#: No job holds more attempts. Ours.
MAX_ATTEMPTS: Final = 100
#: Names that an attempt keeps.
MAX_FILES: Final = 200


def rung(waits: tuple[int, ...], tries: int) -> int:
    """The wait after `tries` + 1 failures; the last one repeats."""
    return waits[min(tries, len(waits) - 1)]


def confirming_ms(tries: int, max_idle_ms: int) -> int:
    """After the first query: 5, 10, 20, 30 s, always below maxIdleTime."""
    below = max(1_000, max_idle_ms - 1_000)
    return min(CONFIRM_FIRST_MS << min(tries, 8), CONFIRM_LONGEST_MS, below)


def period_ms(chance: float) -> int:
    """`chance` in [0, 1)."""
    return PERIOD_MS - PERIOD_JITTER_MS + round(2 * PERIOD_JITTER_MS * chance)


def playlist_ms(mode: str) -> int:
    return PLAYLIST_MIX_MS if mode == "mix" else PLAYLIST_OTHER_MS
