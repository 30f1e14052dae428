"""A recorder that is to take over says that it can, as soon as some store would take its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from models.vocabulary.errors import StorageError, StoreUnavailable
from models.vocabulary.spec import Backup, FolderStore, StoreKeys
from models.vocabulary.states import Role, Status
from stores.memory import Memory
from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder.clock import VirtualClock

T = TypeVar("T")

#: The recording began 6 s ago.
BEGUN = {"t0_ms": 1_767_225_600_000, "resume_at_90k": 540_000, "opened_ms": 1_767_225_594_000}


def ready_at(
    tmp_path: Path, *, back_s: float, backup: Backup | None, role: Role = Role.SUCCESSOR, within_s: float = 12
) -> float | None:
    """When it says so, while the customer's store answers from `back_s` on. None: not in that time."""
    clocks: list[VirtualClock] = []
    said: list[float] = []

    def faults(operation: str, _key: str) -> StorageError | None:
        return StoreUnavailable("away") if not clocks or clocks[0].now() < back_s else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)
        began_s = clock.now()
        while not said:
            await clock.sleep_until(clock.now() + 0.5)
            if Status.READY in run.keeper.statuses:
                said.append(clock.now() - began_s)

    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=6 + within_s)), Memory(faults))
    run.record(act, role=role, backup=backup, **BEGUN)
    return said[0] if said else None


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    return Backup(address=FolderStore(path=str(tmp_path / "backup")), keys=StoreKeys(), after_s=60)


@pytest.mark.parametrize("role", [Role.SUCCESSOR, Role.STANDBY])
def test_while_the_customers_store_is_away_the_backup_store_will_do(tmp_path: Path, backup: Backup, role: Role) -> None:
    at_s = ready_at(tmp_path, back_s=11, backup=backup, role=role)
    assert at_s is not None and at_s < 2


def test_with_no_backup_store_the_first_file_that_the_customers_store_takes_will_do(tmp_path: Path) -> None:
    at_s = ready_at(tmp_path, back_s=16, backup=None, within_s=40)
    assert at_s is not None and 10 <= at_s < 40


def test_a_store_that_hangs_is_not_waited_for(tmp_path: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    in_thread = VirtualClock.in_thread

    async def hangs(self: VirtualClock, work: Callable[[], T]) -> T:
        if getattr(work, "__name__", "") == "probe" and isinstance(getattr(work, "__self__", None), Memory):
            await self.sleep_until(self.now() + 60)
        return await in_thread(self, work)

    monkeypatch.setattr(VirtualClock, "in_thread", hangs)
    at_s = ready_at(tmp_path, back_s=11, backup=backup)
    assert at_s is not None and 4 < at_s < 8


def test_until_the_customers_store_works_what_is_recorded_goes_to_the_backup_store_at_once(
    tmp_path: Path, backup: Backup
) -> None:
    """Who hands the recording over waits for it."""
    clocks: list[VirtualClock] = []
    backed: list[tuple[float, int]] = []

    def faults(operation: str, _key: str) -> StorageError | None:
        away = not clocks or clocks[0].now() < 30 or 45 <= clocks[0].now() < 60
        return StoreUnavailable("away") if away else None

    async def act(run: Run, clock: VirtualClock) -> None:
        clocks.append(clock)
        began_s = clock.now()
        while True:
            backed.append((clock.now() - began_s, len(list((tmp_path / "backup").rglob("*.ts")))))
            await clock.sleep_until(clock.now() + 1)

    run = Run(tmp_path, spec(scene(tmp_path, user("a"), duration_s=80), slice_s=2), Memory(faults))
    run.record(act, role=Role.SUCCESSOR, backup=backup, **BEGUN)
    at = dict(backed)
    assert at[16.0] >= 2
    assert at[44.0] == at[58.0] > 0, "from then on it is waited for, as ever"
