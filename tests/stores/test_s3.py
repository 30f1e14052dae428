"""A real S3 behind faults: what counts as stored, what is tried again, and what is told to whom."""

from __future__ import annotations

import hashlib
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from models.vocabulary.errors import (
    AddressRefused,
    BadParameter,
    Scope,
    StorageError,
    StoreCorrupt,
    StoreRefused,
    StoreTokenExpired,
    StoreUnavailable,
)
from models.vocabulary.spec import S3Store, StoreKeys
from net.http import fetch
from stores.s3 import S3
from tests.servers import S3Server
from tests.stores.fault_proxy import Fault, FaultProxy

LOOPBACK = (ip_network("127.0.0.0/8"),)
BODY = b"segment " * 20_000
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint) as running:
        yield running


def keys_of(server: S3Server) -> StoreKeys:
    return StoreKeys(access_key=server.access_key, secret_key=server.secret_key)


@contextmanager
def opened(server: S3Server, endpoint: str, keys: StoreKeys | None = None, **address: str) -> Iterator[S3]:
    bucket = address.pop("bucket", server.bucket)
    where = S3Store(vendor=11, bucket=bucket, endpoint=endpoint, **address)
    store = S3(where, keys or keys_of(server), allow_networks=LOOPBACK, sleep=lambda _: None)
    yield store
    store.close()


@pytest.fixture
def store(s3: S3Server, proxy: FaultProxy) -> Iterator[S3]:
    with opened(s3, proxy.url) as ready:
        yield ready


def put(store: S3, key: str = "a.ts", timeout_s: float | None = None) -> None:
    store.put(key, BODY, md5_hex=MD5, content_type="video/mp2t", timeout_s=timeout_s)


PASSING = [
    {"fault": Fault.STATUS, "status": 503},
    {"fault": Fault.STATUS, "status": 500},
    {"fault": Fault.STATUS, "status": 429},
    {"fault": Fault.STATUS, "status": 507},
    {"fault": Fault.STATUS, "status": 400, "code": "RequestTimeout"},
    {"fault": Fault.RESET_NOW},
    {"fault": Fault.RESET_MIDWAY},
    {"fault": Fault.LOSE_ANSWER},
    {"fault": Fault.TRUNCATE},
    {"fault": Fault.CUT_HEADERS},
    {"fault": Fault.DROP_ETAG},
]


@pytest.mark.parametrize("rule", PASSING, ids=lambda rule: "-".join(str(value) for value in rule.values()))
def test_a_fault_that_passes_costs_one_more_request(store: S3, proxy: FaultProxy, rule: dict[str, object]) -> None:
    proxy.add(**rule, times=1)  # type: ignore[arg-type]  # Rule's own fields
    put(store)
    assert [seen.method for seen in proxy.seen] == ["PUT", "PUT"]
    assert store.get_range("a.ts") == BODY


@pytest.mark.parametrize("rule", PASSING, ids=lambda rule: "-".join(str(value) for value in rule.values()))
def test_a_fault_that_stays_is_never_taken_for_success(store: S3, proxy: FaultProxy, rule: dict[str, object]) -> None:
    proxy.add(**rule)  # type: ignore[arg-type]  # Rule's own fields
    with pytest.raises(StoreUnavailable) as caught:
        put(store)
    assert caught.value.retryable
    assert len(proxy.seen) == 2


def test_an_acknowledgement_of_other_bytes_is_corruption(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.WRONG_ETAG)
    with pytest.raises(StoreCorrupt):
        put(store)


def test_bytes_damaged_on_their_way_are_refused_by_the_store_and_not_kept(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.DAMAGE)
    with pytest.raises(StorageError) as caught:
        put(store)
    assert isinstance(caught.value, StoreCorrupt)
    assert store.head("a.ts") is None


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.DRIP])
def test_a_put_ends_within_its_limit_however_the_store_dawdles(store: S3, proxy: FaultProxy, fault: Fault) -> None:
    proxy.add(fault)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="in time"):
        put(store, timeout_s=0.5)
    assert 0.4 < time.monotonic() - began < 1.5


def test_after_a_stall_the_store_is_used_again_at_once(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.STALL, times=1)
    with pytest.raises(StoreUnavailable):
        put(store, timeout_s=0.3)
    put(store, "b.ts", timeout_s=5)
    assert store.list() == ["b.ts"]


def test_stalled_puts_do_not_hold_up_others(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.STALL, path="slow")
    slow = [threading.Thread(target=_failing, args=(store, f"slow{n}.ts")) for n in range(3)]
    for thread in slow:
        thread.start()
    put(store, "fast.ts", timeout_s=3)
    for thread in slow:
        thread.join()
    assert store.list() == ["fast.ts"]


def _failing(store: S3, key: str) -> None:
    with pytest.raises(StoreUnavailable):
        put(store, key, timeout_s=1.0)


def test_a_large_file_is_streamed_and_not_loaded(store: S3, s3: S3Server, tmp_path: Path) -> None:
    source = tmp_path / "large.mp4"
    source.write_bytes(b"0123456789abcdef" * (24 << 16))
    with source.open("rb") as file:
        md5_hex = hashlib.file_digest(file, "md5").hexdigest()
    with opened(s3, s3.endpoint) as direct:
        direct.probe()
        tracemalloc.start()
        direct.put("large.mp4", source, md5_hex=md5_hex, content_type="video/mp4")
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 6_000_000
    found = store.head("large.mp4")
    assert found is not None
    assert (found.bytes, found.etag) == (source.stat().st_size, md5_hex)


def test_a_wrong_access_key_is_named_and_asked_about_once(s3: S3Server, proxy: FaultProxy) -> None:
    keys = StoreKeys(access_key="NOBODY", secret_key="a-secret-that-must-not-show")
    with opened(s3, proxy.url, keys) as store, pytest.raises(StoreRefused, match="accessKey is not known") as caught:
        put(store)
    assert len(proxy.seen) == 1
    assert (caught.value.scope, caught.value.retryable) == (Scope.CALLER, False)


def test_a_wrong_secret_is_named_and_never_shown(s3: S3Server, proxy: FaultProxy) -> None:
    keys = StoreKeys(access_key=s3.access_key, secret_key="a-secret-that-must-not-show")
    with opened(s3, proxy.url, keys) as store, pytest.raises(StoreRefused, match="secretKey does not belong") as caught:
        put(store)
    assert "must-not-show" not in str(caught.value)
    assert s3.access_key not in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(s3: S3Server, proxy: FaultProxy) -> None:
    with opened(s3, proxy.url, bucket="no-such-bucket") as store:
        with pytest.raises(StoreRefused, match="bucket no-such-bucket does not exist"):
            put(store)
        with pytest.raises(StoreRefused, match="bucket no-such-bucket does not exist"):
            store.probe()


def test_a_key_that_may_only_read_is_told_that_it_may_not_write(s3: S3Server, proxy: FaultProxy) -> None:
    keys = StoreKeys(access_key=s3.readonly_access_key, secret_key=s3.readonly_secret_key)
    with opened(s3, proxy.url, keys) as store:
        store.probe()
        with pytest.raises(StoreRefused, match="may not write"):
            put(store)
    assert [seen.method for seen in proxy.seen] == ["GET", "PUT"]


def test_a_wrong_region_is_named(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.STATUS, status=400, code="AuthorizationHeaderMalformed")
    with pytest.raises(StoreRefused, match="region us-east-1 is wrong"):
        put(store)


def test_a_key_that_may_only_put_passes_the_probe_and_is_remembered_as_such(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.STATUS, method="GET", status=403, code="AccessDenied")
    store.probe()
    assert not store.caps.reads
    put(store)


def test_an_expired_token_asks_for_a_new_one(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.STATUS, status=400, code="ExpiredToken")
    with pytest.raises(StoreTokenExpired, match="by update"):
        put(store)


def test_a_refused_head_is_an_error_and_not_an_absence(store: S3, proxy: FaultProxy) -> None:
    proxy.add(Fault.STATUS, method="HEAD", status=403)
    with pytest.raises(StoreRefused):
        store.head("a.ts")


def test_a_clock_that_is_wrong_is_put_right_by_the_stores_own(s3: S3Server, proxy: FaultProxy) -> None:
    real_s = time.time()
    proxy.add(Fault.STATUS, status=403, code="RequestTimeTooSkewed", date_s=real_s, times=1)
    address = S3Store(vendor=11, bucket=s3.bucket, endpoint=proxy.url)
    store = S3(address, keys_of(s3), allow_networks=LOOPBACK, wall=lambda: real_s - 86_400, sleep=lambda _: None)
    put(store)
    put(store, "b.ts")
    store.close()
    dates = [seen.headers["x-amz-date"] for seen in proxy.seen]
    assert dates[0] == time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(real_s - 86_400))
    assert all(date[:8] == time.strftime("%Y%m%d", time.gmtime(real_s)) for date in dates[1:])
    assert len(dates) == 3


def test_every_put_carries_its_checksum_and_no_trailer(store: S3, proxy: FaultProxy) -> None:
    put(store)
    headers = proxy.seen[0].headers
    assert "content-md5" in headers
    assert headers["content-type"] == "video/mp2t"
    assert headers["content-length"] == str(len(BODY))
    assert not {"expect", "x-amz-trailer", "content-encoding", "transfer-encoding"} & headers.keys()


def test_a_presigned_address_needs_no_keys(s3: S3Server, store: S3) -> None:
    put(store)
    url = store.presign("a.ts", 60)
    assert url is not None
    assert s3.secret_key not in url
    assert fetch("GET", url, allow_networks=LOOPBACK).body == BODY


def test_a_private_endpoint_is_refused_unless_its_network_is_allowed(s3: S3Server) -> None:
    store = S3(S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint), keys_of(s3))
    with pytest.raises(AddressRefused, match="REELYARD_ALLOW_NETWORKS"):
        store.probe()
    with pytest.raises(AddressRefused):
        put(store)
    store.close()


def test_without_keys_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-machines-own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-machines-own")
    address = S3Store(vendor=1, bucket="some-bucket")
    with pytest.raises(BadParameter, match="accessKey"):
        S3(address, StoreKeys(secret_key="s"))
    with pytest.raises(BadParameter, match="secretKey"):
        S3(address, StoreKeys(access_key="a"))


def test_a_dead_endpoint_is_unavailable(s3: S3Server) -> None:
    with FaultProxy(s3.endpoint) as gone:
        url = gone.url
    with opened(s3, url) as store, pytest.raises(StoreUnavailable):
        put(store)
