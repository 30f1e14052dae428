"""What the backup store took is moved to the customer's store, with the customer's keys, and then told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.database import Database, shift_time
from models.repositories import backups, notices, recordings, tenures, timeline
from models.repositories.backups import BACKUP, PRIMARY
from models.settings import Settings
from models.tables import Recording
from models.vocabulary import keys
from models.vocabulary.errors import StoreUnavailable
from models.vocabulary.events import Event
from models.vocabulary.spec import RecordingSpec, Secrets
from models.vocabulary.states import Status
from scheduler.backlog import Backlog, wait_ms
from stores.base import Store
from stores.memory import Memory
from tests.models.conftest import _keys, _opened
from tests.models.farm import APPID, SECRETS, app, node, recording, tenure

__all__ = ["_keys"]

SID = "s1"
SLOT = 540_000
PLAYLIST = keys.playlist_key((), SID, "room")
HELD = keys.held_back_key(PLAYLIST)


class Moving:
    """A recording of five segments of which the customer's store has the first two, and the backup store the rest."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.customers, self.own = Memory(self._fault), Memory()
        self.is_away = False
        self.used: list[Secrets] = []
        self.names = [f"{SID}_room_{n}.ts" for n in range(5)]
        config = Settings.model_validate({"backup_store": {"kind": "folder", "path": str(folder)}})
        self.backlog = Backlog(
            database, config, chance=lambda: 0.5, open_customer=self._customer, open_own=lambda _: self.own
        )
        with database.unit() as session:
            app(session, notice_url="http://127.0.0.1:9/")
            node(session)
            recording(session, SID)
            self.claim = tenure(session, SID)
            recordings.zero(session, SID, t0_ms=1_767_225_600_000, anchor={})
            recordings.first_slice(session, SID)
        for n, name in enumerate(self.names):
            self._store(n, name, PRIMARY if n < 2 else BACKUP)

    def _customer(self, spec: RecordingSpec, secrets: Secrets) -> Store:
        self.used.append(secrets)
        return self.customers

    def _fault(self, operation: str, key: str) -> StoreUnavailable | None:
        return StoreUnavailable("away") if self.is_away else None

    def _store(self, n: int, name: str, store: str) -> None:
        body = name.encode()
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        to, key = (self.customers, name) if store == PRIMARY else (self.own, keys.backup_key(APPID, name))
        to.put(key, body, md5_hex=md5, content_type="video/mp2t")
        with self.database.unit() as session:
            place = (1, self.claim.owner, n * SLOT, (n + 1) * SLOT)
            answer = timeline.reserve(session, SID, "mix", *place, name, len(body), md5)
            assert isinstance(answer, timeline.Reserved)
            assert timeline.stored(session, SID, "mix", name, store=store)
            backups.told(session, SID, name, store)

    def hold(self, text: str = "#EXTM3U\n") -> None:
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        address = keys.backup_key(APPID, HELD)
        self.own.put(address, text.encode(), md5_hex=md5, content_type="application/octet-stream")
        with self.database.unit() as session:
            backups.hold(session, SID, HELD, "held", bytes_=len(text), md5=md5)

    def end(self) -> None:
        """As its worker ends it: backuped."""
        self.hold()
        with self.database.unit() as session:
            for to in (Status.STOPPING, Status.STOPPED, Status.EXITED):
                recordings.advance(session, SID, expect=None, to=to, cause="stop called")
            recordings.set_uploading(session, SID, "backuped")
            tenures.end(session, SID, 1, self.claim.owner, "all is stored")

    def row(self) -> Recording:
        with self.database.unit() as session:
            row = recordings.get(session, SID)
        assert row is not None
        return row

    def turns(self, n: int = 1) -> None:
        for _ in range(n):
            self.backlog.turn(SID)

    def told(self) -> list[int]:
        with self.database.unit() as session:
            return [notice.event for notice in notices.of(session, SID)]

    def entries(self) -> int:
        with self.database.unit() as session:
            return len(timeline.publishable(session, SID, "mix", final=True))


@pytest.fixture
def moving(sqlite_url: str, tmp_path: Path) -> Iterator[Moving]:
    for database in _opened(sqlite_url):
        yield Moving(database, tmp_path)


def test_a_playlist_lists_only_what_the_same_store_has(moving: Moving) -> None:
    with moving.database.unit() as session:
        assert [e.key for e in timeline.publishable(session, SID, "mix", final=True)] == moving.names[:2]
        assert [e.key for e in backups.entries(session, SID, "mix")] == moving.names[2:]


def test_while_its_recorder_lives_nothing_is_moved_for_it(moving: Moving) -> None:
    moving.turns()
    assert moving.customers.list() == moving.names[:2]


def test_what_a_dead_worker_left_is_moved_while_the_recording_goes_on(moving: Moving) -> None:
    with moving.database.unit() as session:
        tenures.end(session, SID, 1, moving.claim.owner, "the worker was lost")
    moving.turns()
    assert moving.customers.list() == moving.names
    assert moving.entries() == 5
    assert len(moving.own.list()) == 3  # deleted at the end, not before


def test_once_it_has_ended_all_is_moved_told_and_the_keys_are_wiped(moving: Moving) -> None:
    moving.end()
    moving.turns(2)
    assert moving.customers.list() == sorted([*moving.names, PLAYLIST])
    assert moving.customers.get_range(PLAYLIST) == b"#EXTM3U\n"
    head = moving.customers.head(PLAYLIST)
    assert head is not None
    assert head.content_type == "application/vnd.apple.mpegurl"
    assert moving.own.list() == []
    assert moving.used[0] == SECRETS
    row = moving.row()
    assert (row.uploading, row.secrets) == ("uploaded", None)
    assert moving.told()[-2:] == [Event.UPLOADING_PROGRESS, Event.UPLOADED]
    with moving.database.unit() as session:
        assert backups.due(session, limit=9, lease_ms=1) == []


def test_the_playlist_is_moved_last(moving: Moving) -> None:
    moving.end()
    moving.turns(1)
    assert moving.customers.list() == moving.names
    assert moving.row().uploading == "backuped"


def test_a_store_that_is_still_away_is_tried_again_later_and_keeps_its_keys(moving: Moving) -> None:
    moving.end()
    moving.is_away = True
    moving.turns(3)
    assert moving.row().secrets is not None
    assert Event.UPLOADED not in moving.told()
    moving.is_away = False
    moving.turns(2)
    assert moving.row().uploading == "uploaded"
    assert moving.told().count(Event.UPLOADED) == 1


def test_after_days_it_is_given_up_and_said(moving: Moving) -> None:
    moving.end()
    moving.is_away = True
    with moving.database.unit() as session:
        shift_time(session, 8 * 86_400_000)
    moving.turns()
    row = moving.row()
    assert (row.uploading, row.secrets) == ("backuped", None)
    assert any("left in the backup store" in text for text in row.warnings)
    assert len(moving.own.list()) == 4


def test_a_record_is_not_forgotten_while_its_files_are_not_where_they_belong(moving: Moving) -> None:
    moving.end()
    with moving.database.unit() as session:
        shift_time(session, 40 * 86_400_000)
        assert recordings.delete_old(session) == 0
        backups.close(session, SID)
        assert recordings.delete_old(session) == 1


def test_a_turn_is_nobody_elses_while_it_lasts(moving: Moving) -> None:
    moving.end()
    with moving.database.unit() as session:
        shift_time(session, 60_000)
        assert backups.due(session, limit=9, lease_ms=1_000) == [SID]
        assert backups.due(session, limit=9, lease_ms=1_000) == []


def test_waits_grow_to_half_an_hour() -> None:
    waits = [wait_ms(tries, 1.0) for tries in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (10_000, 1_800_000)
