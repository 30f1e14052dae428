"""A large object in parts: what breaks off is taken up again part by part, not from its beginning.

A part counts as there when the store names it with the md5 that the file's own bytes have. Uploads that nobody takes up
again stay open in the bucket: a lifecycle rule (AbortIncompleteMultipartUpload) is the customer's to set.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from botocore.exceptions import ClientError

from models.vocabulary.errors import StorageError, StoreCorrupt, StoreUnavailable
from stores.refusals import code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: An object that is longer than two of these goes in parts, each so long. A vendor's bounds: 5 MiB at least, 10 000 parts at most.
PART_BYTES: Final = 16 << 20
#: Try(verb, call): the call with its errors translated, tried twice.
Try = Callable[[str, Callable[[], Any]], Any]
_NOT_THERE: Final = frozenset({"NoSuchUpload", "NoSuchKey", "404"})


class _Piece(io.RawIOBase):
    """A range of a file as a file of its own: it goes from the disk to the wire without ever being in memory whole."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._length = file, start, end - start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        found = self._file.read(max(0, min(len(buffer), self._length - self._at)))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def digest(self) -> bytes:
        self.seek(0)
        digest = hashlib.md5(usedforsecurity=False)
        while found := self.read(1 << 20):
            digest.update(found)
        return digest.digest()


class Multipart:
    """Parts of one bucket's objects; thread-safe for different keys."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        extra: Mapping[str, Any],
        attempt: Try,
        *,
        etag_is_md5: bool,
        part_bytes: int,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._extra = extra
        self._attempt = attempt
        self._etag_is_md5 = etag_is_md5
        self._part_bytes = part_bytes
        self._open: dict[str, str] = {}  # key → id of the upload that was begun here

    def put(self, key: str, source: Path, *, content_type: str) -> None:
        upload = self._begun(key) or self._begin(key, content_type)
        there = self._parts(key, upload) if self._etag_is_md5 else {}
        digests: list[bytes] = []
        parts: list[Any] = []
        size = source.stat().st_size
        for number, start in enumerate(range(0, size, self._part_bytes), start=1):
            with source.open("rb") as file:
                piece = _Piece(file, start, min(size, start + self._part_bytes))
                digest = piece.digest()
                etag = f'"{digest.hex()}"'
                if there.get(number) != digest.hex():
                    etag = self._send(key, upload, number, piece, digest)
            digests.append(digest)
            parts.append({"PartNumber": number, "ETag": etag})
        self._complete(key, upload, parts, digests)

    def _begun(self, key: str) -> str | None:
        """An upload of this key that was broken off: here, or by an earlier process if these keys may ask for it."""
        if key in self._open:
            return self._open[key]

        def ask() -> str | None:
            found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key).get("Uploads", [])
            mine = [it for it in found if it["Key"] == key]
            return mine[-1]["UploadId"] if mine else None

        try:
            upload: str | None = self._attempt("list", ask)
        except StorageError:
            return None  # not every key may list, and not every vendor knows how to
        if upload is not None:
            self._open[key] = upload
        return upload

    def _begin(self, key: str, content_type: str) -> str:
        def ask() -> str:
            more: dict[str, Any] = {"ContentType": content_type, **self._extra}
            begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **more)
            upload = begun.get("UploadId")
            if not upload:
                raise StoreUnavailable("the store's answer names no upload")
            return upload

        upload: str = self._attempt("write", ask)
        self._open[key] = upload
        return upload

    def _parts(self, key: str, upload: str) -> dict[int, str]:
        def ask() -> dict[int, str]:
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload)
            found = [part for page in pages for part in page.get("Parts", [])]
            return {part["PartNumber"]: part["ETag"].strip('"').lower() for part in found}

        try:
            parts: dict[int, str] = self._attempt("list", ask)
        except StorageError as error:
            if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in _NOT_THERE:
                self._open.pop(key, None)  # gone: completed, or cleared away
                raise StoreUnavailable("the upload in parts is gone and begins anew") from error
            return {}
        return parts

    def _send(self, key: str, upload: str, number: int, piece: _Piece, digest: bytes) -> str:
        def send() -> str:
            piece.seek(0)
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=cast(Any, piece),  # a file, as far as botocore reads of it
                ContentMD5=base64.b64encode(digest).decode(),
            )
            etag = str(answer.get("ETag") or "")
            if not etag:
                raise StoreUnavailable(f"part {number} of {key} was not acknowledged: the answer has no ETag")
            if self._etag_is_md5 and len(bare := etag.strip('"').lower()) == 32 and bare != digest.hex():
                raise StoreCorrupt(f"part {number} of {key} was acknowledged with other bytes")
            return etag

        sent: str = self._attempt("write", send)
        return sent

    def _complete(self, key: str, upload: str, parts: list[Any], digests: list[bytes]) -> None:
        def complete() -> None:
            answer = self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
            etag = str(answer.get("ETag") or "").strip('"').lower()
            if not etag:
                raise StoreUnavailable(f"{key} was not acknowledged: the answer has no ETag")
            whole = f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(parts)}"
            if self._etag_is_md5 and "-" in etag and len(etag) == len(whole) and etag != whole:
                raise StoreCorrupt(f"{key} was acknowledged with other parts than it has")

        try:
            self._attempt("write", complete)
        except StorageError:
            self._open.pop(key, None)  # it may be complete: the next try asks anew
            raise
        self._open.pop(key, None)
