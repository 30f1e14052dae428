"""Processes as the kernel tells of them (proc(5)), and the farm's own started as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue

from tests.farm.backend import Backend

ROOT = Path(__file__).resolve().parents[2]
REELYARD = [sys.executable, "-m", "farm.cli"]
#: The whole farm on two busy cores.
UP_WITHIN_S = 60.0


def parent_of(pid: int) -> int:
    """0: there is no such process, or nobody has collected its exit yet."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state in "ZX" else int(parent)


def alive(pid: int) -> bool:
    return parent_of(pid) > 0


def descendants(pid: int) -> list[int]:
    parents = {int(p.name): parent_of(int(p.name)) for p in Path("/proc").glob("[0-9]*")}
    found, new = [], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def recorder_of(sid: str, worker: int) -> int:
    """The one recorder of this recording below a worker."""
    found = [pid for pid in descendants(worker) if name_of(pid) == f"rec {sid[:8]}"]
    assert len(found) == 1, f"{len(found)} recorders of {sid}"
    return found[0]


def eventually(true: Callable[[], object], what: str, within_s: float) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, f"not {what} after {within_s} s"
        time.sleep(0.05)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith("REELYARD_")}
    return kept | {"PYTHONPATH": str(ROOT), **(more or {})}


class Command:
    """A `reelyard` command in the foreground: its output line by line, its exit awaited."""

    def __init__(self, *args: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = cwd / f"{args[0]}.stderr"
        with self.log.open("ab") as err:
            self.process = subprocess.Popen(
                [*REELYARD, *args], cwd=cwd, env=environment(env), stdout=subprocess.PIPE, stderr=err, text=True
            )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, within_s: float) -> str:
        try:
            return self._lines.get(timeout=within_s)
        except Empty:
            raise AssertionError(f"no line after {within_s} s: {self.log.read_text()[-2000:]}") from None

    def rest(self) -> list[str]:
        return list(self._lines.queue)

    def interrupt(self) -> None:
        """Ctrl-C, as a person's terminal or a supervisor sends it to this process."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def exit_code(self, within_s: float) -> int:
        return self.process.wait(within_s)


class UpFarm(Command):
    """`reelyard up --json`, ready."""

    def __init__(self, folder: Path, *args: str, env: Mapping[str, str] | None = None) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(
            "up", "--json", "--dir", str(folder), "--port", "0", "--slice", "2", *args, cwd=folder.parent, env=env
        )
        self.folder = folder
        self.printed = self.line(UP_WITHIN_S)
        self.ready: dict[str, str] = json.loads(self.printed)
        self.store = Path(self.ready["store"])

    @property
    def backend(self) -> Backend:
        return Backend(*(self.ready[name] for name in ("url", "appid", "customer_key", "customer_secret")))

    @property
    def worker(self) -> int:
        return next(pid for pid in descendants(self.pid) if "workers.app" in command_of(pid))

    def close(self) -> None:
        """End it however it can be ended."""
        if self.process.poll() is None:
            self.interrupt()
            try:
                self.exit_code(60)
            except subprocess.TimeoutExpired:
                self.kill()


def run(
    *args: str, cwd: Path, env: Mapping[str, str] | None = None, within_s: float = 60, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*REELYARD, *args],
        cwd=cwd,
        env=environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
