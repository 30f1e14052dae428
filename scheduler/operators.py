"""What an operator does with apps and customer keys, for the HTTP API and the command line alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from models.database import Database
from models.repositories import apps
from models.repositories.apps import Behaviour, Limits
from models.settings import Settings
from models.tables import App
from models.vocabulary import address as channel_address
from models.vocabulary.errors import BadParameter, ChannelAddressInvalid, FetchFailed, KeyNotFound
from models.vocabulary.spec import FolderStore, S3Store, StoreAddress, StoreKeys
from net.guard import resolve
from net.http import address
from stores.opening import folder_below, open_store

MAX_NAME: Final = 200
RESOLVE_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApp:
    name: str
    appid: str | None = None
    channel: str = "whip:"
    folder: str | None = None  # below REELYARD_STORES_ROOT
    bucket: S3Store | None = None  # the operator's own; neither: each request's storageConfig
    bucket_keys: StoreKeys | None = field(default=None, repr=False)
    slice_s: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AppChanges:
    """None: as it is."""

    name: str | None = None
    requests_per_s: int | None = None
    max_recordings: int | None = None
    query_after_end: str | None = None
    when_full: str | None = None
    keep_files_days: int | None = None


class Operators:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    # -- apps ---------------------------------------------------------------------------------------------------

    def apps(self) -> dict[str, Any]:
        with self._database.unit() as session:
            return {"apps": [shown(app) for app in apps.list_apps(session)]}

    def app(self, appid: str) -> dict[str, Any]:
        with self._database.unit() as session:
            return shown(apps.get(session, appid))

    def add(self, new: NewApp) -> dict[str, Any]:
        _check_text("name", new.name, MAX_NAME)
        _check_channel(new.channel)
        if new.appid is not None and not (0 < len(new.appid) <= 64 and new.appid.isascii() and new.appid.isalnum()):
            raise BadParameter("appid must be 1 to 64 letters and digits")
        if not 1 <= new.slice_s <= 60:
            raise BadParameter("slice_s must be from 1 to 60")
        store, store_keys = self._own_store(new)
        with self._database.unit() as session:
            made = apps.add(
                session,
                appid=new.appid,
                name=new.name,
                channel=new.channel,
                store=store,
                store_keys=store_keys,
                slice_s=new.slice_s,
            )
            return shown(made)

    def _own_store(self, new: NewApp) -> tuple[StoreAddress | None, StoreKeys | None]:
        """Where all files of the app go, if they go to the operator's. Raises `BadParameter`."""
        if new.bucket is None:
            if new.folder is None:
                return None, None
            return FolderStore(path=str(folder_below(self._settings.stores_root, new.folder))), None
        if new.folder is not None:
            raise BadParameter("folder and bucket exclude each other")
        keys = new.bucket_keys or StoreKeys()
        open_store(new.bucket, keys, allow_networks=self._settings.allow_networks).close()  # says what is wrong with it
        return new.bucket, keys

    def change(self, appid: str, changes: AppChanges) -> dict[str, Any]:
        with self._database.unit() as session:
            app = apps.get(session, appid)
            if changes.name is not None:
                _check_text("name", changes.name, MAX_NAME)
                app.name = changes.name
            limits = {"requests_per_s": changes.requests_per_s, "max_recordings": changes.max_recordings}
            behaviour = {
                "query_after_end": changes.query_after_end,
                "when_full": changes.when_full,
                "keep_files_days": changes.keep_files_days,
            }
            app.limits = _changed(Limits, app.limits, limits)
            app.behaviour = _changed(Behaviour, app.behaviour, behaviour)
            session.flush()
            return shown(app)

    def remove(self, appid: str) -> None:
        """With its records. Raises `InvalidOperation` while it records."""
        with self._database.unit() as session:
            apps.remove(session, appid)

    def set_notices(self, appid: str, url: str, secret: str = "") -> dict[str, Any]:
        """Where its notices go ("": nowhere), and what signs them: given, kept or made. The secret is in the answer only."""
        if url:
            self._check_receiver(url)
        if not secret.isprintable() or len(secret) > MAX_NAME:
            raise BadParameter(f"secret must be at most {MAX_NAME} printable characters")
        with self._database.unit() as session:
            signing = apps.set_notices(session, appid, url=url, secret=secret)
        return {"notice_url": url, "notice_secret": signing}

    def _check_receiver(self, url: str) -> None:
        """Raises `BadParameter` or `AddressRefused`. A name that nobody knows yet may be known later."""
        found = address(url)
        port = found.port or (443 if found.scheme == "https" else 80)
        try:
            resolve(found.host, port, self._settings.allow_networks, timeout_s=RESOLVE_S)
        except FetchFailed:
            return

    # -- keys ---------------------------------------------------------------------------------------------------

    def keys(self) -> dict[str, Any]:
        with self._database.unit() as session:
            found = apps.list_keys(session)
        return {"keys": [{"key": k.key, "appids": appids, "created_ms": k.created_ms} for k, appids in found]}

    def add_key(self, appids: Sequence[str]) -> dict[str, Any]:
        """The secret is told here and never again."""
        _check_appids(appids)
        with self._database.unit() as session:
            key, secret = apps.new_key(session, appids)
        return {"key": key, "secret": secret, "appids": list(dict.fromkeys(appids))}

    def rescope(self, key: str, appids: Sequence[str]) -> dict[str, Any]:
        _check_appids(appids)
        with self._database.unit() as session:
            if not apps.rescope(session, key, appids):
                raise KeyNotFound
        return {"key": key, "appids": list(dict.fromkeys(appids))}

    def remove_key(self, key: str) -> None:
        with self._database.unit() as session:
            if not apps.remove_key(session, key):
                raise KeyNotFound


def shown(app: App) -> dict[str, Any]:
    """Without anything secret."""
    return {
        "appid": app.appid,
        "name": app.name,
        "channel": app.channel,
        "store": (app.store or {}).get("kind", "request"),
        "slice_s": app.slice_s,
        "limits": apps.limits(app).model_dump(),
        "behaviour": apps.behaviour(app).model_dump(),
        "notice_url": app.notice_url,
        "created_ms": app.created_ms,
    }


def _changed(model: type[Limits] | type[Behaviour], kept: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return model.model_validate(kept | given).model_dump(mode="json")
    except ValueError as error:
        raise BadParameter(f"{', '.join(given)}: {str(error).splitlines()[-2].strip()}") from error


def _check_channel(address: str) -> None:
    try:
        channel_address.check(address)
    except ChannelAddressInvalid as error:
        raise BadParameter(f"channel: {error.text}") from error


def _check_text(name: str, value: str, most: int) -> None:
    if not 0 < len(value) <= most or not value.isprintable():
        raise BadParameter(f"{name} must have 1 to {most} printable characters")


def _check_appids(appids: Sequence[str]) -> None:
    if not 1 <= len(appids) <= 1_000:
        raise BadParameter("appids must name 1 to 1000 apps")
