"""Waits between tries to reach a channel again."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def steps(waits_s: tuple[float, ...]) -> Iterator[float]:
    """The waits, then the last one for ever."""
    yield from waits_s
    while True:
        yield waits_s[-1]


def jittered(chance: Callable[[], float], base_s: float, most_s: float) -> Iterator[float]:
    """Full jitter: anything up to a bound that doubles, so that those who lost the same server do not come back as one."""
    bound_s = base_s
    while True:
        yield chance() * bound_s
        bound_s = min(most_s, bound_s * 2)
