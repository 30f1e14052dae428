"""The vendors' table, and the requests that follow from its rows, as a server saw them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.settings import settings
from models.vocabulary.errors import BadParameter, Internal, StorageError
from models.vocabulary.spec import S3Store, StoreKeys
from stores import vendors_page
from stores.opening import open_store
from stores.s3 import S3
from stores.vendors import VENDORS, configured, endpoint_url, place, vendor_table
from tests.servers import S3Server
from tests.stores.fault_proxy import FaultProxy, Seen

KEYS = StoreKeys(access_key="AKEXAMPLE", secret_key="secret-example")
BODY = b"segment"
MD5 = hashlib.md5(BODY).hexdigest()


def test_every_row_that_is_taken_yields_an_endpoint_for_each_of_its_regions() -> None:
    for number, vendor in VENDORS.items():
        for region in vendor.regions or {0: ""}:
            if vendor.refused:
                continue
            found = place(S3Store(vendor=number, region=region, bucket="bucket", endpoint="s3.example.com"))
            assert found.endpoint.startswith("https://")
            assert "{" not in found.endpoint
            assert found.region
            assert found.named_by_user == (number == 11)


@pytest.mark.parametrize(
    ("vendor", "region", "endpoint", "signed"),
    [
        (0, 0, "https://s3-cn-east-1.qiniucs.com", "cn-east-1"),
        (1, 0, "https://s3.us-east-1.amazonaws.com", "us-east-1"),
        (1, 7, "https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        (1, 15, "https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (1, 21, "https://s3.eu-north-1.amazonaws.com", "eu-north-1"),
        (1, 24, "https://s3.ap-southeast-3.amazonaws.com", "ap-southeast-3"),
        (1, 28, "https://s3.il-central-1.amazonaws.com", "il-central-1"),
        (2, 1, "https://s3.oss-cn-shanghai.aliyuncs.com", "cn-shanghai"),
        (2, 25, "https://s3.oss-cn-wulanchabu.aliyuncs.com", "cn-wulanchabu"),
        (3, 19, "https://cos.eu-moscow.myqcloud.com", "eu-moscow"),
        (4, 9, "https://ks3-sgp.ksyuncs.com", "SINGAPORE"),
        (6, 5, "https://storage.googleapis.com", "auto"),
        (7, 15, "https://obs.sa-chile-1.myhuaweicloud.com", "sa-chile-1"),
        (8, 7, "https://s3.fsh.bcebos.com", "fsh"),
    ],
)
def test_a_vendors_region_is_at(vendor: int, region: int, endpoint: str, signed: str) -> None:
    found = place(S3Store(vendor=vendor, region=region, bucket="bucket"))
    assert (found.endpoint, found.region) == (endpoint, signed)


@pytest.mark.parametrize(
    ("vendor", "region", "field"),
    [
        (9, 0, "storageConfig.vendor"),
        (99, 0, "storageConfig.vendor"),
        (1, 26, "storageConfig.region"),
        (2, -1, "storageConfig.region"),
    ],
)
def test_a_vendor_or_region_that_is_not_there_is_named(vendor: int, region: int, field: str) -> None:
    with pytest.raises(BadParameter, match=field):
        place(S3Store(vendor=vendor, region=region, bucket="bucket"))


def test_azure_is_refused_with_the_reason() -> None:
    with pytest.raises(BadParameter, match="Azure Blob Storage does not speak S3"):
        open_store(S3Store(vendor=5, bucket="bucket"), KEYS)


def test_vendors_that_no_test_holds_say_so() -> None:
    assert {number for number, vendor in VENDORS.items() if vendor.tested} == {0, 1, 2, 11}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3.example.com", "https://s3.example.com"),
        ("s3.example.com:9000", "https://s3.example.com:9000"),
        ("http://10.0.0.1:9000/", "http://10.0.0.1:9000"),
        ("https://[fd00::1]:9000", "https://[fd00::1]:9000"),
    ],
)
def test_an_endpoint_is_a_host_or_the_url_of_one(given: str, url: str) -> None:
    assert endpoint_url(given) == url


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ftp://h",
        "file:///etc/passwd",
        "https://u:p@h",
        "h/path",
        "h?q",
        "h#f",
        "http://",
        "h:99999",
        "a b",
        "h\r\nX: y",
        "x" * 400,
    ],
)
def test_what_is_no_endpoint_is_named(given: str) -> None:
    with pytest.raises(BadParameter, match=r"extensionParams\.endpoint"):
        endpoint_url(given)


@pytest.mark.parametrize("bucket", ["", "ab", "a/b", "../x", "arn:aws:s3:us-east-1:1:accesspoint/x", "a b", "x" * 300])
def test_what_is_no_bucket_is_named(bucket: str) -> None:
    with pytest.raises(BadParameter, match=r"storageConfig\.bucket"):
        open_store(S3Store(vendor=1, bucket=bucket), KEYS)


def test_an_operator_may_mend_a_row_and_add_one() -> None:
    table = vendor_table(
        {3: {"addressing": "path"}, 42: {"name": "Ours", "endpoint": "http://s3.inner", "any_region": "x"}}
    )
    assert table[3].addressing == "path"
    assert table[3].endpoint == VENDORS[3].endpoint
    mine = place(S3Store(vendor=42, bucket="bucket"), table)
    assert (mine.endpoint, mine.region, mine.named_by_user) == ("http://s3.inner", "x", False)


def test_an_operators_wrong_row_is_told_with_its_number() -> None:
    with pytest.raises(ValueError, match="vendor 3"):
        vendor_table({3: {"adressing": "path"}})


@contextmanager
def captured(s3: S3Server, vendor: int, keys: StoreKeys = KEYS, **address: Any) -> Iterator[tuple[S3, list[Seen]]]:
    """A store of a vendor's row, its host names leading to our proxy: the row as it is, but for http and the port."""
    with FaultProxy(s3.endpoint) as proxy:
        port = proxy.url.rpartition(":")[2]
        row = VENDORS[vendor]
        table = vendor_table({vendor: {"endpoint": f"{row.endpoint.replace('https', 'http')}:{port}", "endpoints": {}}})
        where = S3Store(vendor=vendor, **({"bucket": "bucket-1"} | address))
        store = S3(where, keys, vendors=table, sleep=lambda _: None, resolver=lambda *_: ["127.0.0.1"])
        yield store, proxy.seen
        store.close()


def put(store: S3) -> None:
    store.put("dir/a.ts", BODY, md5_hex=MD5, content_type="video/mp2t")


@pytest.mark.parametrize(
    ("vendor", "region", "host", "path", "scope"),
    [
        (0, 1, "s3-cn-north-1.qiniucs.com", "/bucket-1/dir/a.ts", "cn-north-1/s3"),
        (1, 7, "bucket-1.s3.eu-central-1.amazonaws.com", "/dir/a.ts", "eu-central-1/s3"),
        (1, 0, "bucket-1.s3.us-east-1.amazonaws.com", "/dir/a.ts", "us-east-1/s3"),
        (3, 2, "bucket-1.cos.ap-shanghai.myqcloud.com", "/dir/a.ts", "ap-shanghai/s3"),
        (6, 0, "storage.googleapis.com", "/bucket-1/dir/a.ts", "auto/s3"),
        (7, 1, "bucket-1.obs.cn-north-4.myhuaweicloud.com", "/dir/a.ts", "cn-north-4/s3"),
        (8, 0, "bucket-1.s3.bj.bcebos.com", "/dir/a.ts", "bj/s3"),
    ],
)
def test_a_vendors_request_has_its_host_path_and_scope(
    s3: S3Server, vendor: int, region: int, host: str, path: str, scope: str
) -> None:
    with captured(s3, vendor, region=region) as (store, seen), pytest.raises(StorageError):
        put(store)  # the server behind knows neither bucket nor key
    headers = seen[0].headers
    assert (headers["host"].partition(":")[0], seen[0].path) == (host, path)
    assert f"/{scope}/aws4_request" in headers["authorization"]
    assert headers["content-md5"] == base64.b64encode(bytes.fromhex(MD5)).decode()
    assert not any(name.startswith("x-amz-checksum") or name == "x-amz-trailer" for name in headers)


def test_oss_is_asked_with_the_older_signature_over_bucket_and_key(s3: S3Server) -> None:
    with captured(s3, 2, region=0) as (store, seen), pytest.raises(StorageError):
        put(store)
    headers = seen[0].headers
    assert headers["host"].startswith("bucket-1.s3.oss-cn-hangzhou.aliyuncs.com")
    assert seen[0].path == "/dir/a.ts"
    said = f"PUT\n{headers['content-md5']}\nvideo/mp2t\n{headers['date']}\n/bucket-1/dir/a.ts"
    signature = base64.b64encode(hmac.new(KEYS.secret_key.encode(), said.encode(), hashlib.sha1).digest()).decode()
    assert headers["authorization"] == f"AWS {KEYS.access_key}:{signature}"


def test_the_older_signature_is_accepted_by_a_real_server(s3: S3Server) -> None:
    address = S3Store(vendor=11, bucket=s3.bucket, endpoint=s3.endpoint)
    keys = StoreKeys(access_key=s3.access_key, secret_key=s3.secret_key)
    overrides = {11: {"signature": "s3", "endpoint": s3.endpoint}}
    store = open_store(address, keys, vendor_overrides=overrides)
    store.put("a b.ts", BODY, md5_hex=MD5, content_type="video/mp2t")
    assert store.get_range("a b.ts") == BODY
    store.close()


def test_a_session_token_travels_signed(s3: S3Server) -> None:
    keys = KEYS.model_copy(update={"session_token": "sts-token"})
    with captured(s3, 1, keys) as (store, seen), pytest.raises(StorageError):
        put(store)
    assert seen[0].headers["x-amz-security-token"] == "sts-token"
    assert "x-amz-security-token" in seen[0].headers["authorization"]


@pytest.mark.parametrize(("sse", "header"), [("kms", "aws:kms"), ("aes256", "AES256")])
def test_encryption_and_tags_are_asked_for_with_every_put(s3: S3Server, sse: str, header: str) -> None:
    with captured(s3, 1, sse=sse, tag="team=a&kind=rec") as (store, seen), pytest.raises(StorageError):
        put(store)
    assert seen[0].headers["x-amz-server-side-encryption"] == header
    assert seen[0].headers["x-amz-tagging"] == "team=a&kind=rec"


@pytest.mark.parametrize(
    ("vendor", "extra", "field"),
    [(1, {"sse": "rot13"}, "sse"), (2, {"sse": "kms"}, "sse"), (0, {"tag": "a=b"}, "tag")],
)
def test_what_a_vendor_cannot_do_is_named(vendor: int, extra: dict[str, str], field: str) -> None:
    with pytest.raises(BadParameter, match=f"extensionParams.{field}"):
        open_store(S3Store(vendor=vendor, bucket="bucket", **extra), KEYS)


def test_the_settings_change_the_table_that_every_store_is_opened_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELYARD_VENDORS", '{"3": {"addressing": "path"}, "40": {"name": "ours", "any_region": "x"}}')
    settings.cache_clear()
    configured.cache_clear()
    try:
        table = configured()
        assert (table[3].addressing, table[3].endpoint) == ("path", VENDORS[3].endpoint)
        open_store(S3Store(vendor=40, bucket="bucket", endpoint="s3.example.com"), KEYS).close()
        monkeypatch.setenv("REELYARD_VENDORS", '{"3": {"addressing": "sideways"}}')
        settings.cache_clear()
        configured.cache_clear()
        with pytest.raises(Internal, match="row of vendor 3"):
            configured()
    finally:
        monkeypatch.undo()
        settings.cache_clear()
        configured.cache_clear()


def test_the_page_of_vendors_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/reference/vendors.md"
    assert page.read_text() == vendors_page.page(), vendors_page.__doc__
