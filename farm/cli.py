"""The `reelyard` command."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from farm.embedded import EmbeddedFarm, Ports
from models import secrets
from models.database import Database, open_database, upgrade
from models.repositories import apps
from models.settings import settings
from models.tokens import Audience, mint_whip, whip_keys
from models.vocabulary.errors import ReelyardError
from models.vocabulary.spec import FolderStore, StoreAddress

CHANNEL_SCHEMES: Final = ("whip:", "scripted:")

out = Console()
err = Console(stderr=True)


class Group(click.Group):
    """Errors of ours are one line and an exit code, never a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReelyardError as error:
            raise click.ClickException(f"{error.reason}: {error.text}") from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reelyard-server")
def main() -> None:
    """Reelyard: a self-hosted recording farm. One recording, one playlist, whatever dies."""


# -- the embedded farm ------------------------------------------------------------------------------------------


@main.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path(".reelyard"), show_default=True)
@click.option("--port", default=8180, show_default=True, help="Port of the gateway on 127.0.0.1; 0 takes a free one.")
@click.option(
    "--channel", default="whip:", show_default=True, help="Where the embedded app's channels are (first start only)."
)
@click.option("--slice", "slice_s", default=6, show_default=True, help="Seconds a segment (first start only).")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one line of JSON with URL and keys.")
def up(folder: Path, port: int, channel: str, slice_s: int, as_json: bool) -> None:
    """Run the whole farm on this machine until Ctrl-C: gateway, scheduler, worker, ingest."""
    check_channel(channel)
    farm = EmbeddedFarm(folder, Ports.free(port), channel=channel, slice_s=slice_s)
    signal.signal(signal.SIGTERM, _interrupt)
    say = (lambda _: None) if as_json else (lambda text: err.print(f"[dim]{text} …[/]"))
    farm.start(say)
    ready = {
        "url": farm.url,
        "appid": farm.identity.appid,
        "customer_key": farm.identity.customer_key,
        "customer_secret": farm.identity.customer_secret,
        "store": str(farm.store),
    }
    if as_json:
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
    else:
        _greet(ready)
    try:
        farm.watch()
    except KeyboardInterrupt:
        say("stopping")
    finally:
        farm.stop(say)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _greet(ready: dict[str, str]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in ready.items():
        table.add_row(f"[bold]{name}[/]", value)
    err.print("[green]Reelyard is up.[/] Ctrl-C ends recordings in order and stops it.")
    err.print(table)


@main.command()
@click.option("--out", "folder", type=click.Path(path_type=Path), default=Path("demo-output"), show_default=True)
@click.option("--seconds", default=20, show_default=True, help="How long to record once it runs.")
def demo(folder: Path, seconds: int) -> None:
    """Record a WebRTC call of three synthetic users on this machine and show what came out."""
    from farm.demo import run

    sys.exit(run(folder, seconds))


# -- state ------------------------------------------------------------------------------------------------------


def database() -> Database:
    return open_database(settings().database_url)


@main.command()
def migrate() -> None:
    """Bring the database of REELYARD_DATABASE_URL up to this version's schema."""
    upgrade(settings().database_url)
    out.print("the schema is up to date")


@main.command()
def key() -> None:
    """Make a key for REELYARD_SECRET_KEYS."""
    out.print(secrets.generate_key(), highlight=False, soft_wrap=True)


@main.group()
def app() -> None:
    """Apps: whose channels are recorded, and where the files go."""


def check_channel(address: str) -> None:
    if not address.startswith(CHANNEL_SCHEMES):
        raise click.BadParameter("must be whip: or scripted:FILE.json", param_hint="--channel")
    if address.startswith("scripted:") and not Path(address.removeprefix("scripted:")).is_file():
        raise click.BadParameter(f"there is no file {address.removeprefix('scripted:')}", param_hint="--channel")


@app.command("add")
@click.argument("name")
@click.option("--channel", default="whip:", show_default=True, help="whip: or scripted:FILE.json")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Record into this local folder, whatever a request's storageConfig names.",
)
@click.option("--slice", "slice_s", default=6, show_default=True, help="Seconds a segment.")
@click.option("--notices", "notice_url", default="", help="URL that is told what happens.")
def app_add(name: str, channel: str, folder: Path | None, slice_s: int, notice_url: str) -> None:
    """Add an app and make a customer key for it. The secret is shown this once."""
    check_channel(channel)
    store: StoreAddress | None = None if folder is None else FolderStore(path=str(folder.resolve()))
    db = database()
    with db.unit() as session:
        row = apps.add(
            session, appid=None, name=name, channel=channel, store=store, slice_s=slice_s, notice_url=notice_url
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


@main.command()
@click.argument("appid")
@click.argument("cname")
@click.argument("uid")
@click.option("--ttl", "ttl_s", default=3600, show_default=True, help="Seconds the token is good for.")
def token(appid: str, cname: str, uid: str, ttl_s: int) -> None:
    """Make a bearer token with which UID may publish into CNAME by WHIP."""
    signing = whip_keys(settings().secret_keys.get_secret_value())[0]
    made = mint_whip(signing, appid, cname, uid, ttl_s, time.time(), Audience.WHIP)
    sys.stdout.write(made + "\n")


if __name__ == "__main__":
    main()
