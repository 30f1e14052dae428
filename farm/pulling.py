"""Commands on the users of `pull:` channels: `reelyard pull`."""

from __future__ import annotations

import json
import sys
from typing import Final

import click

from farm.admin import database
from models.settings import settings
from models.vocabulary.pulls import MAX_URL
from scheduler.pulling import Pulling


def _door() -> Pulling:
    """Whoever may run this may name files. Recorders that are on hear of a change with their next renewal."""
    return Pulling(database(), settings(), files=True)


@click.group()
def pull() -> None:
    """Users of a channel that are URLs, of apps whose channel is pull:."""


@pull.command("add")
@click.argument("appid")
@click.argument("cname")
@click.argument("uid")
@click.argument("url")
def pull_add(appid: str, cname: str, uid: str, url: str) -> None:
    """Add a user that is a URL, or give him another one. URL "-" is read from standard input, where nobody else sees its
    password. file:/PATH names a file of the recorder's host; the HTTP API does not take that.
    """
    found = sys.stdin.readline(MAX_URL + 2).strip() if url == "-" else url
    sys.stdout.write(json.dumps(_door().add(appid, cname, uid, found)) + "\n")


@pull.command("list")
@click.argument("appid")
@click.argument("cname")
def pull_list(appid: str, cname: str) -> None:
    """List a channel's users as JSON, of each URL scheme and host alone."""
    sys.stdout.write(json.dumps(_door().users(appid, cname)["users"]) + "\n")


@pull.command("rm")
@click.argument("appid")
@click.argument("cname")
@click.argument("uid")
def pull_rm(appid: str, cname: str, uid: str) -> None:
    """Remove a user."""
    _door().remove(appid, cname, uid)
    sys.stdout.write(f"{uid} is gone\n")


COMMANDS: Final = (pull,)
