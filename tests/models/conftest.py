"""A migrated database, and recordings in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models import secrets
from models.database import Database, open_database
from models.schema import upgrade


@pytest.fixture(autouse=True)
def _keys() -> Iterator[None]:
    secrets.use_keys([secrets.generate_key()])
    yield
    secrets.use_keys([])


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """On SQLite and on PostgreSQL."""
    yield from _opened(database_url)


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    yield from _opened(sqlite_url)


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Database]:
    yield from _opened(postgres_url)


def _opened(url: str) -> Iterator[Database]:
    upgrade(url)
    database = open_database(url)
    yield database
    database.close()
