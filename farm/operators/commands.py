"""`reelyard ps`, `show`, `jobs`, `nodes`, `cordon`, `uncordon`, `drain`, `undrain`: on the state itself, with no gateway between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from sqlalchemy.orm import Session

from farm.operators import checks, doors, merging, rows, tables
from models.database import now_ms
from models.repositories import files, overview, tenures, timeline
from models.repositories import nodes as node_rows
from models.vocabulary.errors import ReelyardError

MAX_ROWS: Final = 1_000

F = TypeVar("F", bound=Callable[..., Any])


class NoSuchNode(ReelyardError):
    """There is no node of that name."""

    code, reason = 9531, "nodes"


def _page(command: F) -> F:
    for option in (
        click.option("--ended", is_flag=True, help="Those that have ended."),
        click.option("--app", "appid", default="", help="Of this app alone."),
        click.option("--limit", default=50, show_default=True, type=click.IntRange(1, MAX_ROWS)),
    ):
        command = option(command)
    return command


@click.command()
@_page
@doors.of_folder
@doors.with_json
def ps(folder: Path | None, as_json: bool, ended: bool, appid: str, limit: int) -> None:
    """List the recordings that run, newest first."""
    with doors.state(folder) as session:
        now = now_ms(session)
        found = [rows.recording(s) for s in overview.recordings(session, live=not ended, appid=appid, limit=limit)]
    doors.tell(as_json, found, lambda: tables.recordings(found, now))


@click.command()
@click.argument("sid")
@doors.of_folder
@doors.with_json
def show(sid: str, folder: Path | None, as_json: bool) -> None:
    """Show everything about the recording whose SID begins so."""
    with doors.state(folder) as session:
        row = doors.one(session, sid)
        parts = [timeline.rows(session, row.sid, track) for track in overview.tracks(session, row.sid)]
        told = rows.full_recording(
            row,
            [segment for segments, _ in parts for segment in segments],
            [hole for _, holes in parts for hole in holes],
            files.of(session, row.sid),
            tenures.of(session, row.sid),
        )
    doors.tell(as_json, told, lambda: tables.full_recording(told))


@click.command()
@_page
@doors.of_folder
@doors.with_json
def jobs(folder: Path | None, as_json: bool, ended: bool, appid: str, limit: int) -> None:
    """List the jobs that are not over, newest first."""
    with doors.state(folder) as session:
        now = now_ms(session)
        found = [rows.job(job) for job in overview.jobs(session, live=not ended, appid=appid, limit=limit)]
    doors.tell(as_json, found, lambda: tables.jobs(found, now))


@click.command()
@doors.of_folder
@doors.with_json
def nodes(folder: Path | None, as_json: bool) -> None:
    """List the nodes with their state, load and capacity."""
    with doors.state(folder) as session:
        now = now_ms(session)
        found = [rows.node(node, now) for node in overview.nodes(session, now)]
    doors.tell(as_json, found, lambda: tables.nodes(found))


@click.command()
@click.argument("node")
@click.option("--cause", default="by the operator", show_default=True, help="What others read in `nodes`.")
@doors.of_folder
def cordon(node: str, cause: str, folder: Path | None) -> None:
    """Let NODE take nothing new. What it records, it records on."""
    _set(folder, node, lambda session: node_rows.cordon(session, node, True, cause), "takes nothing new")


@click.command()
@click.argument("node")
@doors.of_folder
def uncordon(node: str, folder: Path | None) -> None:
    """Let NODE take recordings again."""
    _set(folder, node, lambda session: node_rows.cordon(session, node, False), "takes recordings again")


@click.command()
@click.argument("node")
@doors.of_folder
def drain(node: str, folder: Path | None) -> None:
    """Let NODE hand its recordings over and leave: its worker ends when the last one is elsewhere."""
    _set(folder, node, lambda session: node_rows.set_draining(session, node, True), "hands over and leaves")


@click.command()
@click.argument("node")
@doors.of_folder
def undrain(node: str, folder: Path | None) -> None:
    """Take a drain back, if NODE has not noticed it yet. A worker that leaves comes back by being started again."""
    said = "drains no more, unless its worker has begun to leave"
    _set(folder, node, lambda session: node_rows.set_draining(session, node, False), said)


def _set(folder: Path | None, node: str, change: Callable[[Session], bool], done: str) -> None:
    with doors.state(folder) as session:
        if not change(session):
            known = ", ".join(row.name for row in node_rows.live(session)) or "none"
            raise NoSuchNode(f"there is no node {node}; up are: {known}")
    click.echo(f"{node} {done}")


COMMANDS: Final = (ps, show, *checks.COMMANDS, *merging.COMMANDS, jobs, nodes, cordon, uncordon, drain, undrain)
