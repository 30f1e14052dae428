"""Which tenures have stopped to renew, by the leader's own monotonic clock. Pure.

Leases run out by the database's clock; when that goes back an hour, the dead hold theirs an hour longer. The number of
renewals cannot be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

Key = tuple[str, int]


class Watch:
    def __init__(self, *, patience_s: float, gap_s: float) -> None:
        """`patience_s`: unmoved for longer is stuck. `gap_s`: after a longer pause of our own looking, all begins anew:
        what we could not see proves nothing."""
        self._patience_s = patience_s
        self._gap_s = gap_s
        self._seen: dict[Key, tuple[int, float]] = {}
        self._looked_s: float | None = None

    def look(self, renewals: Mapping[Key, int], now_s: float) -> None:
        blind = self._looked_s is not None and now_s - self._looked_s > self._gap_s
        before = {} if blind else self._seen
        self._seen = {}
        for key, count in renewals.items():
            last = before.get(key)
            self._seen[key] = last if last is not None and last[0] == count else (count, now_s)
        self._looked_s = now_s

    def stuck(self, now_s: float) -> list[Key]:
        return [key for key, (_, since_s) in self._seen.items() if now_s - since_s > self._patience_s]

    def forget(self) -> None:
        """We do not lead any more, so we do not look."""
        self._seen = {}
        self._looked_s = None
