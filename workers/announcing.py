"""What is recorded here, said to whoever watches Celery's events: RECORDING, a state of its own.

Said again every few seconds, with all that there is to show: a Flower that is started in the middle of a recording
has missed the events of its beginning. A view's convenience, so that what goes wrong here never matters to a recording.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from celery import Celery

log = logging.getLogger(__name__)

EVENT: Final = "task-recording"
AGAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A running task, as an event names it."""

    uuid: str
    name: str
    args: str
    begun_s: float  # Unix

    def fields(self) -> dict[str, Any]:
        begun = {"received": self.begun_s, "started": self.begun_s}
        return {"uuid": self.uuid, "name": self.name, "args": self.args, **begun}


class Announcer:
    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._running: dict[str, Shown] = {}
        self._lock = threading.Lock()
        self._news = threading.Event()
        threading.Thread(target=self._announce, name="announcer", daemon=True).start()

    def begin(self, shown: Shown) -> None:
        with self._lock:
            self._running[shown.uuid] = shown
        self._news.set()

    def end(self, uuid: str) -> None:
        with self._lock:
            self._running.pop(uuid, None)

    def _announce(self) -> None:
        while True:
            self._news.wait(AGAIN_S)
            self._news.clear()
            with self._lock:
                running = list(self._running.values())
            if running:
                self._say(running)

    def _say(self, running: list[Shown]) -> None:
        try:
            with self._app.events.default_dispatcher(hostname=self._hostname) as events:
                for shown in running:
                    events.send(EVENT, **shown.fields())
        except Exception as error:  # kombu lets each transport's own errors through; the next round says it again
            log.debug("not announced: %s", error)


@cache
def announcer(app: Celery, hostname: str) -> Announcer:
    """The process's one."""
    return Announcer(app, hostname)
