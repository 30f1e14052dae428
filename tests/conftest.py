"""Real servers as fixtures, and one line about each at the end of the run."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import hypothesis
import pytest

from tests import servers

pytest_plugins = ["tests.planted"]

#: A loaded machine is slow, not wrong: speed is measured in bench/, never by an example's deadline.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")

T = TypeVar("T")
SERVER_NAMES = ("redis", "postgresql", "s3", "janus")
_fates = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_fates] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of a run side by side hands in what it knows of servers (pytest-xdist)."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["servers"] = session.config.stash[_fates]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    fates = node.config.stash[_fates]
    fates.update(getattr(node, "workeroutput", {}).get("servers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name in SERVER_NAMES:
        terminalreporter.write_line(f"server {name}: {config.stash[_fates].get(name, 'UNUSED (no test asked for it)')}")


def _find(config: pytest.Config, name: str, find: Callable[[], T]) -> T:
    """What `find` finds; else skip with its hint, or fail when REQUIRE_SERVERS=1."""
    try:
        return find()
    except servers.ServerMissing as missing:
        config.stash[_fates][name] = f"SKIPPED ({missing})"
        if os.environ.get("REQUIRE_SERVERS") == "1" and name not in os.environ.get("OPTIONAL_SERVERS", "").split(","):
            pytest.fail(f"REQUIRE_SERVERS=1 and there is no {name}: {missing}")
        pytest.skip(f"no {name}: {missing}")


def _ran(config: pytest.Config, name: str, origin: str) -> None:
    config.stash[_fates][name] = f"RAN ({origin})"


def _own_database(url: str) -> str:
    """Each process of a run side by side flushes a database of its own: the given one, the next one …"""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    if not url or number == "0":
        return url
    parts = urlsplit(url)
    return parts._replace(path=f"/{int(parts.path.strip('/') or 0) + int(number)}").geturl()


@pytest.fixture(scope="session")
def _redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import redis

    if url := _own_database(os.environ.get("TEST_REDIS_URL", "")):
        with redis.Redis.from_url(url) as connection:
            if connection.dbsize():
                pytest.fail(
                    "TEST_REDIS_URL names a database that is not empty; tests flush it, so it must be one of theirs"
                )
        _ran(request.config, "redis", "TEST_REDIS_URL")
        yield url
        return
    program = _find(request.config, "redis", servers.find_redis)
    process, url = servers.start_redis(program, tmp_path_factory.mktemp("redis"))
    _ran(request.config, "redis", program.origin)
    yield url
    process.stop()


@pytest.fixture
def redis_url(_redis_server: str) -> Iterator[str]:
    """URL of an empty Redis database."""
    import redis

    yield _redis_server
    with redis.Redis.from_url(_redis_server) as connection:
        connection.flushdb()


@dataclasses.dataclass(frozen=True)
class _Postgres:
    admin: str  # psycopg's connection string, to make and drop databases with
    url: Callable[[str], str]  # of a database by name, for SQLAlchemy


@pytest.fixture(scope="session")
def _postgres_server(request: pytest.FixtureRequest) -> Iterator[_Postgres]:
    if named := os.environ.get("TEST_DATABASE_URL"):
        from sqlalchemy import make_url

        base = make_url(named).set(drivername="postgresql+psycopg")
        _ran(request.config, "postgresql", "TEST_DATABASE_URL")
        yield _Postgres(
            base.set(drivername="postgresql").render_as_string(hide_password=False),
            lambda database: base.set(database=database).render_as_string(hide_password=False),
        )
        return
    program = _find(request.config, "postgresql", servers.find_postgres)
    server = _find(request.config, "postgresql", lambda: servers.PostgresServer(program))
    _ran(request.config, "postgresql", program.origin)
    yield _Postgres(server.admin, server.url)
    server.stop()


@pytest.fixture
def postgres_url(_postgres_server: _Postgres) -> Iterator[str]:
    """SQLAlchemy URL of a fresh, empty PostgreSQL database, dropped afterwards."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    name = f"reelyard_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(_postgres_server.admin, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield _postgres_server.url(name)
    with psycopg.connect(_postgres_server.admin, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """SQLAlchemy URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'reelyard.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The test runs twice: on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])
    return url


@pytest.fixture(scope="session")
def _s3_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    if named := servers.s3_from_environment():
        _ran(request.config, "s3", "TEST_S3_ENDPOINT")
        yield named
        return
    program = _find(request.config, "s3", servers.find_s3)
    process, server = servers.start_s3(program, tmp_path_factory.mktemp("s3"))
    _ran(request.config, "s3", program.origin)
    yield server
    process.stop()


@pytest.fixture(scope="session")
def janus(request: pytest.FixtureRequest) -> None:
    """Janus can be started here (tests.janus.server)."""
    from tests.janus.server import find_janus

    _ran(request.config, "janus", _find(request.config, "janus", find_janus).origin)


@pytest.fixture
def s3(_s3_server: servers.S3Server) -> Iterator[servers.S3Server]:
    """An S3 store with an empty bucket of this test's own."""
    server = dataclasses.replace(_s3_server, bucket=f"reelyard-test-{uuid.uuid4().hex[:12]}")
    servers.make_bucket(server)
    yield server
    servers.drop_bucket(server)
