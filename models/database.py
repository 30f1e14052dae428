"""The door to SQL: one `Database` a process, one `unit` of work a transaction, on PostgreSQL and SQLite alike.

Lock order of a unit that takes several rows: recording, node, track, hole (another order works, but may deadlock, which
is `StateUnavailable` after a second). Units are short; nothing but SQL happens inside one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, QueuePool, create_engine, event, func, select
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from models.tables.base import db_now_ms
from models.turns import Turns, TurnTimeout
from models.vocabulary.errors import ReelyardError, StateUnavailable

CONNECT_TIMEOUT_S: Final = 2
#: A statement of ours takes milliseconds; what takes longer waits for something that is gone.
STATEMENT_TIMEOUT_MS: Final = 3_000
#: A process frozen inside a unit must not hold its row locks for ever.
IDLE_TIMEOUT_MS: Final = 5_000
BUSY_TIMEOUT_MS: Final = 5_000
#: How long a thread waits for SQLite's one connection.
POOL_TIMEOUT_S: Final = 10


class Database:
    """A pool of connections. On SQLite the pool is a single connection, for which threads queue in the order of asking."""

    def __init__(self, url: str, *, pool_size: int = 5, echo: bool = False) -> None:
        self._shift_ms = 0
        address = make_url(url)
        self.dialect = address.get_backend_name()
        self.engine = self._sqlite(address, echo) if self.dialect == "sqlite" else _postgresql(address, pool_size, echo)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, info={"database": self})
        self._turns = Turns() if self.dialect == "sqlite" else None

    @contextmanager
    def unit(self) -> Iterator[Session]:
        """One unit of work: COMMIT at its end, ROLLBACK on an error.

        Raises `StateUnavailable` when the database does not answer; the unit may be repeated, also after a failed
        COMMIT. `IntegrityError` passes through.
        """
        try:
            with self._turn(), self._sessions.begin() as session:
                if self._shift_ms:
                    self.move(session)
                yield session
        except TurnTimeout as error:
            raise StateUnavailable("the database is busy") from error
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise StateUnavailable(_first_line(error)) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StateUnavailable(_first_line(error)) from error
            raise
        except StatementError as error:
            if isinstance(error.orig, ReelyardError):  # a column type refused a value: say what it said
                raise error.orig from None
            raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._turns is None:
            yield
        else:
            with self._turns.turn(POOL_TIMEOUT_S):
                yield

    def now_ms(self) -> int:
        """Unix ms on the database's clock."""
        with self.unit() as session:
            return now_ms(session)

    def close(self) -> None:
        self.engine.dispose()

    def shift(self, ms: int) -> None:
        self._shift_ms = ms

    def move(self, session: Session) -> None:
        """Make this unit see the shifted time. SQLite's function reads the shift by itself."""
        if self.dialect == "postgresql":
            session.execute(select(func.set_config("reelyard.shift_ms", str(self._shift_ms), True)))

    def _sqlite(self, address: URL, echo: bool) -> Engine:
        engine = create_engine(
            address,
            echo=echo,
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, _record: Any) -> None:
            # The driver's own BEGIN is deferred: a write after a read is then busy at once.
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.create_function("reelyard_now_ms", 0, self._sqlite_now_ms)

        event.listen(engine, "begin", begin_immediate)
        return engine

    def _sqlite_now_ms(self) -> int:
        # SQLite has no clock of its own: the host's is the database's.
        return time.time_ns() // 1_000_000 + self._shift_ms


def open_database(url: str) -> Database:
    return Database(url)


def now_ms(session: Session) -> int:
    """Unix ms on the database's clock."""
    return session.execute(select(db_now_ms())).scalar_one()


def shift_time(where: Session | Database, ms: int) -> None:
    """For tests: this `Database`'s clock stands `ms` off the real one, from now on (0: back to the real one)."""
    database = where if isinstance(where, Database) else where.info["database"]
    assert isinstance(database, Database)
    database.shift(ms)
    if isinstance(where, Session):
        database.move(where)


def begin_immediate(connection: Connection) -> None:
    """SQLite: take the write lock at the beginning, or wait for it, rather than fail in the middle."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(address: URL, pool_size: int, echo: bool) -> Engine:
    limits = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}"
    given = address.query.get("options", "")
    connect_args: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "options": f"{given} {limits}" if given else limits,
    }
    host = address.host or address.query.get("host", "")
    if not str(host).startswith("/"):
        connect_args["tcp_user_timeout"] = STATEMENT_TIMEOUT_MS
    return create_engine(
        address,
        echo=echo,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=3,
        connect_args=connect_args,
    )


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return f"the database does not answer: {str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__}"
