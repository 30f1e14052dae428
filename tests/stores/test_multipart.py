"""Large objects in parts: broken off they are taken up again, and what arrives is what was sent."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.vocabulary.errors import StorageError, StoreUnavailable
from models.vocabulary.spec import S3Store
from stores.s3 import S3
from tests.servers import S3Server, s3_client
from tests.stores.fault_proxy import Fault, FaultProxy
from tests.stores.test_s3 import LOOPBACK, keys_of

PART = 5 << 20
SIZE = 4 * PART + 1_000
KEY = "app/film 1.mp4"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(random.Random(3).randbytes(SIZE))
    return path


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint) as running:
        yield running


def put(server: S3Server, endpoint: str, film: Path) -> None:
    """By a process that knows nothing of those before it."""
    address = S3Store(vendor=11, bucket=server.bucket, endpoint=endpoint)
    store = S3(address, keys_of(server), allow_networks=LOOPBACK, sleep=lambda _: None, part_bytes=PART)
    with film.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    try:
        store.put(KEY, film, md5_hex=md5, content_type="video/mp4")
    finally:
        store.close()


def arrived(server: S3Server, film: Path) -> None:
    client = s3_client(server)
    found = client.get_object(Bucket=server.bucket, Key=KEY)
    assert found["ContentType"] == "video/mp4"
    assert found["Body"].read() == film.read_bytes()
    assert not client.list_multipart_uploads(Bucket=server.bucket).get("Uploads")


def parts_sent(proxy: FaultProxy) -> list[str]:
    return [seen.path.partition("partNumber=")[2][:1] for seen in proxy.seen if "partNumber=" in seen.path]


def test_a_large_file_arrives_in_parts(s3: S3Server, proxy: FaultProxy, film: Path) -> None:
    put(s3, proxy.url, film)
    arrived(s3, film)
    assert parts_sent(proxy) == ["1", "2", "3", "4", "5"]


def test_broken_off_it_goes_on_where_it_was(s3: S3Server, proxy: FaultProxy, film: Path) -> None:
    rule = proxy.add(Fault.RESET_MIDWAY, path="partNumber=4")
    with pytest.raises(StoreUnavailable):
        put(s3, proxy.url, film)
    rule.times = 0
    before = len(parts_sent(proxy))
    put(s3, proxy.url, film)
    arrived(s3, film)
    assert parts_sent(proxy)[before:] == ["4", "5"]


def test_an_answer_that_was_lost_costs_at_most_a_part(s3: S3Server, proxy: FaultProxy, film: Path) -> None:
    proxy.add(Fault.LOSE_ANSWER, path="partNumber=2", times=1)
    proxy.add(Fault.TRUNCATE, path="partNumber=3", times=1)
    put(s3, proxy.url, film)
    arrived(s3, film)


def test_a_damaged_part_is_refused_and_sent_again(s3: S3Server, proxy: FaultProxy, film: Path) -> None:
    proxy.add(Fault.DAMAGE, path="partNumber=2", times=1)
    with pytest.raises(StorageError):
        put(s3, proxy.url, film)
    put(s3, proxy.url, film)
    arrived(s3, film)


def test_a_completion_whose_answer_was_lost_is_made_good(s3: S3Server, proxy: FaultProxy, film: Path) -> None:
    proxy.add(Fault.LOSE_ANSWER, method="POST", path="uploadId=", times=2)
    with pytest.raises(StoreUnavailable):
        put(s3, proxy.url, film)
    put(s3, proxy.url, film)
    arrived(s3, film)


def test_parts_are_streamed_and_not_loaded(s3: S3Server, film: Path) -> None:
    put(s3, s3.endpoint, film)
    tracemalloc.start()
    put(s3, s3.endpoint, film)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 5_000_000  # less than one part
