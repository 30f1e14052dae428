"""Requests of the operators' API. Types only."""

from __future__ import annotations

from pydantic import Field

from gateway.wire.body import Shape
from scheduler.operators import AppChanges, NewApp


class AppRequest(Shape):
    name: str
    appid: str | None = None
    channel: str = "whip:"
    folder: str | None = None
    slice_s: int = Field(6, alias="slice_s")

    def order(self) -> NewApp:
        return NewApp(name=self.name, appid=self.appid, channel=self.channel, folder=self.folder, slice_s=self.slice_s)


class AppChange(Shape):
    """What is not given stays."""

    name: str | None = None
    requests_per_s: int | None = Field(None, alias="requests_per_s", ge=1, le=100_000)
    max_recordings: int | None = Field(None, alias="max_recordings", ge=0, le=2**31 - 1)
    query_after_end: str | None = Field(None, alias="query_after_end")
    when_full: str | None = Field(None, alias="when_full")

    def order(self) -> AppChanges:
        return AppChanges(
            name=self.name,
            requests_per_s=self.requests_per_s,
            max_recordings=self.max_recordings,
            query_after_end=self.query_after_end,
            when_full=self.when_full,
        )


class NoticesChange(Shape):
    url: str
    secret: str = Field("", repr=False)


class KeyRequest(Shape):
    appids: list[str]
