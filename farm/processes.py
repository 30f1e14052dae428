"""The farm's process tree: each part in a session of its own, started and ended in order, none outliving the farm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.vocabulary.errors import ReelyardError


class PartFailed(ReelyardError):
    """A part of the farm did not come up."""

    code, reason = 9500, "farm"


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the farm."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 15.0


class Tree:
    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**environment, "REELYARD_FARM_PID": str(os.getpid())}
        self._running: list[tuple[Part, subprocess.Popen[bytes]]] = []

    def start(self, part: Part, *, patience_s: float = 30.0) -> None:
        """Start a part and wait until it is ready; raises `PartFailed` with the end of its log."""
        log = self._logs / f"{part.name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 - the farm's own commands
                [sys.executable, "-m", "farm.child", *part.argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment,
            )
        self._running.append((part, process))
        until = time.monotonic() + patience_s
        while not part.ready():
            if process.poll() is not None:
                raise PartFailed(f"{part.name} left with code {process.returncode}; {log} ends:\n{tail(log)}")
            if time.monotonic() > until:
                raise PartFailed(f"{part.name} was not ready after {patience_s:.0f} s; {log} ends:\n{tail(log)}")
            time.sleep(0.05)

    def pid(self, name: str) -> int:
        return next(process.pid for part, process in self._running if part.name == name)

    def dead(self) -> str | None:
        """The name of a part that has left by itself."""
        return next((part.name for part, process in self._running if process.poll() is not None), None)

    def stop(self, names: Sequence[str] | None = None) -> None:
        """End parts in the reverse order of their start, each given its time before it is killed."""
        for part, process in reversed(self._running):
            if names is None or part.name in names:
                end(process, part)
        self._running = [(p, c) for p, c in self._running if c.poll() is None]


def end(process: subprocess.Popen[bytes], part: Part) -> None:
    if process.poll() is not None:
        return
    process.send_signal(part.stop_signal)
    try:
        process.wait(part.stop_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
