"""`reelyard ps`, `show`, `jobs`, `nodes`, `cordon`, `uncordon`, `drain`, `undrain`: on the state itself, with no gateway between."""

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
from farm.operators import rows, tables
from models.database import now_ms
from models.repositories import files, overview, tenures, timeline
from models.repositories import nodes as node_rows
from models.vocabulary.errors import ReelyardError

#: Where `reelyard up` keeps its state when nobody says otherwise.
HOME: Final = Path(".reelyard")
MAX_ROWS: Final = 1_000

F = TypeVar("F", bound=Callable[..., Any])


class NoSuchRecording(ReelyardError):
    """There is no recording of that sid."""

    code, reason = 9530, "show"


class NoSuchNode(ReelyardError):
    """There is no node of that name."""

    code, reason = 9531, "nodes"


def _folder(command: F) -> F:
    said = "Of an embedded farm. Else REELYARD_DATABASE_URL is the state, else the farm in ./.reelyard."
    return click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help=said)(command)


def _json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")(command)


def _page(command: F) -> F:
    for option in (
        click.option("--ended", is_flag=True, help="Those that have ended."),
        click.option("--app", "appid", default="", help="Of this app alone."),
        click.option("--limit", default=50, show_default=True, type=click.IntRange(1, MAX_ROWS)),
    ):
        command = option(command)
    return command


@contextmanager
def _state(folder: Path | None) -> Iterator[Session]:
    """A unit of work on the state that is meant. Raises `NoFarm`, `NotMigrated`, `StateUnavailable`."""
    if folder is None and "REELYARD_DATABASE_URL" not in os.environ:
        folder = HOME
    url = read_environment(folder.resolve())["REELYARD_DATABASE_URL"] if folder is not None else None
    opened = database(url)
    try:
        with opened.unit() as session:
            yield session
    finally:
        opened.close()


def _print(as_json: bool, value: Any, shown: Callable[[], Any]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    else:
        tables.show(shown(), Console())


@click.command()
@_page
@_folder
@_json
def ps(folder: Path | None, as_json: bool, ended: bool, appid: str, limit: int) -> None:
    """List the recordings that run, newest first."""
    with _state(folder) as session:
        now = now_ms(session)
        found = [rows.recording(s) for s in overview.recordings(session, live=not ended, appid=appid, limit=limit)]
    _print(as_json, found, lambda: tables.recordings(found, now))


@click.command()
@click.argument("sid")
@_folder
@_json
def show(sid: str, folder: Path | None, as_json: bool) -> None:
    """Show everything about the recording whose SID begins so."""
    with _state(folder) as session:
        found = overview.of_prefix(session, sid)
        if len(found) != 1:
            raise NoSuchRecording(
                f"{'more than one recording has' if found else 'no recording on record has'} a sid that begins with {sid}"
            )
        [row] = found
        parts = [timeline.rows(session, row.sid, track) for track in overview.tracks(session, row.sid)]
        told = rows.full_recording(
            row,
            [segment for segments, _ in parts for segment in segments],
            [hole for _, holes in parts for hole in holes],
            files.of(session, row.sid),
            tenures.of(session, row.sid),
        )
    _print(as_json, told, lambda: tables.full_recording(told))


@click.command()
@_page
@_folder
@_json
def jobs(folder: Path | None, as_json: bool, ended: bool, appid: str, limit: int) -> None:
    """List the jobs that are not over, newest first."""
    with _state(folder) as session:
        now = now_ms(session)
        found = [rows.job(job) for job in overview.jobs(session, live=not ended, appid=appid, limit=limit)]
    _print(as_json, found, lambda: tables.jobs(found, now))


@click.command()
@_folder
@_json
def nodes(folder: Path | None, as_json: bool) -> None:
    """List the nodes with their state, load and capacity."""
    with _state(folder) as session:
        now = now_ms(session)
        found = [rows.node(node, now) for node in overview.nodes(session, now)]
    _print(as_json, found, lambda: tables.nodes(found))


@click.command()
@click.argument("node")
@click.option("--cause", default="by the operator", show_default=True, help="What others read in `nodes`.")
@_folder
def cordon(node: str, cause: str, folder: Path | None) -> None:
    """Let NODE take nothing new. What it records, it records on."""
    _set(folder, node, lambda session: node_rows.cordon(session, node, True, cause), "takes nothing new")


@click.command()
@click.argument("node")
@_folder
def uncordon(node: str, folder: Path | None) -> None:
    """Let NODE take recordings again."""
    _set(folder, node, lambda session: node_rows.cordon(session, node, False), "takes recordings again")


@click.command()
@click.argument("node")
@_folder
def drain(node: str, folder: Path | None) -> None:
    """Let NODE hand its recordings over and leave: its worker ends when the last one is elsewhere."""
    _set(folder, node, lambda session: node_rows.set_draining(session, node, True), "hands over and leaves")


@click.command()
@click.argument("node")
@_folder
def undrain(node: str, folder: Path | None) -> None:
    """Take a drain back, if NODE has not noticed it yet. A worker that leaves comes back by being started again."""
    said = "drains no more, unless its worker has begun to leave"
    _set(folder, node, lambda session: node_rows.set_draining(session, node, False), said)


def _set(folder: Path | None, node: str, change: Callable[[Session], bool], done: str) -> None:
    with _state(folder) as session:
        if not change(session):
            known = ", ".join(row.name for row in node_rows.live(session)) or "none"
            raise NoSuchNode(f"there is no node {node}; up are: {known}")
    click.echo(f"{node} {done}")


COMMANDS: Final = (ps, show, jobs, nodes, cordon, uncordon, drain, undrain)
