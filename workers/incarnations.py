"""Incarnations: the recorder processes of one tenure, one after the other, and what their deaths say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from models.vocabulary import pipe
from models.vocabulary.errors import Poisoned
from workers.children import Nursery
from workers.process import Exited, Line, RecorderProcess

log = logging.getLogger(__name__)

#: A recorder that has not said it is alive for so long is frozen: it is killed and started again.
FROZEN_S: Final = 3.0
#: … but its first words may take longer: a new interpreter imports libav on a busy machine.
FIRST_WORDS_S: Final = 15.0
POISON_DEATHS: Final = 5
POISON_WITHIN_S: Final = 60.0
#: Before the 1st, 2nd … restart in a row.
RESTART_S: Final = (0.0, 0.2, 1.0, 2.0, 5.0)


class Incarnations:
    """`tell` gets what a process says and, last, its exit; it is called from other threads."""

    def __init__(
        self,
        nursery: Nursery,
        title: str,
        tell: Callable[[Line | Exited], None],
        *,
        now: Callable[[], float],
        tag: Mapping[str, object],
    ) -> None:
        self._nursery = nursery
        self._title = title
        self._tell = tell
        self._now = now
        self._tag = tag
        self._process: RecorderProcess | None = None
        self._heard_at = 0.0
        self._deaths: list[float] = []
        self._restart_at: float | None = None
        self.alive: pipe.Alive | None = None  # the newest sign of life
        self.last_words: pipe.Fault | None = None  # of the one that left because of it

    # -- the one that lives -------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Whether there is another one now; if not, it counts as a death."""
        try:
            self._process = RecorderProcess(self._nursery, self._title, self._arrived)
        except (OSError, TimeoutError) as error:
            log.error("no recorder could be started: %s", error, extra=self._tag)
            self.restart()
            return False
        self._heard_at, self.alive = self._now(), None
        return True

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def _arrived(self, happening: Line | Exited) -> None:
        """From another thread: it lives also while our supervision waits for the state and reads nothing."""
        if isinstance(happening, Line) and happening.process is self._process:
            self._heard_at = self._now()
        self._tell(happening)

    def says(self, process: RecorderProcess) -> bool:
        """Whether this is the one that counts."""
        return process is self._process  # else: the last words of one that has been replaced

    def left(self, process: RecorderProcess) -> bool:
        """Whether it was the one that counts. There is none now."""
        if process is not self._process:
            return False
        self._process = None
        return True

    def say(self, message: pipe.Message) -> None:
        if self._process is not None:
            self._process.say(message)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def kill_frozen(self) -> None:
        if self._process is not None and self._now() - self._heard_at > self._silence_s():
            log.warning("the recorder is frozen and is killed", extra=self._tag)
            self._process.kill()
            self._heard_at = self._now()

    @property
    def proves_itself(self) -> bool:
        """It lives, or is being started again."""
        return self._process is None or self._now() - self._heard_at < self._silence_s() + 1

    def _silence_s(self) -> float:
        return FIRST_WORDS_S if self.alive is None else FROZEN_S

    # -- the next one -------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """One died: the next one comes after a while, unless it `is_poisoned`."""
        now = self._now()
        self._deaths = [*(t for t in self._deaths if now - t < POISON_WITHIN_S), now]
        if not self.is_poisoned:
            self.restart_in(RESTART_S[len(self._deaths) - 1])

    def restart_in(self, wait_s: float) -> None:
        self.last_words = None
        self._restart_at = self._now() + wait_s

    @property
    def is_due(self) -> bool:
        """Whether the next one is to be started now; said once."""
        due = self._restart_at is not None and self._now() >= self._restart_at
        if due:
            self._restart_at = None
        return due

    @property
    def is_first(self) -> bool:
        """Nobody has died lately."""
        return not self._deaths

    @property
    def is_poisoned(self) -> bool:
        return len(self._deaths) >= POISON_DEATHS

    def forgive(self) -> None:
        """It has brought something: the deaths before count no more."""
        self._deaths.clear()

    def poisoned(self) -> pipe.Fault:
        """Why no other one is started."""
        why = f" The last one said: {self.last_words.text}" if self.last_words is not None else ""
        error = Poisoned((Poisoned.__doc__ or "") + why)
        log.error("%s", error.text, extra=self._tag)
        return pipe.Fault(code=error.code, scope=error.scope, retryable=False, text=error.text, fatal=True)
