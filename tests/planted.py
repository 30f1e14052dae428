"""Secrets that tests plant begin with `planted-`. During the whole run none may be seen: not in what a test logs or prints,
not in the log of any process that a test started, not in any process's command line.

A plugin of tests/conftest.py; the functions take the pattern, so that they can be tested with another.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

PLANTED: Final = re.compile(r"planted-[\w-]+")
#: Names of files that processes write their logs into.
LOGS: Final = ("log", "*.log", "*.stderr", "logs/*")
LOOK_EVERY_S: Final = 1.0
MAX_BYTES: Final = 20_000_000


def in_logs(folder: Path, pattern: re.Pattern[str] = PLANTED) -> list[str]:
    """`file: secret` of each that stands in a log below the folder."""
    found = set()
    for path in {path for name in LOGS for path in folder.rglob(name) if path.is_file() and not path.is_symlink()}:
        with path.open(errors="replace") as file:
            found |= {f"{path}: {secret}" for secret in pattern.findall(file.read(MAX_BYTES))}
    return sorted(found)


class CommandLines:
    """Looks at the command lines of this process's descendants until it is closed."""

    def __init__(self, pattern: re.Pattern[str] = PLANTED, every_s: float = LOOK_EVERY_S) -> None:
        self._pattern = pattern
        self._every_s = every_s
        self._over = threading.Event()
        self.seen: set[str] = set()
        self._thread = threading.Thread(target=self._watch, name="command lines", daemon=True)
        self._thread.start()

    def close(self) -> set[str]:
        self._over.set()
        self._thread.join(10)
        return self.seen

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            self.look()

    def look(self) -> None:
        for pid in _descendants(os.getpid()):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has ended meanwhile
            self.seen |= {f"a command line: {secret}" for secret in self._pattern.findall(line)}


def _descendants(pid: int) -> list[int]:
    """By /proc/PID/task/TID/children, which costs nothing for processes of others."""
    found, new = [], [pid]
    while new:
        children = [child for parent in new for child in _children(parent)]
        found += children
        new = children
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []  # it has ended, or the kernel does not tell


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that logs or prints a planted secret has failed, whatever it says."""
    report: pytest.TestReport = yield
    found = {secret for _, text in report.sections for secret in PLANTED.findall(text)}
    if found and not report.failed:
        report.outcome = "failed"
        report.longrepr = f"logged or printed: {', '.join(sorted(found))}"
    return report


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails behind the last test when one was."""
    lines = CommandLines()
    yield
    found = [*lines.close(), *in_logs(tmp_path_factory.getbasetemp())]
    assert not found, found
