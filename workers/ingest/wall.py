"""The farm's time at an ingest, by which tokens are judged: the database's, as the node beside it last said."""

from __future__ import annotations

from collections.abc import Callable


class Wall:
    """Counted on by the monotonic clock, so that a step of this host's clock locks nobody out and lets nobody in. Until it was
    told anything (an ingest without a node beside it), this host's clock must do.
    """

    def __init__(self, now: Callable[[], float], host_s: Callable[[], float]) -> None:
        self._now = now
        self._host_s = host_s
        self._ahead_s: float | None = None

    def told(self, farm_s: float) -> None:
        self._ahead_s = farm_s - self._now()

    def __call__(self) -> float:
        """Unix seconds."""
        return self._host_s() if self._ahead_s is None else self._now() + self._ahead_s
