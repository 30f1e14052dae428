"""Apps, and the customer keys that may use them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from models.database import now_ms
from models.repositories.statements import run
from models.tables import App, CustomerKey, KeyScope, Recording
from models.vocabulary.errors import BadParameter, InvalidOperation, Unauthorized, UnknownApp
from models.vocabulary.spec import StoreAddress, StoreKeys

_STORE: TypeAdapter[StoreAddress] = TypeAdapter(StoreAddress)


class Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    requests_per_s: int = Field(10, ge=1, le=100_000)
    max_recordings: int = Field(0, ge=0)  # at once; 0: no limit


class Behaviour(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    query_after_end: Literal["original", "record"] = "original"
    when_full: Literal["refuse", "wait"] = "refuse"
    redundancy: int = Field(1, ge=1, le=2)
    #: So long after its end a recording's files stay in the app's own store; 0: until somebody deletes them.
    keep_files_days: int = Field(0, ge=0, le=36_500)


def add(
    session: Session,
    *,
    appid: str | None,
    name: str,
    channel: str,
    store: StoreAddress | None,
    store_keys: StoreKeys | None = None,
    slice_s: int = 6,
    limits: Limits | None = None,
    behaviour: Behaviour | None = None,
    notice_url: str = "",
    notice_secret: str = "",
) -> App:
    """Without an `appid`, one is made. Raises `BadParameter` when there is such an app."""
    appid = appid or secrets.token_hex(16)
    if session.get(App, appid) is not None:
        raise BadParameter(f"there is an app {appid} already")
    app = App(
        appid=appid,
        name=name,
        channel=channel,
        store=None if store is None else store.model_dump(mode="json"),
        store_keys=None if store_keys is None else store_keys.model_dump(mode="json"),
        slice_s=slice_s,
        limits=(limits or Limits.model_validate({})).model_dump(mode="json"),
        behaviour=(behaviour or Behaviour.model_validate({})).model_dump(mode="json"),
        notice_url=notice_url,
        notice_secret={"secret": notice_secret} if notice_secret else None,
        created_ms=now_ms(session),
    )
    session.add(app)
    session.flush()
    return app


def get(session: Session, appid: str) -> App:
    app = session.get(App, appid, populate_existing=True)
    if app is None:
        raise UnknownApp
    return app


def set_notices(session: Session, appid: str, *, url: str, secret: str = "") -> str:
    """Where an app's notices go; "" ends them. Returns the secret that signs them: the one given, kept or made now."""
    app = get(session, appid)
    kept = str((app.notice_secret or {}).get("secret", ""))
    signing = secret or kept or secrets.token_urlsafe(24)
    app.notice_url = url
    app.notice_secret = {"secret": signing} if url else None
    session.flush()
    return signing if url else ""


def list_apps(session: Session) -> list[App]:
    return list(session.scalars(select(App).order_by(App.created_ms, App.appid)))


def remove(session: Session, appid: str) -> None:
    """With its recordings' records. Raises `InvalidOperation` while one of them runs."""
    app = get(session, appid)
    live = select(func.count()).where(Recording.appid == appid, Recording.live_key.is_not(None))
    if count := session.scalar(live):
        raise InvalidOperation(f"{count} recordings of app {appid} are running; stop them first")
    session.delete(app)
    session.flush()
    run(session, delete(CustomerKey).where(CustomerKey.key.not_in(select(KeyScope.key))))


def limits(app: App) -> Limits:
    return Limits.model_validate(app.limits)


def behaviour(app: App) -> Behaviour:
    return Behaviour.model_validate(app.behaviour)


def store_of(app: App) -> StoreAddress | None:
    return None if app.store is None else _STORE.validate_python(app.store)


def store_keys_of(app: App) -> StoreKeys:
    return StoreKeys.model_validate(app.store_keys or {})


def new_key(session: Session, appids: Sequence[str]) -> tuple[str, str]:
    """(key, secret) that may use these apps. The secret is told here and never again."""
    key, secret = secrets.token_hex(16), secrets.token_urlsafe(32)
    for appid in appids:
        get(session, appid)
    session.add(CustomerKey(key=key, secret_sha256=_hash(secret), created_ms=now_ms(session)))
    session.flush()
    session.add_all(KeyScope(key=key, appid=appid) for appid in dict.fromkeys(appids))
    session.flush()
    return key, secret


def list_keys(session: Session) -> list[tuple[CustomerKey, list[str]]]:
    """Each with the apps it may use, oldest first."""
    scopes: dict[str, list[str]] = {}
    for scope in session.scalars(select(KeyScope).order_by(KeyScope.appid)):
        scopes.setdefault(scope.key, []).append(scope.appid)
    kept = session.scalars(select(CustomerKey).order_by(CustomerKey.created_ms, CustomerKey.key))
    return [(key, scopes.get(key.key, [])) for key in kept]


def rescope(session: Session, key: str, appids: Sequence[str]) -> bool:
    """These apps and no others. Whether there is such a key."""
    if session.get(CustomerKey, key) is None:
        return False
    for appid in appids:
        get(session, appid)
    run(session, delete(KeyScope).where(KeyScope.key == key))
    session.add_all(KeyScope(key=key, appid=appid) for appid in dict.fromkeys(appids))
    session.flush()
    return True


def remove_key(session: Session, key: str) -> bool:
    """Whether there was such a key."""
    kept = session.get(CustomerKey, key)
    if kept is None:
        return False
    session.delete(kept)
    session.flush()
    return True


def authenticate(session: Session, key: str, secret: str, appid: str) -> None:
    """Raises `Unauthorized`; an unknown key takes as long as a wrong secret."""
    kept = session.scalar(select(CustomerKey.secret_sha256).where(CustomerKey.key == key))
    right = hmac.compare_digest(kept or _hash(""), _hash(secret)) and kept is not None
    if not right or session.get(KeyScope, (key, appid)) is None:
        raise Unauthorized


def knows(session: Session, key: str, secret: str) -> bool:
    """Whether it is a customer's, whatever it may use."""
    kept = session.scalar(select(CustomerKey.secret_sha256).where(CustomerKey.key == key))
    return hmac.compare_digest(kept or _hash(""), _hash(secret)) and kept is not None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
