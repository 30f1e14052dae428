"""A new worker in the place of an old one, on one host: it comes up, the old one hands its recordings over and leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Final

from farm.embedded import NODE, worker_argv
from models.database import Database, open_database
from models.repositories import nodes
from models.vocabulary.errors import ReelyardError

UP_WITHIN_S: Final = 60.0
POLL_S: Final = 0.5
TELL_S: Final = 10.0


class CannotRollOver(ReelyardError):
    """One worker cannot take the place of the other."""

    code, reason = 9550, "rollover"


def roll_over(old: str, new: str, environment: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Run worker `new` until it ends; returns its exit code. Raises `CannotRollOver` before anything has changed, or
    when the new worker does not come up: then the old one records on.
    """
    database = open_database(environment["REELYARD_DATABASE_URL"])
    try:
        _check(database, old, new)
        worker = subprocess.Popen(worker_argv(new), env=dict(environment), start_new_session=True)  # noqa: S603 - our own command
        with _passing_on(worker):
            _await_up(database, new, worker)
            say(f"{new} is up; {old} hands over")
            with database.unit() as session:
                nodes.set_draining(session, old, True)
            _await_left(database, old, worker, say)
            return worker.wait()
    finally:
        database.close()


def _check(database: Database, old: str, new: str) -> None:
    if old == NODE:
        raise CannotRollOver(f"{NODE} is a part of `reelyard up`, which ends with it; restart `reelyard up` instead")
    with database.unit() as session:
        up = {node.name for node in nodes.live(session)}
    if old not in up:
        raise CannotRollOver(f"no node {old} is up; up are: {', '.join(sorted(up)) or 'none'}")
    if new in up:
        raise CannotRollOver(f"a node {new} is up already; the new worker needs another name")


@contextmanager
def _passing_on(worker: subprocess.Popen[bytes]) -> Iterator[None]:
    """What we are told to do, the worker is told."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if worker.poll() is None:
            worker.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except BaseException:
        if worker.poll() is None:
            worker.terminate()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await_up(database: Database, new: str, worker: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + UP_WITHIN_S
    while True:
        with database.unit() as session:
            if any(node.name == new for node in nodes.live(session)):
                return
        if (code := worker.poll()) is not None:
            raise CannotRollOver(f"the new worker left with code {code}; the old one records on")
        if time.monotonic() > until:
            raise CannotRollOver(f"the new worker was not up after {UP_WITHIN_S:.0f} s; the old one records on")
        time.sleep(POLL_S)


def _await_left(database: Database, old: str, worker: subprocess.Popen[bytes], say: Callable[[str], None]) -> None:
    told = began = time.monotonic()
    while worker.poll() is None:
        with database.unit() as session:
            if all(node.name != old for node in nodes.live(session)):
                say(f"{old} has left after {time.monotonic() - began:.0f} s")
                return
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            say(f"{old} still hands over; `reelyard nodes` shows how much it has left")
        time.sleep(POLL_S)


def beside(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """The environment of a worker of that name on this host: the same farm and ingest, a spool of its own."""
    spool = environment.get("REELYARD_SPOOL", "spool").rstrip(os.sep)
    return dict(environment) | {"REELYARD_NODE_NAME": name, "REELYARD_SPOOL": f"{spool}-{name}"}
