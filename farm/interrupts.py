"""Ctrl-C, once and twice: the first ends things in order, every further one hurries."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final, Self

_ALWAYS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Within, the first SIGINT, SIGTERM or SIGHUP raises `KeyboardInterrupt`; none does after `ending` was called.

    For the main thread. A script's `reelyard up &` starts with SIGINT ignored, and is to end on it all the same; but
    `nohup` means what it says.
    """

    def __init__(self) -> None:
        self._raises = True
        self._more = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        heard = [*_ALWAYS] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*_ALWAYS, signal.SIGHUP]
        for number in heard:
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() has returned

    def ending(self) -> None:
        """From here on signals are counted only."""
        self._raises = False

    def hurried(self) -> bool:
        """Whether somebody has asked again."""
        return self._more > 0

    def _heard(self, _signal: int, _frame: FrameType | None) -> None:
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
        self._more += 1
