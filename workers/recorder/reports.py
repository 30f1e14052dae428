"""Reports: what a recorder tells its worker of how it fares. Each trouble is said once, until it is over."""

from __future__ import annotations

import logging
from typing import Literal

from models.vocabulary import pipe
from models.vocabulary.channel import TrackKind
from models.vocabulary.errors import ReelyardError
from models.vocabulary.states import Status
from workers.recorder.capture.reception import Change
from workers.recorder.link import Link

log = logging.getLogger(__name__)

Part = Literal["channel", "store"]


class Reports:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._ready: set[Part] = set()
        self._trouble = ""

    def starting(self) -> None:
        self._state(Status.STARTING)

    def ready(self, part: Part) -> None:
        """It works; said again, nothing happens."""
        if part not in self._ready:
            self._ready.add(part)
            self._state(Status.READY if len(self._ready) == 2 else Status.SOME_READY)

    def is_ready(self, part: Part) -> bool:
        return part in self._ready

    def trouble(self, error: ReelyardError) -> None:
        """It will be tried again."""
        kind = type(error).__name__  # its text names the file, and many files meet the same trouble
        if kind != self._trouble:
            self._trouble = kind
            self.fault(error)

    def no_trouble(self) -> None:
        self._trouble = ""

    def fault(self, error: ReelyardError, *, fatal: bool = False) -> None:
        log.warning("%s: %s", type(error).__name__, error.text)
        self._link.send(
            pipe.Fault(code=error.code, scope=error.scope, retryable=error.retryable, text=error.text, fatal=fatal)
        )

    def warning(self, text: str) -> None:
        self._link.send(pipe.Warn(text=text))

    def stream(self, change: Change, at_ms: int) -> None:
        kind: Literal["audio", "video"] = "audio" if change.kind is TrackKind.AUDIO else "video"
        self._link.send(pipe.Stream(uid=change.user, kind=kind, receiving=change.receiving, at_ms=at_ms))

    def _state(self, status: Status) -> None:
        self._link.send(pipe.State(status=status))
