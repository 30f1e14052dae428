"""The directory that makes an embedded farm: its identity, its lock, and what commands beside it need to know."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from models import secrets
from models.database import open_database
from models.repositories import apps
from models.schema import upgrade
from models.vocabulary.errors import ReelyardError
from models.vocabulary.spec import FolderStore

IDENTITY: Final = "farm.json"
ENVIRONMENT: Final = "environment"
LOCK: Final = "lock"


class FarmRuns(ReelyardError):
    """Another farm runs in this directory."""

    code, reason = 9501, "farm"


class NoFarm(ReelyardError):
    """There is no embedded farm in this directory."""

    code, reason = 9502, "farm"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a directory this farm: its keys, and its one app."""

    secret_key: str = field(repr=False)
    appid: str
    customer_key: str
    customer_secret: str = field(repr=False)
    flower_password: str = field(repr=False)


class Home:
    """One process at a time has it, until `leave` or its death. Raises `FarmRuns`."""

    def __init__(self, folder: Path, *, channel: str, slice_s: int) -> None:
        self.folder = folder.resolve()
        for path in (self.folder, self.logs, self.spool, self.store):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._take()
        try:
            self.identity = self._identity(channel, slice_s)
        except BaseException:
            self.leave()
            raise

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'reelyard.db'}"

    def leave(self) -> None:
        """Give the lock back. Again: nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self) -> int:
        fd = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(fd, 20).decode(errors="replace").strip()
            os.close(fd)
            raise FarmRuns(f"a farm runs in {self.folder} already (process {pid or 'unknown'})") from None
        os.truncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        return fd

    def _identity(self, channel: str, slice_s: int) -> Identity:
        path = self.folder / IDENTITY
        (self.folder / "reelyard.db").touch(mode=0o600)  # its journals get the mode of the file
        if path.exists():
            identity = _read(path)
            write_private(path, json.dumps(asdict(identity)))  # with what a version before did not know
            secrets.use_keys([identity.secret_key])
            upgrade(self.database_url)
            return identity
        key = secrets.generate_key()
        secrets.use_keys([key])
        upgrade(self.database_url)
        identity = self._new_app(key, channel, slice_s)
        write_private(path, json.dumps(asdict(identity)))
        return identity

    def _new_app(self, key: str, channel: str, slice_s: int) -> Identity:
        database = open_database(self.database_url)
        try:
            with database.unit() as session:
                store = FolderStore(path=str(self.store))
                app = apps.add(session, appid=None, name="embedded", channel=channel, store=store, slice_s=slice_s)
                customer_key, customer_secret = apps.new_key(session, [app.appid])
                return Identity(key, app.appid, customer_key, customer_secret, token_urlsafe(16))
        finally:
            database.close()


def _read(path: Path) -> Identity:
    try:
        return Identity(**{"flower_password": token_urlsafe(16)} | json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise NoFarm(f"{path} is no farm's identity") from error


def write_private(path: Path, text: str) -> None:
    """The file is there whole or not at all, and only its owner may read it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)
    draft.replace(path)


def write_environment(folder: Path, environment: Mapping[str, str]) -> None:
    """REELYARD_* of the running farm, as a shell reads them: for commands and workers beside it."""
    mine = {name: value for name, value in environment.items() if name.startswith("REELYARD_")}
    write_private(folder / ENVIRONMENT, "".join(f"{n}={shlex.quote(v)}\n" for n, v in mine.items()))


def read_environment(folder: Path) -> dict[str, str]:
    """Raises `NoFarm`."""
    path = folder / ENVIRONMENT
    if not path.is_file():
        raise NoFarm(f"no farm has run in {folder}: start one with `reelyard up --dir {folder}`")
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in lines}
