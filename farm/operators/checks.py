"""`reelyard verify SID` and `reelyard repair SID`: state, tenures, spools and store compared; what disagrees is told, or mended."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from farm.operators import audit, doors, tables
from farm.operators.audit import Finding, Mend
from farm.operators.evidence import gather
from farm.operators.repair import mend
from models.database import Database
from models.settings import Settings
from models.vocabulary.spec import StoreKeys


@click.command()
@click.argument("sid")
@doors.of_folder
@doors.with_json
def verify(sid: str, folder: Path | None, as_json: bool) -> None:
    """Compare a recording's rows with its store, its tenures and the spools on this host.

    Exit code 1: something is wrong. Keys of a store that the farm has no keys for any more are taken from
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    """
    with doors.whole(folder) as (database, settings):
        whole_sid, found = _look(database, settings, sid)
    _tell(as_json, whole_sid, [audit.as_row(finding) for finding in found])


@click.command()
@click.argument("sid")
@doors.of_folder
@doors.with_json
def repair(sid: str, folder: Path | None, as_json: bool) -> None:
    """Mend what `verify` finds: bring in spools of this host, give up what nobody brings, end or place tenures, and
    write playlist and index of an ended recording anew from the rows. Exit code 1: something is still wrong.
    """
    with doors.whole(folder) as (database, settings):
        whole_sid, found = _look(database, settings, sid)
        done = mend(database, settings, whole_sid, found, _given())
        _, left = _look(database, settings, whole_sid)
    still = {(f.what, f.key) for f in left}
    rows = [audit.as_row(f, _mended(f, done, (f.what, f.key) in still)) for f in found]
    rows += [audit.as_row(f) for f in left if (f.what, f.key) not in {(g.what, g.key) for g in found}]
    for row in rows:
        row["wrong"] = row["wrong"] and (row["what"], row["key"]) in still
    _tell(as_json, whole_sid, rows)


def _mended(finding: Finding, done: dict[Mend, str], is_there_still: bool) -> str:
    if finding.mend is Mend.NOTHING:
        return "gone" if not is_there_still else ""
    return done.get(finding.mend, "")


def _look(database: Database, settings: Settings, sid: str) -> tuple[str, list[Finding]]:
    with database.unit() as session:
        row = doors.one(session, sid)
        return row.sid, audit.findings(gather(session, row, settings, _given()))


def _given() -> StoreKeys | None:
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    return StoreKeys(access_key=access_key, secret_key=secret_key) if access_key and secret_key else None


def _tell(as_json: bool, sid: str, rows: list[dict[str, Any]]) -> None:
    wrong = sum(row["wrong"] for row in rows)
    doors.tell(as_json, {"sid": sid, "wrong": wrong, "findings": rows}, lambda: tables.findings(rows))
    if wrong:
        sys.exit(1)


COMMANDS: Final = (verify, repair)
