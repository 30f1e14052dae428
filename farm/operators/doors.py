"""Where an operator's command finds the state, and how it tells what it found."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from sqlalchemy.orm import Session

from farm.admin import database
from farm.home import read_environment
from farm.operators import tables
from models import secrets
from models.database import Database
from models.repositories import overview
from models.settings import Settings, settings
from models.tables import Recording
from models.vocabulary.errors import ReelyardError

#: Where `reelyard up` keeps its state when nobody says otherwise.
HOME: Final = Path(".reelyard")
PREFIX: Final = "REELYARD_"

F = TypeVar("F", bound=Callable[..., Any])


class NoSuchRecording(ReelyardError):
    """There is no recording of that sid."""

    code, reason = 9530, "show"


def of_folder(command: F) -> F:
    said = "Of an embedded farm. Else REELYARD_DATABASE_URL is the state, else the farm in ./.reelyard."
    return click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help=said)(command)


def with_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")(command)


def _meant(folder: Path | None) -> dict[str, str] | None:
    """The environment of the farm that is meant; None: ours. Raises `NoFarm`."""
    if folder is None and "REELYARD_DATABASE_URL" not in os.environ:
        folder = HOME
    return None if folder is None else read_environment(folder.resolve())


@contextmanager
def state(folder: Path | None) -> Iterator[Session]:
    """A unit of work on the state that is meant. Raises `NoFarm`, `NotMigrated`, `StateUnavailable`."""
    environment = _meant(folder)
    opened = database(environment["REELYARD_DATABASE_URL"] if environment is not None else None)
    try:
        with opened.unit() as session:
            yield session
    finally:
        opened.close()


@contextmanager
def whole(folder: Path | None) -> Iterator[tuple[Database, Settings]]:
    """The state that is meant with the settings and the keys of its farm: for commands that read stores."""
    environment = _meant(folder)
    chosen = settings()
    if environment is not None:
        said = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items()}
        chosen = Settings.model_validate(said)
        secrets.use_keys(chosen.secret_keys.get_secret_value().split(","))
    opened = database(chosen.database_url)
    try:
        yield opened, chosen
    finally:
        opened.close()


def one(session: Session, sid: str) -> Recording:
    """The recording whose sid begins so. Raises `NoSuchRecording`."""
    found = overview.of_prefix(session, sid)
    if len(found) != 1:
        raise NoSuchRecording(
            f"{'more than one recording has' if found else 'no recording on record has'} a sid that begins with {sid}"
        )
    return found[0]


def tell(as_json: bool, value: Any, shown: Callable[[], Any]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    else:
        tables.show(shown(), Console())
