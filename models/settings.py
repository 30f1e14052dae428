"""Every setting of the farm: environment `REELYARD_*`, typed. docs/reference/settings.md is generated from here."""

from __future__ import annotations

import os
import socket
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.vocabulary.spec import Backup, StoreAddress, StoreKeys


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="REELYARD_", extra="ignore")

    database_url: str = Field(
        "sqlite:///reelyard.db",
        description="SQLAlchemy URL of the state: PostgreSQL (`postgresql+psycopg://…`) or SQLite on one host.",
    )
    broker_url: str = Field(
        "redis://127.0.0.1:6379/0", description="Redis or Valkey: Celery's broker, nudges and limits."
    )
    secret_keys: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated keys that encrypt secrets in the database; the first encrypts, all decrypt. Make one with `reelyard key`.",
    )

    node_name: str = Field(
        default_factory=socket.gethostname,
        description="Name of this node (worker process). It is the identity of its spool volume: keep it stable.",
    )
    node_capacity: int = Field(
        default_factory=lambda: 100 * (os.cpu_count() or 1),
        description="How much this node takes, in hundredths of a core.",
    )
    spool: Path = Field(Path("spool"), description="Directory of this node's spools; must outlive the container.")
    spool_low_bytes: int = Field(
        1_000_000_000,
        ge=0,
        description="With less than this free in its spool a node takes no new recordings; what it records goes on.",
    )
    ingest_url: str = Field(
        "", description="URL at which publishers reach the ingest beside this node; empty: this node has none."
    )
    ingest_units: str = Field(
        "", description="host:port at which recorders reach the units of the ingest beside this node."
    )
    ingest_bind: str = Field("127.0.0.1:8190", description="host:port the ingest's HTTP side listens on.")
    ingest_units_bind: str = Field("127.0.0.1:8191", description="host:port the ingest's unit server listens on.")
    ice_addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1",),
        description="Comma-separated local addresses that ICE may use; nothing else is offered or bound.",
    )

    tenure_ttl_ms: int = Field(6_000, ge=3_000, description="How long a tenure lives without renewal.")
    tenure_renew_ms: int = Field(
        2_000, ge=200, description="How often a node renews its tenures, all in one statement."
    )
    leader_ttl_ms: int = Field(3_000, ge=500, description="How long a scheduler leads without renewal.")
    dispatch_deadline_ms: int = Field(
        5_000, ge=500, description="A dispatched tenure that no worker claims in time is dispatched again."
    )
    hole_grace_ms: int = Field(
        30_000, ge=0, description="How long an owed hole waits after its last possible filler died."
    )
    start_wait_ms: int = Field(
        5_000, ge=0, description="How long `start` waits for the recorder before it answers 206/65."
    )
    stop_wait_ms: int = Field(20_000, ge=0, description="How long `stop` waits for the uploads before it answers.")
    resource_ttl_ms: int = Field(300_000, ge=1_000, description="How long a resourceId may be used to start.")
    mp4_part_s: int = Field(
        7_200, ge=10, le=43_200, description="The longest MP4 file, in seconds; longer recordings have several."
    )
    mp4_part_bytes: int = Field(
        2_000_000_000,
        ge=1_000_000,
        le=4_000_000_000,
        description="The largest MP4 file, in bytes; larger recordings have several.",
    )
    record_days: int = Field(30, ge=1, description="How long the record of an ended recording is kept.")

    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token that `/metrics` of the gateway asks for; none: whoever reaches the gateway may read it.",
    )
    operator_key: SecretStr = Field(
        SecretStr(""),
        description="Bearer token of the operators' API (`/v1/operator/…`), 32 characters or more; empty: there is none.",
    )
    gateway_url: str = Field("http://127.0.0.1:8080", description="Where jobs reach this farm's own gateway.")
    job_requests_per_s: int = Field(
        10,
        ge=1,
        le=100_000,
        description="How many requests a second jobs send for one app to one service; 10 is the contract's limit.",
    )

    notice_addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses that notices come from, told at `/v1/ncs/ip` to receivers that keep a list.",
    )
    allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Comma-separated networks that addresses named by users may lie in although they are private, loopback or link-local.",
    )
    stores_root: Path | None = Field(
        None, description="Root below which apps may have folder stores; none: no folder stores."
    )
    backup_store: StoreAddress | None = Field(
        None,
        description='Store of your own that takes files while a customer\'s store fails: JSON, `{"kind": "folder", "path": "/srv/backup"}` or `{"kind": "s3", "vendor": 11, "endpoint": "https://…", "bucket": "…"}`; none: files wait in the spool.',
    )
    backup_keys: SecretStr = Field(SecretStr(""), description="`accessKey:secretKey` of the backup store.")
    backup_after_s: float = Field(
        60.0, ge=1, description="So long a customer's store fails before files go to the backup store."
    )
    backup_days: int = Field(
        7,
        ge=1,
        description="So long after a recording's end its files are moved from the backup store, and the customer's keys kept for it.",
    )
    vendors: dict[int, dict[str, Any]] = Field(
        {},
        description='Rows of the vendors\' table that are changed or added, as JSON: `{"3": {"addressing": "path"}}`. The table: the reference of vendors.',
    )
    log_level: str = Field("INFO", description="Level of the log.")

    @field_validator("ice_addresses", "allow_networks", "notice_addresses", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @property
    def backup(self) -> Backup | None:
        """The backup store, if there is one."""
        if self.backup_store is None:
            return None
        access_key, _, secret_key = self.backup_keys.get_secret_value().partition(":")
        keys = StoreKeys(access_key=access_key, secret_key=secret_key)
        return Backup(address=self.backup_store, keys=keys, after_s=self.backup_after_s)


@cache
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
