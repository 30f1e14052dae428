"""The `reelyard` command: the embedded farm, the demo, the player. What works on a farm's state is in `farm.admin`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from farm import admin, pulling, slots
from farm.embedded import EmbeddedFarm, Ports, base_environment, second_worker, worker_argv
from farm.flower import USER
from farm.home import read_environment
from farm.interrupts import Interrupts
from farm.operators import commands as operators
from farm.player import server
from farm.rollover import beside, roll_over
from models.settings import settings
from models.vocabulary.errors import ReelyardError

Folder: Final = click.Path(path_type=Path, file_okay=False)

err = Console(stderr=True)


class Group(click.Group):
    """What goes wrong is one line and an exit code, never a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReelyardError as error:
            raise click.ClickException(f"{error.reason}: {error.text}") from error
        except ValidationError as error:
            raise click.ClickException(_settings(error)) from error
        except BrokenPipeError:
            raise  # click's own: whoever read our output has left
        except OSError as error:
            raise click.ClickException(f"{error.filename or 'system'}: {error.strerror or error}") from error


def _settings(error: ValidationError) -> str:
    wrong = (f"REELYARD_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors(include_input=False))
    return "settings: " + "; ".join(wrong)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reelyard-server")
def main() -> None:
    """Reelyard: a self-hosted recording farm. One recording, one playlist, whatever dies."""


for command in (*admin.COMMANDS, *pulling.COMMANDS, *operators.COMMANDS):
    main.add_command(command)


@main.command()
@click.option("--dir", "folder", type=Folder, default=Path(".reelyard"), show_default=True)
@click.option("--port", default=8180, show_default=True, help="Port of the gateway on 127.0.0.1; 0 takes a free one.")
@click.option(
    "--channel", default="whip:", show_default=True, help="Where the embedded app's channels are (first start only)."
)
@click.option(
    "--slice",
    "slice_s",
    default=6,
    show_default=True,
    type=click.IntRange(1, 60),
    help="Seconds a segment (first start only).",
)
@click.option("--flower", "with_flower", is_flag=True, help="Run Flower, too, on a port of 127.0.0.1 that is printed.")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one line of JSON with URL and keys.")
def up(folder: Path, port: int, channel: str, slice_s: int, with_flower: bool, as_json: bool) -> None:
    """Run the whole farm on this machine until Ctrl-C: gateway, scheduler, worker, ingest."""
    settings()  # what is wrong with them is said here, not in five logs
    address = admin.checked_channel(channel)
    say: Callable[[str], None] = (lambda _: None) if as_json else (lambda text: err.print(f"[dim]{text} …[/]"))
    with Interrupts() as interrupts:
        farm = EmbeddedFarm(folder, Ports.free(port), channel=address, slice_s=slice_s, with_flower=with_flower)
        try:
            farm.start(say)
            _ready(farm, flower=with_flower, as_json=as_json)
            farm.watch()
        except KeyboardInterrupt:
            say("stopping; Ctrl-C again does not wait for uploads")
        finally:
            interrupts.ending()
            farm.stop(say, interrupts.hurried)


def _ready(farm: EmbeddedFarm, *, flower: bool, as_json: bool) -> None:
    told = {
        "url": farm.url,
        "appid": farm.identity.appid,
        "customer_key": farm.identity.customer_key,
        "customer_secret": farm.identity.customer_secret,
        "store": str(farm.store),
    }
    if flower:
        told |= {"flower": farm.flower_url, "flower_user": USER, "flower_password": farm.identity.flower_password}
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        return
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in told.items():
        table.add_row(f"[bold]{name}[/]", value)
    err.print("[green]Reelyard is up.[/] Ctrl-C ends recordings in order and stops it.")
    err.print(table)


@main.command()
@click.argument("name")
@click.option("--dir", "folder", type=Folder, default=Path(".reelyard"), show_default=True, help="Of the running farm.")
def worker(name: str, folder: Path) -> None:
    """Run one more worker, called NAME, beside the embedded farm of this machine."""
    _check_name(name, "NAME")
    argv = worker_argv(name)
    os.execve(argv[0], argv, second_worker(read_environment(folder.resolve()), name))  # noqa: S606 - our own command


def _check_name(name: str, shown: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise click.BadParameter("must be 1 to 64 letters, digits, '.', '_' or '-'", param_hint=shown)


@main.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--dir",
    "folder",
    type=Folder,
    help="Of an embedded farm that the workers stand beside; else our own environment counts.",
)
def rollover(old: str, new: str, folder: Path | None) -> None:
    """Run a worker called NEW in the place of the worker OLD of this host: NEW comes up, OLD hands its recordings over, without
    a lost frame, and leaves; this command goes on as NEW. For a new version: install it beside the old one and run this from there.
    """
    _check_name(new, "NEW")
    if folder is not None:
        environment = second_worker(read_environment(folder.resolve()), new)
    else:
        chosen = settings()
        known = {"REELYARD_DATABASE_URL": chosen.database_url, "REELYARD_SPOOL": str(chosen.spool)}
        environment = beside(base_environment() | known, new)
    sys.exit(roll_over(old, new, environment, lambda text: err.print(text, highlight=False)))


@main.command()
def node() -> None:
    """Run one more worker of this host: the first of NAME-1, NAME-2, … that is free, its spool in a folder of that name.

    NAME is REELYARD_NODE_NAME, the folder's parent REELYARD_SPOOL. A worker that comes back takes up what it left.
    """
    chosen = settings()
    name, spool = slots.take(chosen.spool.resolve(), chosen.node_name)
    argv = worker_argv(name)
    env = base_environment() | {"REELYARD_NODE_NAME": name, "REELYARD_SPOOL": str(spool)}
    os.execve(argv[0], argv, env)  # noqa: S606 - our own command


@main.command()
@click.option("--out", "folder", type=Folder, default=Path("demo-output"), show_default=True)
@click.option(
    "--seconds", default=20, show_default=True, type=click.IntRange(15, 600), help="How long to record once it runs."
)
def demo(folder: Path, seconds: int) -> None:
    """Record a WebRTC call of three synthetic users on this machine and show what came out."""
    from farm.demo import run

    sys.exit(run(folder, seconds))


@main.command()
@click.argument("target", type=click.Path(path_type=Path), metavar="PLAYLIST|DIR")
@click.option("--port", default=0, show_default="a free one", help="Port on 127.0.0.1.")
def play(target: Path, port: int) -> None:
    """Serve a recording's folder on 127.0.0.1, with a page that plays it, until Ctrl-C."""
    folder, first = server.open_target(target)
    sock = server.listen(port)
    click.echo(f"http://127.0.0.1:{sock.getsockname()[1]}/")
    try:
        server.serve(folder, first, sock)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
