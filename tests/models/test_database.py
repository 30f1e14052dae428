"""Units of work, the database's clock, and what leaves them as an error."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from models import secrets
from models.database import Database, now_ms, open_database, shift_time
from models.settings import settings
from models.tables import Leader
from models.vocabulary.errors import Internal, StateUnavailable
from tests.models import farm


def _leader(name: str) -> Leader:
    return Leader(name=name, owner="", term=0, expires_ms=0, held_since_ms=0)


def test_a_unit_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    with database.unit() as session:
        session.add(_leader("kept"))
    with pytest.raises(RuntimeError, match="of ours"), database.unit() as session:
        session.add(_leader("dropped"))
        session.flush()
        raise RuntimeError("of ours")
    with database.unit() as session:
        assert session.scalars(select(Leader.name)).all() == ["kept"]


def test_a_broken_constraint_passes_through_as_itself(database: Database) -> None:
    with pytest.raises(IntegrityError), database.unit() as session:
        session.execute(text("insert into room_place values ('no app', 'room', 'n1', 0)"))


def test_the_database_has_a_clock_that_tests_can_move(database: Database) -> None:
    before = database.now_ms()
    assert abs(before - time.time() * 1000) < 60_000
    shift_time(database, 3_600_000)
    assert 3_600_000 <= database.now_ms() - before < 3_660_000
    with database.unit() as session:
        shift_time(session, -3_600_000)
        assert -3_600_000 <= now_ms(session) - before < -3_540_000
    assert database.now_ms() - before < -3_540_000
    shift_time(database, 0)
    assert 0 <= database.now_ms() - before < 60_000


def test_moving_one_databases_clock_moves_no_other(database_url: str, database: Database) -> None:
    other = open_database(database_url)
    shift_time(database, 3_600_000)
    assert database.now_ms() - other.now_ms() > 3_500_000
    other.close()


def test_units_of_many_threads_lose_no_update(database: Database) -> None:
    with database.unit() as session:
        session.add(_leader("l"))

    def count() -> None:
        for _ in range(10):
            with database.unit() as session:
                row = session.get_one(Leader, "l", with_for_update=True)
                row.term += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.unit() as session:
        assert session.get_one(Leader, "l").term == 40


def test_two_processes_on_sqlite_wait_for_each_other(sqlite_url: str, sqlite: Database) -> None:
    other = open_database(sqlite_url)
    order: list[str] = []
    begun = threading.Event()

    def first() -> None:
        with sqlite.unit() as session:
            session.add(_leader("first"))
            session.flush()
            begun.set()
            time.sleep(0.2)  # the other is waiting by now, or comes later: either way it must not fail
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(10)
    with other.unit() as session:
        assert session.get(Leader, "first") is not None  # a unit begins with its first statement
        order.append("second")
    thread.join(10)
    assert order == ["first", "second"]
    other.close()


def test_sqlite_is_opened_with_its_safety_on(sqlite: Database) -> None:
    with sqlite.unit() as session:
        pragmas = {name: session.scalar(text(f"pragma {name}")) for name in ("journal_mode", "foreign_keys")}
        assert pragmas == {"journal_mode": "wal", "foreign_keys": 1}
        assert session.scalar(text("pragma synchronous")) == 1
        assert session.scalar(text("pragma busy_timeout")) == 5_000


def test_postgresql_is_opened_with_limits(postgresql: Database) -> None:
    with postgresql.unit() as session:
        assert session.scalar(text("show statement_timeout")) == "3s"
        assert session.scalar(text("show idle_in_transaction_session_timeout")) == "5s"
        assert session.scalar(text("show transaction_isolation")) == "read committed"


def test_a_database_that_is_away_is_a_retryable_error_without_its_password() -> None:
    away = open_database("postgresql+psycopg://farm:very-secret@127.0.0.1:1/nothing")
    with pytest.raises(StateUnavailable) as caught, away.unit() as session:
        session.execute(text("select 1"))
    assert caught.value.retryable
    assert "very-secret" not in str(caught.value)
    away.close()


def test_a_statement_that_takes_too_long_is_a_retryable_error(postgresql: Database) -> None:
    with pytest.raises(StateUnavailable, match="statement timeout"), postgresql.unit() as session:
        session.execute(text("set local statement_timeout = 50"))
        session.execute(text("select pg_sleep(10)"))
    assert postgresql.now_ms() > 0


def test_a_lost_connection_is_a_retryable_error_and_the_next_unit_has_a_new_one(postgresql: Database) -> None:
    with pytest.raises(StateUnavailable), postgresql.unit() as session:
        session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
    assert postgresql.now_ms() > 0


def test_without_keys_a_secret_is_refused_in_words_and_not_shown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.unit() as session:
        farm.app(session)
    secrets.use_keys([])
    monkeypatch.setenv("REELYARD_SECRET_KEYS", "")
    settings.cache_clear()
    with pytest.raises(Internal, match="REELYARD_SECRET_KEYS") as caught, database.unit() as session:
        farm.recording(session)
    assert "in-the-clear" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    settings.cache_clear()
