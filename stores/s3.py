"""A store behind an S3 API. What a vendor needs otherwise stands in the vendors' table, not here."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from botocore.exceptions import ClientError

from models.vocabulary.errors import BadParameter, StorageError, StoreCorrupt, StoreUnavailable
from models.vocabulary.spec import S3Store, StoreKeys
from net.connections import guarded_pool, remaining_s, within
from net.guard import EVERYWHERE, Network, Resolver, system_resolver
from stores.base import ObjectInfo, StoreCaps
from stores.multipart import PART_BYTES, Multipart
from stores.names import CONTENT_TYPES, checked
from stores.refusals import code_of, status_of, translate
from stores.vendors import VENDORS, Vendor, place
from stores.wire import StoreClock, Wire, make_client

T = TypeVar("T")

CONNECTIONS: Final = 8
ATTEMPTS: Final = 2  # whoever has hours of patience has a loop of its own round this
PAUSE_S: Final = 0.2
LONGEST_S: Final = 3_600.0  # of one call that names no limit: an MP4 part of 2 GB at 5 Mbit/s
PRESIGN_S: Final = 604_800  # Signature V4's bound
PLAYLIST_TYPE: Final = CONTENT_TYPES["m3u8"]
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")  # never an ARN, never another path
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_SSE: Final[Mapping[str, dict[str, str]]] = {
    "": {},
    "kms": {"ServerSideEncryption": "aws:kms"},
    "aes256": {"ServerSideEncryption": "AES256"},
}


class S3:
    """One client and one pool of connections, shared by threads.

    Raises `BadParameter` when the address itself is wrong; a private endpoint is `AddressRefused` at first use.
    """

    def __init__(
        self,
        address: S3Store,
        keys: StoreKeys,
        *,
        allow_networks: tuple[Network, ...] = (),
        vendors: Mapping[int, Vendor] = VENDORS,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        resolver: Resolver = system_resolver,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._place = place(address, vendors)
        self._bucket = _bucket(address.bucket)
        self._host = urlsplit(self._place.endpoint).netloc
        self._extra = _extra(address, self._place.vendor)
        self._etag_is_md5 = self._place.vendor.etag == "md5" and address.sse != "kms"
        self._sleep = sleep
        allowed = allow_networks if self._place.named_by_user else EVERYWHERE
        self._pool = guarded_pool(allowed, resolver, connections=CONNECTIONS)
        self._client = make_client(self._place, _present(keys), CONNECTIONS)
        Wire(self._pool, StoreClock(wall)).attach(self._client)
        self.caps = StoreCaps(reads=True, deletes=True, presigns=True)
        self._part_bytes = part_bytes
        self._multipart = Multipart(
            self._client, self._bucket, self._extra, self._try, etag_is_md5=self._etag_is_md5, part_bytes=part_bytes
        )

    def probe(self) -> None:
        """A list of one key. A key that may only put is denied that: no error, but `caps.reads` is false from then on."""

        def ask() -> None:
            try:
                self._client.list_objects(Bucket=self._bucket, MaxKeys=1)
            except ClientError as error:
                if code_of(error) != "AccessDenied":
                    raise
                self.caps = StoreCaps(reads=False, deletes=False, presigns=False)

        self._try("list", ask)

    def put(
        self, key: str, source: Path | bytes, *, md5_hex: str, content_type: str, timeout_s: float | None = None
    ) -> None:
        checked(key)
        if isinstance(source, Path) and source.stat().st_size > 2 * self._part_bytes:
            with within(LONGEST_S if timeout_s is None else timeout_s):
                self._multipart.put(key, source, content_type=content_type)
            return
        content_md5 = base64.b64encode(bytes.fromhex(md5_hex)).decode()

        def send() -> None:
            with source.open("rb") if isinstance(source, Path) else BytesIO(source) as body:
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    ContentMD5=content_md5,
                    ContentType=content_type,
                    **_caching(content_type),
                    **self._extra,
                )
            self._prove(key, md5_hex, answer)

        self._try("write", send, timeout_s)

    def _prove(self, key: str, md5_hex: str, answer: Mapping[str, Any]) -> None:
        """An answer that was cut off parses as a success without fields, so only an ETag makes it one."""
        etag = str(answer.get("ETag") or "").strip('"').lower()
        if not etag:
            raise StoreUnavailable(f"{self._host} did not acknowledge {key}: its answer has no ETag")
        encrypted = str(answer.get("ServerSideEncryption") or "").startswith("aws:kms")  # the bucket's own default
        comparable = self._etag_is_md5 and not encrypted and _MD5.fullmatch(etag)
        if comparable and etag != md5_hex:
            raise StoreCorrupt(f"{self._host} acknowledged other bytes than {key} has")

    def head(self, key: str) -> ObjectInfo | None:
        checked(key)

        def ask() -> ObjectInfo | None:
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise
            return ObjectInfo(found["ContentLength"], found["ETag"].strip('"'), found.get("ContentType", ""))

        return self._try("read", ask)

    def get_range(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        checked(key)
        if end is not None and end <= start:
            return b""

        def ask() -> bytes:
            span: Any = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
            try:
                return self._client.get_object(Bucket=self._bucket, Key=key, **span)["Body"].read()
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    raise StorageError(f"there is no object {key}") from error
                if status_of(error) == 416:  # begins at or behind the object's end
                    return b""
                raise

        return self._try("read", ask)

    def list(self, prefix: str = "") -> list[str]:
        def ask() -> list[str]:
            pages = self._client.get_paginator("list_objects").paginate(Bucket=self._bucket, Prefix=prefix)
            return sorted(found["Key"] for page in pages for found in page.get("Contents", []))

        return self._try("list", ask)

    def presign(self, key: str, expires_s: int) -> str | None:
        """A URL that gets the object without keys, for at most seven days."""
        checked(key)
        with self._translated("read"):
            return self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": key},
                ExpiresIn=min(max(1, expires_s), PRESIGN_S),
            )

    def delete(self, key: str) -> None:
        checked(key)
        self._try("delete", lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    def close(self) -> None:
        self._pool.close()

    def _try(self, verb: str, call: Callable[[], T], timeout_s: float | None = None) -> T:
        """Twice at most; the second time soon, for a wrong clock has been learned and a dead connection dropped."""
        with within(LONGEST_S if timeout_s is None else timeout_s):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    with self._translated(verb):
                        return call()
                except StoreUnavailable:
                    if attempt == ATTEMPTS or (remaining_s() or 0) <= PAUSE_S:
                        raise
                self._sleep(PAUSE_S)
        raise AssertionError("unreachable")

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            told = translate(error, verb=verb, bucket=self._bucket, region=self._place.region, host=self._host)
            if told is error:
                raise
            raise told from error


def _caching(content_type: str) -> Any:
    """A playlist changes with every slice: what stands between the bucket and a player must ask anew."""
    return {"CacheControl": "no-cache"} if content_type == PLAYLIST_TYPE else {}


def _bucket(name: str) -> str:
    if not _BUCKET.fullmatch(name):
        raise BadParameter("storageConfig.bucket: 3 to 255 letters, digits, dots, hyphens and underscores")
    return name


def _present(keys: StoreKeys) -> StoreKeys:
    """botocore takes an empty key for none, and looks for this machine's own."""
    for field, key in (("accessKey", keys.access_key), ("secretKey", keys.secret_key)):
        if not key or not key.isascii() or not key.isprintable() or len(key) > 1_024:
            raise BadParameter(f"storageConfig.{field} is missing, too long, or has characters no key has")
    return keys


def _extra(address: S3Store, vendor: Vendor) -> Any:
    """What every put asks for besides: encryption and tags, where the vendor has them."""
    if address.sse not in _SSE or (address.sse and not vendor.sse):
        raise BadParameter(f"storageConfig.extensionParams.sse: {vendor.name} does not take {address.sse[:32]!r}")
    if address.tag and not vendor.tags:
        raise BadParameter(f"storageConfig.extensionParams.tag: {vendor.name} takes no tags")
    tag = address.tag if "=" in address.tag else urlencode({"tag": address.tag})
    return _SSE[address.sse] | ({"Tagging": tag} if address.tag else {})
