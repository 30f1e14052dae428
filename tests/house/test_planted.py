"""What looks for planted secrets sees them, wherever they may stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.planted import CommandLines, in_logs

MARK = re.compile(r"sown-[\w-]+")


def test_a_secret_in_a_log_is_found_and_one_in_another_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "farm" / "logs").mkdir(parents=True)
    for name in ("log", "gateway.log", "up.stderr", "farm/logs/worker"):
        (tmp_path / name).write_text("a line\nkey=sown-key-1\n")
    (tmp_path / "script.json").write_text("sown-key-2")
    assert [line.removeprefix(f"{tmp_path}/") for line in in_logs(tmp_path, MARK)] == [
        f"{name}: sown-key-1" for name in ("farm/logs/worker", "gateway.log", "log", "up.stderr")
    ]


def test_a_secret_on_a_command_line_is_seen() -> None:
    lines = CommandLines(MARK, every_s=60)
    command = [sys.executable, "-c", "print(flush=True); input()", "sown-key"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline()  # it is no copy of this process any more
        lines.look()
    finally:
        child.communicate(b"\n", 20)
    assert lines.close() == {"a command line: sown-key"}


def test_a_test_that_logs_a_secret_fails(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text("def test_it():\n    print('planted' + '-key')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.planted", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "logged or printed: planted" in done.stdout
