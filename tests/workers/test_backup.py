"""The customer's store fails in mid-recording: the backup store takes over, and what it took arrives in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.database import Database
from models.repositories import apps, backups, nodes, notices, recordings, resources, tenures, timeline
from models.settings import Settings
from models.vocabulary import keys, pipe
from models.vocabulary.events import UPLOAD_TO_BACKUP, Event
from models.vocabulary.spec import FolderStore, Secrets
from models.vocabulary.states import Role
from scheduler.backlog import Backlog
from tests.models.farm import APPID, app, spec
from tests.workers.rig import SID, Rig
from workers.publication import Publication


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


def test_the_backup_stores_own_playlist_is_known_when_all_of_it_was_moved_before_the_end(sqlite: Database) -> None:
    """Else nobody would delete it, and it would name what is gone."""
    asked = spec()
    with sqlite.unit() as session:
        app(session)
        resource = resources.acquire(session, appid=APPID, cname="room", uid="1", options={}, ttl_ms=300_000)
        recordings.create(session, sid=SID, resource=resource, spec=asked, secrets=Secrets(), weight=100)
        nodes.beat(session, "n1", "boot", 200, "0", "", "", False, 60_000)
        epoch = tenures.place(session, SID, role=Role.PRIMARY, node="n1", weight=1, deadline_ms=60_000)
        claim = tenures.claim(session, SID, epoch, "n1", "boot")
        assert claim is not None
        recordings.zero(session, SID, t0_ms=1_700_000_000_000, anchor={})
        timeline.reserve(session, SID, "mix", epoch, claim.owner, 0, 540_000, f"{SID}_0.ts", 9, "0" * 32)
        timeline.stored(session, SID, "mix", f"{SID}_0.ts", store=backups.BACKUP)
        backups.told(session, SID, f"{SID}_0.ts", backups.BACKUP)
    said: list[pipe.Message] = []
    publication = Publication(SID, epoch, sqlite, said.append)
    publication.publish(asked, final=False)
    (backed,) = (it for it in said if isinstance(it, pipe.Document) and it.store == "backup")
    with sqlite.unit() as session:
        backups.told(session, SID, f"{SID}_0.ts", backups.PRIMARY)
    publication.publish(asked, final=True)
    with sqlite.unit() as session:
        publication.record(session)
        assert [copy.key for copy in backups.copies(session, SID, "playlist")] == [backed.key]
        assert backups.waiting(session, SID) == 0
