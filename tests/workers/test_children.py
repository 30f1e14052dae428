"""Recorder processes: one always ready, none outlives its worker, and no secret where others may look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.vocabulary import pipe
from models.vocabulary.spec import FolderStore, Secrets
from tests.recorder.virtual import SID, scene, spec, user
from workers.children import Nursery, child_environment
from workers.spool import Spool

WORKER = """
import sys, threading
from workers.children import Nursery
child = Nursery().spawn()
child.stdin.write(open(sys.argv[1], "rb").read())
child.stdin.flush()
print(child.pid, flush=True)
for line in child.stdout: pass
"""


def until(true: Callable[[], object], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    it = Nursery()
    yield it
    it.close()


def test_the_spare_is_used_and_another_made_ready(nursery: Nursery) -> None:
    until(lambda: nursery._spare is not None)
    spare = nursery._spare
    child = nursery.spawn()
    assert child is spare
    until(lambda: nursery._spare not in (None, child))
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=15) == 0  # a spare that nobody needed


def test_a_dead_spare_is_not_handed_out(nursery: Nursery) -> None:
    until(lambda: nursery._spare is not None)
    spare = nursery._spare
    assert spare is not None
    spare.kill()
    spare.wait()
    child = nursery.spawn()
    assert child.pid != spare.pid
    assert child.poll() is None
    assert child.stdin is not None
    child.stdin.close()
    child.wait(timeout=15)


def test_a_machine_without_room_says_so_and_recovers(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers import children

    def full() -> children.Child:
        raise OSError(11, "Resource temporarily unavailable")

    until(lambda: nursery._spare is not None)
    with monkeypatch.context() as patch:
        patch.setattr(children, "start", full)
        first = nursery.spawn()  # the spare
        with pytest.raises(OSError, match="temporarily"):
            nursery.spawn()
    second = nursery.spawn()
    for child in (first, second):
        assert child.stdin is not None
        child.stdin.close()
        child.wait(timeout=15)


def test_secrets_of_the_worker_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REELYARD_DATABASE_URL", "REELYARD_BROKER_URL", "REELYARD_SECRET_KEYS"):
        monkeypatch.setenv(name, "a-secret")
    assert "a-secret" not in child_environment().values()


def begin(tmp_path: Path) -> pipe.Begin:
    spool = Spool.make(tmp_path / "spools", SID, "o" * 32)
    channel = scene(tmp_path, user("a"))
    return pipe.Begin(
        sid=SID, epoch=1, owner="o" * 32, spec=spec(channel, store=FolderStore(path="calls"), slice_s=6),
        secrets=Secrets(), opened_ms=round(time.time() * 1000), spool=str(spool.folder),
    )  # fmt: skip


def test_when_its_worker_is_killed_a_recorder_closes_its_slice_and_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELYARD_STORES_ROOT", str(tmp_path / "stores"))
    told = begin(tmp_path)
    (tmp_path / "begin").write_bytes(pipe.line(told))
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "begin")], stdout=subprocess.PIPE, env=child_environment()
    )
    assert worker.stdout is not None
    recorder = int(worker.stdout.readline())
    spool = Path(told.spool)
    until(lambda: list(spool.glob("*.part")))
    time.sleep(1)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    until(lambda: gone(recorder), within_s=6)
    assert not list(spool.glob("*.part"))
    kinds = [e.type for _, e in Spool(spool).read()]
    assert (kinds[:2], kinds[-2:]) == (["begun", "zero"], ["slice", "closed"])
    worker.stdout.close()


def test_a_recorder_whose_worker_died_before_it_was_up_does_not_stay(tmp_path: Path) -> None:
    environment = child_environment() | {"REELYARD_PARENT_PID": str(os.getpid() + 1)}
    child = subprocess.run(
        [sys.executable, "-m", "workers.recorder"], env=environment, capture_output=True, timeout=20, check=False
    )
    assert child.returncode == 1
    assert b"is gone" in child.stderr
