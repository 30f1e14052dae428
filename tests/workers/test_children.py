"""Recorder processes: born in no time, none outlives its worker, and no secret where others may look."""

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
from workers.children import Child, Nursery, child_environment
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


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except FileNotFoundError:
        return 0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    it = Nursery()
    yield it
    it.close()


def end(child: Child) -> int:
    child.stdin.close()
    return child.wait(timeout=15)


def test_children_are_born_in_no_time_once_their_mother_is_up(nursery: Nursery) -> None:
    assert nursery.warm(30)
    born = [nursery.spawn() for _ in range(10)]
    assert len({child.pid for child in born}) == 10
    assert {parent_of(child.pid) for child in born} == {parent_of(born[0].pid)}, "one mother, and not this process"
    assert parent_of(born[0].pid) != os.getpid()
    assert [end(child) for child in born] == [2] * 10  # nobody told them what to record


def test_how_a_child_ended_is_known(nursery: Nursery) -> None:
    child = nursery.spawn()
    assert child.poll() is None
    child.kill()
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert child.poll() == -signal.SIGKILL
    child.kill()  # its number may be another's by now: nothing happens


def test_when_the_mother_is_killed_her_children_go_on_and_another_takes_her_place(nursery: Nursery) -> None:
    first = nursery.spawn()
    mother = parent_of(first.pid)
    os.kill(mother, signal.SIGKILL)
    until(lambda: gone(mother))
    second = nursery.spawn()
    assert parent_of(second.pid) not in (mother, 0)
    assert first.poll() is None
    for child in (first, second):
        end(child)


def test_the_mother_leaves_with_the_nursery_and_her_children_stay_until_they_are_done() -> None:
    nursery = Nursery()
    child = nursery.spawn()
    mother = parent_of(child.pid)
    nursery.close()
    until(lambda: gone(mother))
    assert child.poll() is None
    end(child)


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
