"""Who may ask: apps, and the customer keys that may use them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from models.secrets import EncryptedJson
from models.tables.base import Base, Big, Json


class App(Base):
    """A customer's application: where its channels are, where its files go, what it may use."""

    __tablename__ = "app"

    appid: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    channel: Mapped[str] = mapped_column(String(2000))  # whip:, scripted:FILE.json, …
    #: None: each request's storageConfig names the store (the default). Else a spec.StoreAddress: the operator's own.
    store: Mapped[dict[str, Any] | None] = mapped_column(Json)
    store_keys: Mapped[dict[str, Any] | None] = mapped_column(EncryptedJson)
    slice_s: Mapped[int] = mapped_column(default=6)
    #: typed by models.repositories.apps.Limits: requests per second, concurrent recordings, …
    limits: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    #: typed by models.repositories.apps.Behaviour: query_after_end, when_full, redundancy, …
    behaviour: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    notice_url: Mapped[str] = mapped_column(String(2000), default="")
    notice_secret: Mapped[dict[str, Any] | None] = mapped_column(EncryptedJson)
    created_ms: Mapped[int] = mapped_column(Big)


class CustomerKey(Base):
    """Basic auth: key and secret. Only a hash of the secret is kept; it is random, so a plain SHA-256 is enough."""

    __tablename__ = "customer_key"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(Big)


class KeyScope(Base):
    """Which apps a key may use."""

    __tablename__ = "key_scope"

    key: Mapped[str] = mapped_column(ForeignKey("customer_key.key", ondelete="CASCADE"), primary_key=True)
    appid: Mapped[str] = mapped_column(ForeignKey("app.appid", ondelete="CASCADE"), primary_key=True)
