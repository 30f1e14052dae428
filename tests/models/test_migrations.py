"""The schema: up, checked against the tables, and down, on both databases, with no secret at hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from enum import StrEnum

import pytest
from alembic import command
from sqlalchemy import Enum, create_engine, inspect, text

from models.database import open_database
from models.schema import ROOT, alembic_config, upgrade
from models.tables import Base


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REELYARD_SECRET_KEYS", raising=False)


def _tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_up_there_is_nothing_left_to_generate(database_url: str) -> None:
    upgrade(database_url)
    command.check(alembic_config(database_url))


def test_up_twice_is_up_once(database_url: str) -> None:
    upgrade(database_url)
    upgrade(database_url)
    assert _tables(database_url) == {*Base.metadata.tables, "alembic_version"}


def test_down_leaves_nothing_and_up_again_works(database_url: str) -> None:
    upgrade(database_url)
    command.downgrade(alembic_config(database_url), "base")
    assert _tables(database_url) == {"alembic_version"}
    upgrade(database_url)
    command.check(alembic_config(database_url))


def test_the_checks_in_the_database_name_exactly_the_members_of_the_enums(database_url: str) -> None:
    """Autogenerate does not see a new member; this does."""
    upgrade(database_url)
    engine = create_engine(database_url)
    seen = 0
    for table in Base.metadata.sorted_tables:
        checks = {c["name"]: str(c["sqltext"]) for c in inspect(engine).get_check_constraints(table.name)}
        for column in table.columns:
            if isinstance(column.type, Enum):
                members = column.type.enum_class
                assert members is not None
                assert issubclass(members, StrEnum)
                check = checks[f"ck_{table.name}_{column.type.name}"]
                assert set(re.findall(r"'(\w+)'", check)) == {m.value for m in members}, (table.name, column.name)
                seen += 1
    engine.dispose()
    assert seen == 7


def test_tenures_have_room_for_updates_in_place(postgres_url: str) -> None:
    upgrade(postgres_url)
    database = open_database(postgres_url)
    with database.unit() as session:
        options = session.scalar(text("select reloptions from pg_class where relname = 'tenure'"))
    database.close()
    assert "fillfactor=50" in options


def test_several_processes_may_upgrade_at_once(database_url: str) -> None:
    """Alembic keeps its context in a module, so these are processes."""
    code = "import sys; from models.schema import upgrade; upgrade(sys.argv[1])"
    results: list[subprocess.CompletedProcess[str]] = []

    def start() -> None:
        args = [sys.executable, "-c", code, database_url]
        results.append(subprocess.run(args, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(70)
    assert [(r.returncode, r.stderr) for r in results] == [(0, "")] * 2
    assert _tables(database_url) == {*Base.metadata.tables, "alembic_version"}


@pytest.mark.parametrize("named", ["environment", "argument"])
def test_the_command_line_finds_the_database(sqlite_url: str, named: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("REELYARD_")}
    argument = ["-x", f"url={sqlite_url}"] if named == "argument" else []
    if named == "environment":
        env["REELYARD_DATABASE_URL"] = sqlite_url
    args = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), *argument, "upgrade", "head"]
    subprocess.run(args, cwd="/", env=env, capture_output=True, timeout=60, check=True)
    assert "recording" in _tables(sqlite_url)
