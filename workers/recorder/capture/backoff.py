"""Waits between tries to reach a channel again."""

from __future__ import annotations

from collections.abc import Iterator


def steps(waits_s: tuple[float, ...]) -> Iterator[float]:
    """The waits, then the last one for ever."""
    yield from waits_s
    while True:
        yield waits_s[-1]
