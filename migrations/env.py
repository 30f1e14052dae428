"""Runs migrations on PostgreSQL and SQLite. Needs the database's URL and no other setting, least of all a key."""

from __future__ import annotations

import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine, event, make_url, text

from models.database import begin_immediate
from models.tables import Base

#: Any number that nothing else locks by: one migration at a time.
LOCK = 7_260_481


def url() -> str:
    given = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    return given or os.environ.get("REELYARD_DATABASE_URL") or "sqlite:///reelyard.db"


def options() -> dict[str, Any]:
    return {
        "target_metadata": Base.metadata,
        "render_as_batch": True,  # SQLite alters a table by copying it
        "compare_type": True,
        "compare_server_default": True,
        "transaction_per_migration": True,
    }


def migrate_sqlite(connection: Connection) -> None:
    # One transaction from the look at the version to the last change, so that two processes cannot interleave.
    # Foreign keys are off (SQLite's default): copying a table would otherwise cascade into those that refer to it.
    with connection.begin():
        context.configure(connection=connection, **options())
        context.run_migrations()


def migrate_postgresql(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK})
    connection.commit()
    try:
        context.configure(connection=connection, **options())
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:key)"), {"key": LOCK})
        connection.commit()


def online() -> None:
    address = make_url(url())
    engine = create_engine(address, poolclass=NullPool, hide_parameters=True)
    sqlite = address.get_backend_name() == "sqlite"
    if sqlite:

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA busy_timeout=30000")
            connection.execute("PRAGMA journal_mode=WAL")

        event.listen(engine, "begin", begin_immediate)
    with engine.connect() as connection:
        (migrate_sqlite if sqlite else migrate_postgresql)(connection)
    engine.dispose()


def offline() -> None:
    """SQL on standard output, for those who let nobody but themselves change a schema."""
    context.configure(url=url(), literal_binds=True, dialect_opts={"paramstyle": "named"}, **options())
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    offline()
else:
    online()
