"""Commands on a farm's state: `reelyard app`, `key`, `token`, `migrate`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final, TextIO

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import inspect

from models import secrets
from models.database import Database, open_database
from models.repositories import apps
from models.schema import upgrade
from models.settings import settings
from models.tokens import Audience, mint_whip, whip_keys
from models.vocabulary.address import SUPPORTED, check
from models.vocabulary.errors import ChannelAddressInvalid, ReelyardError
from models.vocabulary.spec import FolderStore, StoreAddress
from scheduler.operators import AppChanges, Operators
from stores.opening import folder_below
from workers.recorder.capture.script import load

out = Console()
#: More than any secret has.
MAX_SECRET: Final = 4_096


class NotMigrated(ReelyardError):
    """The database has no schema."""

    code, reason = 9520, "database"


def database(url: str | None = None) -> Database:
    """Of that URL, or of the settings. Raises `NotMigrated`, or `StateUnavailable`."""
    found = open_database(url or settings().database_url)
    with found.unit() as session:
        if not inspect(session.connection()).has_table("app"):
            raise NotMigrated("there is no schema of ours in it; run `reelyard migrate` first")
    return found


@click.command()
def migrate() -> None:
    """Bring the database of REELYARD_DATABASE_URL up to this version's schema."""
    upgrade(settings().database_url)
    out.print("the schema is up to date")


@click.command()
def key() -> None:
    """Make a key for REELYARD_SECRET_KEYS."""
    out.print(secrets.generate_key(), highlight=False, soft_wrap=True)


@click.group()
def app() -> None:
    """Apps: whose channels are recorded, and where the files go."""


def checked_channel(address: str) -> str:
    """With the file's whole path: workers start in other folders."""
    try:
        check(address)
    except ChannelAddressInvalid as error:
        raise click.BadParameter(error.text, param_hint="--channel") from error
    if not address.startswith("scripted:"):
        return address
    file = Path(address.removeprefix("scripted:"))
    if not file.is_file():
        raise click.BadParameter(f"there is no file {file}", param_hint="--channel")
    load(file)
    return f"scripted:{file.resolve()}"


@app.command("add")
@click.argument("name")
@click.option("--channel", default="whip:", show_default=True, help=SUPPORTED)
@click.option(
    "--folder",
    help="Record into this folder, absolute or below REELYARD_STORES_ROOT, whatever a request's storageConfig names.",
)
@click.option("--slice", "slice_s", default=6, show_default=True, type=click.IntRange(1, 60), help="Seconds a segment.")
@click.option("--notices", "notice_url", default="", help="URL that is told what happens.")
def app_add(name: str, channel: str, folder: str | None, slice_s: int, notice_url: str) -> None:
    """Add an app and make a customer key for it. The secret is shown this once."""
    address = checked_channel(channel)
    store: StoreAddress | None = None
    if folder is not None:
        store = FolderStore(path=str(folder_below(settings().stores_root, folder)))
    db = database()
    with db.unit() as session:
        row = apps.add(
            session, appid=None, name=name, channel=address, store=store, slice_s=slice_s, notice_url=notice_url
        )
        customer_key, secret = apps.new_key(session, [row.appid])
        appid = row.appid
    made = {"appid": appid, "customer_key": customer_key, "customer_secret": secret}
    sys.stdout.write(json.dumps(made) + "\n")


@app.command("list")
@click.option("--json", "as_json", is_flag=True)
def app_list(as_json: bool) -> None:
    """List the apps."""
    with database().unit() as session:
        rows = [
            {"appid": a.appid, "name": a.name, "channel": a.channel, "store": (a.store or {}).get("kind", "request")}
            for a in apps.list_apps(session)
        ]
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    table = Table("appid", "name", "channel", "store", box=None)
    for row in rows:
        table.add_row(*row.values())
    out.print(table)


@app.command("rm")
@click.argument("appid")
def app_rm(appid: str) -> None:
    """Remove an app with its records. Refused while it records; files in stores stay."""
    with database().unit() as session:
        apps.remove(session, appid)
    out.print(f"{appid} is gone", highlight=False)


@app.command("set")
@click.argument("appid")
@click.option("--notices", "notice_url", help='URL that is told what happens; "" ends it.')
@click.option(
    "--notice-secret",
    type=click.File("r"),
    help="File of what signs notices, - for standard input; without it one is made, or the one there is stays.",
)
@click.option(
    "--requests", "requests_per_s", type=click.IntRange(1, 100_000), help="Requests a second; 100000: no limit."
)
@click.option("--most", type=click.IntRange(0), help="Recordings at once; 0: no limit.")
@click.option("--after-end", type=click.Choice(["original", "record"]), help="What query answers after the end.")
@click.option(
    "--when-full",
    type=click.Choice(["refuse", "wait"]),
    help="A start without room: refused by the contract's 50x, or begun within 90 s of waiting.",
)
@click.option(
    "--keep-files",
    "keep_files_days",
    type=click.IntRange(0, 36_500),
    help="Days that files stay in its own store; 0: for ever.",
)
def app_set(
    appid: str,
    notice_url: str | None,
    notice_secret: TextIO | None,
    requests_per_s: int | None,
    most: int | None,
    after_end: str | None,
    when_full: str | None,
    keep_files_days: int | None,
) -> None:
    """Change an app; what is not named stays. Prints it, with the secret that signs its notices."""
    changes = AppChanges(
        requests_per_s=requests_per_s,
        max_recordings=most,
        query_after_end=after_end,
        when_full=when_full,
        keep_files_days=keep_files_days,
    )
    operators = Operators(database(), settings())
    told = operators.change(appid, changes)
    if notice_url is not None or notice_secret is not None:
        secret = "" if notice_secret is None else notice_secret.read(MAX_SECRET).strip()
        told |= operators.set_notices(appid, told["notice_url"] if notice_url is None else notice_url, secret)
    sys.stdout.write(json.dumps(told) + "\n")


@click.command()
@click.argument("appid")
@click.argument("cname")
@click.argument("uid")
@click.option("--ttl", "ttl_s", default=3600, show_default=True, help="Seconds the token is good for.")
def token(appid: str, cname: str, uid: str, ttl_s: int) -> None:
    """Make a bearer token with which UID may publish into CNAME by WHIP."""
    signing = whip_keys(settings().secret_keys.get_secret_value())[0]
    made = mint_whip(signing, appid, cname, uid, ttl_s, time.time(), Audience.WHIP)
    sys.stdout.write(made + "\n")


COMMANDS: Final = (app, key, token, migrate)
