"""Requests about files. Types only."""

from __future__ import annotations

from pydantic import Field

from gateway.wire.body import Shape
from models.vocabulary.spec import StoreKeys


class ReadingKeys(Shape):
    """Keys of the customer's own store that may read; used for this answer and forgotten."""

    access_key: str = Field(repr=False)
    secret_key: str = Field(repr=False)
    sts_token: str = Field("", repr=False)

    def keys(self) -> StoreKeys:
        return StoreKeys(access_key=self.access_key, secret_key=self.secret_key, session_token=self.sts_token)
