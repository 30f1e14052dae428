"""What the repositories' statements share: compare-and-set, and INSERT … ON CONFLICT on both databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Delete, Executable, Update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.orm import DeclarativeBase, Session

#: Rows are read anew after a statement, never patched in the session's memory.
UNSYNCHRONISED = {"synchronize_session": False}


def moved(session: Session, statement: Executable) -> Any | None:
    """The row that a compare-and-set changed; None: it lost. (A row count is not to be trusted, RETURNING is.)"""
    return session.execute(statement, execution_options=UNSYNCHRONISED).first()


def changed(session: Session, statement: Executable) -> list[Any]:
    """The rows that an UPDATE or DELETE … RETURNING changed."""
    return list(session.execute(statement, execution_options=UNSYNCHRONISED).all())


def run(session: Session, statement: Update | Delete) -> None:
    session.execute(statement, execution_options=UNSYNCHRONISED)


def insert(session: Session, table: type[DeclarativeBase]) -> PostgresqlInsert | SqliteInsert:
    """An INSERT that knows ON CONFLICT."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def add_if_absent(session: Session, table: type[DeclarativeBase], key: Iterable[str], **values: Any) -> None:
    session.execute(insert(session, table).values(**values).on_conflict_do_nothing(index_elements=list(key)))
