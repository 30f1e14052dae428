"""How a store does, told by its answers. A store that is down is asked by one try at a time, ever more rarely: after six
hours without it thousands of slices wait, and together they must not be the next thing that keeps it down.
"""

from __future__ import annotations

from typing import Final

from workers.recorder.upload.backoff import wait_s

#: So many failures in a row, and no success between, are no longer chance.
STORM_AFTER: Final = 4


class Weather:
    """Times are seconds of one clock, given by the caller."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._since_s: float | None = None  # when the first of them began
        self._next_s = 0.0
        self._flying = 0

    @property
    def is_stormy(self) -> bool:
        return self._in_a_row >= STORM_AFTER

    def may_try(self, now_s: float) -> bool:
        return not self.is_stormy or (self._flying == 0 and now_s >= self._next_s)

    @property
    def next_s(self) -> float:
        """While it is stormy: not before this."""
        return self._next_s

    def bad_for_s(self, now_s: float) -> float:
        """How long nothing has succeeded; 0 after a success."""
        return 0.0 if self._since_s is None else now_s - self._since_s

    def clear(self) -> None:
        """Something has changed (new keys): what was learned holds no more."""
        self._in_a_row, self._since_s = 0, None

    def begin(self) -> None:
        self._flying += 1

    def end(self) -> None:
        self._flying -= 1

    def succeeded(self) -> None:
        self.clear()

    def failed(self, began_s: float, now_s: float, chance: float, *, refused: bool) -> None:
        self._in_a_row += 1
        self._since_s = began_s if self._since_s is None else self._since_s
        self._next_s = now_s + wait_s(self._in_a_row, chance, refused=refused)
