"""Idleness: for how long nobody has been there. Pure: times in, seconds out.

On the recording clock it survives a change of tenure; before there is one, and until it is known who is there, it counts
from when this take came.
"""

from __future__ import annotations

from models.vocabulary.ticks import seconds, ticks


class Idleness:
    def __init__(self, last_user_90k: int | None) -> None:
        self.last_user_90k = last_user_90k  # on hold it goes along: no idle time runs
        self._since_s = 0.0
        self._looked_at_s = 0.0
        self._synced = False

    def came(self, now_s: float) -> None:
        """The take is in the channel."""
        self._since_s = self._looked_at_s = now_s

    def synced(self) -> None:
        """It is known who is there."""
        self._synced = True

    def was_held(self, from_90k: int, now_90k: int) -> None:
        """The recording has been on hold since that edge: nobody was idle then."""
        if self.last_user_90k is not None:
            idle_90k = max(0, from_90k - self.last_user_90k)
            self.last_user_90k = max(self.last_user_90k, now_90k - idle_90k)

    def look(self, now_s: float, now_90k: int | None, *, present: bool, held: bool) -> float | None:
        """Idle seconds until now; None: somebody is there, or no idle time runs. `now_90k` is None before the recording
        clock has a zero.
        """
        passed_s, self._looked_at_s = now_s - self._looked_at_s, now_s
        if held:
            self._since_s += passed_s
            if self.last_user_90k is not None:
                self.last_user_90k += ticks(passed_s)
        if present:
            self._since_s = now_s
            if now_90k is not None:
                self.last_user_90k = now_90k
        if present or held:
            return None
        if now_90k is not None and self.last_user_90k is not None and self._synced:
            return seconds(now_90k - self.last_user_90k)
        return now_s - self._since_s
