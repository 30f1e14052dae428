"""A node with real recorder processes, on a migrated database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models import secrets
from models.database import Database, open_database
from models.schema import upgrade
from tests.workers.rig import Rig


@pytest.fixture(autouse=True)
def _keys() -> Iterator[None]:
    secrets.use_keys([secrets.generate_key()])
    yield
    secrets.use_keys([])


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """On SQLite and on PostgreSQL."""
    with _opened(database_url) as database:
        yield database


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    with _opened(sqlite_url) as database:
        yield database


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Database]:
    with _opened(postgres_url) as database:
        yield database


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    upgrade(url)
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Makes a node on a database; whatever it still runs is ended with the test."""
    made: list[Rig] = []
    monkeypatch.setenv("REELYARD_STORES_ROOT", str(tmp_path / "stores"))
    monkeypatch.setenv("REELYARD_SECRET_KEYS", "a-secret-of-the-worker-that-no-recorder-sees")

    def make(database: Database, **settings: Any) -> Rig:
        made.append(Rig(database, tmp_path, **settings))
        return made[-1]

    yield make
    for it in made:
        it.close()
