"""The customer's store fails in mid-recording: the backup store takes over, and what it took arrives in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.database import Database
from models.repositories import apps, backups, notices
from models.settings import Settings
from models.vocabulary import keys
from models.vocabulary.events import UPLOAD_TO_BACKUP, Event
from models.vocabulary.spec import FolderStore
from scheduler.backlog import Backlog
from tests.models.farm import APPID
from tests.workers.rig import SID, Rig


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def break_store(rig: Rig) -> Path:
    """A file stands where the app's folder was: nothing can be written there."""
    aside = rig.store.with_name("aside")
    rig.store.rename(aside)
    rig.store.write_bytes(b"")
    return aside


def mend_store(rig: Rig, aside: Path) -> None:
    rig.store.unlink()
    aside.rename(rig.store)


def told(rig: Rig) -> list[tuple[int, Any]]:
    with rig.database.unit() as session:
        return [(notice.event, notice.details) for notice in notices.of(session, SID)]


def started(make: Callable[..., Rig], database: Database, own: Path) -> Rig:
    rig = make(database, backup_store=FolderStore(path=str(own)), backup_after_s=1)
    rig.recording()
    with database.unit() as session:
        apps.set_notices(session, APPID, url="http://127.0.0.1:9/", secret="x")
    rig.dispatch()
    rig.slices(1)
    return rig


def test_what_a_broken_store_refuses_is_backed_up_and_moved_after_the_end(
    rig: Callable[..., Rig], sqlite: Database, own: Path, tmp_path: Path
) -> None:
    it = started(rig, sqlite, own)
    aside = break_store(it)
    it.until(lambda: len(list(own.rglob("*.ts"))) >= 2, "two slices in the backup store")
    row = it.stop()
    assert row.uploading == "backuped"
    assert row.secrets is not None  # still needed
    events = [event for event, _ in told(it)]
    warned = [
        details for event, details in told(it) if event == Event.WARNING and details["warnCode"] == UPLOAD_TO_BACKUP
    ]
    assert len(warned) == 1
    assert events[-2:] == [Event.BACKUPED, Event.SESSION_EXIT]
    assert not list((tmp_path / "spools").rglob("*.ts"))
    backup_playlist = own / keys.backup_key(APPID, keys.playlist_key((), SID, "room"))
    named = [line for line in backup_playlist.read_text().splitlines() if line.endswith(".ts")]
    assert set(named) == {path.name for path in own.rglob("*.ts")}

    mend_store(it, aside)
    config = Settings.model_validate(
        {"backup_store": {"kind": "folder", "path": str(own)}, "stores_root": str(tmp_path / "stores")}
    )
    backlog = Backlog(sqlite, config)
    for _ in range(3):
        backlog.turn(SID)
    verdict = it.judge()
    assert (verdict.violations, verdict.holes) == ((), ())
    assert it.playlist.read_text().endswith("#EXT-X-ENDLIST\n")
    assert (it.row().uploading, it.row().secrets) == ("uploaded", None)
    assert [event for event, _ in told(it)][-1] == Event.UPLOADED
    assert not list(own.rglob("*.ts"))
    with sqlite.unit() as session:
        assert not backups.exist(session, SID)
