"""The farm's process tree: each part in a session of its own, started and ended in order, none outliving the farm."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from models.vocabulary.errors import ReelyardError

PR_SET_CHILD_SUBREAPER: Final = 36
#: What a part gets to end in once somebody is in a hurry.
HURRIED_S: Final = 2.0
#: A recorder whose worker is gone closes its slice and leaves; so long we wait for that.
ORPHANS_S: Final = 6.0
POLL_S: Final = 0.1


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
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # its alone: may be secret
    vital: bool = True  # without it the farm ends


class Tree:
    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**environment, "REELYARD_FARM_PID": str(os.getpid())}
        self._running: list[tuple[Part, subprocess.Popen[bytes]]] = []

    def start(self, parts: Sequence[Part], *, patience_s: float = 60.0) -> None:
        """Start parts at once and wait until all are ready; raises `PartFailed` with the last line of a log."""
        _adopt_orphans()
        for part in parts:
            self._running.append((part, self._launch(part)))
        until = time.monotonic() + patience_s
        waiting = list(parts)
        while waiting := [part for part in waiting if not part.ready()]:
            if (dead := self.dead(vital=False)) is not None:
                raise PartFailed(f"the {dead} left by itself ({last_line(self._log(dead))}); see {self._log(dead)}")
            if time.monotonic() > until:
                name = waiting[0].name
                raise PartFailed(f"the {name} was not ready after {patience_s:.0f} s; see {self._log(name)}")
            time.sleep(POLL_S)

    def _launch(self, part: Part) -> subprocess.Popen[bytes]:
        log = os.open(self._log(part.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(log, "ab") as out:
            return subprocess.Popen(  # noqa: S603 - the farm's own commands
                [sys.executable, "-m", "farm.child", *part.argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**self._environment, **part.environment},
            )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int:
        return next(process.pid for part, process in self._running if part.name == name)

    def runs(self, name: str) -> bool:
        return any(part.name == name and process.poll() is None for part, process in self._running)

    def dead(self, *, vital: bool = True) -> str | None:
        """The name of a part, or of a vital one, that has left by itself."""
        asked = [(part, process) for part, process in self._running if part.vital or not vital]
        return next((part.name for part, process in asked if process.poll() is not None), None)

    def stop(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """End parts in the reverse order of their start, each given its time before it is killed; then their orphans."""
        for part, process in reversed(self._running):
            end(process, part, hurried)
        self._running.clear()
        see_off(belonging(f"REELYARD_FARM_PID={os.getpid()}"))


def _adopt_orphans() -> None:
    """Recorders of a worker that was killed become this process's children, so that their end can be waited for (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end(process: subprocess.Popen[bytes], part: Part, hurried: Callable[[], bool]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(part.stop_signal)
    began = time.monotonic()
    while process.poll() is None:
        waited_s = time.monotonic() - began
        if waited_s > part.stop_s or (hurried() and waited_s > HURRIED_S):
            process.kill()
            process.wait()
            return
        time.sleep(POLL_S)


def see_off(pids: Sequence[int], *, patience_s: float = ORPHANS_S) -> None:
    """Wait for adopted processes to leave; kill those that do not."""
    until = time.monotonic() + patience_s
    left = [pid for pid in pids if not _gone(pid)]
    while left and time.monotonic() < until:
        time.sleep(POLL_S)
        left = [pid for pid in left if not _gone(pid)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # not ours, or seen off already
        return not Path(f"/proc/{pid}").exists()


def belonging(mark: str) -> list[int]:
    """Other processes that were started with `NAME=value` in their environment, zombies left out (proc(5))."""
    wanted = mark.encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just left, or is another user's
            if int(folder.name) != os.getpid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else "its log is empty"
