"""Requests of the operators' API. Types only."""

from __future__ import annotations

from pydantic import Field

from gateway.wire.body import Shape
from models.vocabulary.spec import S3Store, StoreKeys
from scheduler.operators import AppChanges, NewApp


class BucketFields(Shape):
    """The operator's own bucket: all files of the app go there, whatever a request's storageConfig says."""

    vendor: int = 11
    region: int = 0
    bucket: str
    endpoint: str = ""
    access_key: str = Field(repr=False)
    secret_key: str = Field(repr=False)

    def address(self) -> S3Store:
        return S3Store(vendor=self.vendor, region=self.region, bucket=self.bucket, endpoint=self.endpoint)

    def keys(self) -> StoreKeys:
        return StoreKeys(access_key=self.access_key, secret_key=self.secret_key)


class AppRequest(Shape):
    name: str
    appid: str | None = None
    channel: str = "whip:"
    folder: str | None = None
    store: BucketFields | None = None
    slice_s: int = Field(6, alias="slice_s")

    def order(self) -> NewApp:
        return NewApp(
            name=self.name,
            appid=self.appid,
            channel=self.channel,
            folder=self.folder,
            bucket=None if self.store is None else self.store.address(),
            bucket_keys=None if self.store is None else self.store.keys(),
            slice_s=self.slice_s,
        )


class AppChange(Shape):
    """What is not given stays."""

    name: str | None = None
    requests_per_s: int | None = Field(None, alias="requests_per_s", ge=1, le=100_000)
    max_recordings: int | None = Field(None, alias="max_recordings", ge=0, le=2**31 - 1)
    query_after_end: str | None = Field(None, alias="query_after_end")
    when_full: str | None = Field(None, alias="when_full")
    keep_files_days: int | None = Field(None, alias="keep_files_days", ge=0, le=36_500)

    def order(self) -> AppChanges:
        return AppChanges(
            name=self.name,
            requests_per_s=self.requests_per_s,
            max_recordings=self.max_recordings,
            query_after_end=self.query_after_end,
            when_full=self.when_full,
            keep_files_days=self.keep_files_days,
        )


class NoticesChange(Shape):
    url: str
    secret: str = Field("", repr=False)


class KeyRequest(Shape):
    appids: list[str]
