"""Secrets at rest: a column type that encrypts with the farm's keys, and keys derived from them.

A value is stored as `kid:token`. The first key encrypts, all decrypt, so a key is changed by putting a new one in front.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from models.settings import settings
from models.vocabulary.errors import Internal

#: 32 characters of base64 hold 192 bits; a shorter key is a password, and nothing here slows guessing down.
MIN_KEY_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    kid: str
    fernet: Fernet
    material: bytes


_ring: tuple[_Key, ...] = ()


def generate_key() -> str:
    return secrets.token_urlsafe(32)


def use_keys(keys: Sequence[str]) -> None:
    """The keys from now on; none: those of the settings, read again at the next use. Raises `Internal` for a short one."""
    global _ring
    _ring = tuple(_key(text.strip()) for text in keys if text.strip())


def derived(purpose: str) -> bytes:
    """32 bytes for one purpose, from the first key."""
    return _derive(_keys()[0].material, f"reelyard {purpose}")


class EncryptedJson(TypeDecorator[dict[str, Any]]):
    """A JSON object that only holders of the farm's keys can read. Never searched, never shown."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else encrypted(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else decrypted(value)


def encrypted(value: dict[str, Any]) -> str:
    key = _keys()[0]
    return f"{key.kid}:{key.fernet.encrypt(json.dumps(value, separators=(',', ':')).encode()).decode()}"


def decrypted(text: str) -> dict[str, Any]:
    kid, _, token = text.partition(":")
    for key in _keys():
        if key.kid == kid:
            try:
                value: dict[str, Any] = json.loads(key.fernet.decrypt(token.encode()))
            except InvalidToken:
                raise Internal(f"a secret in the database is damaged (key {kid})") from None
            return value
    raise Internal(f"a secret in the database needs key {kid}, which REELYARD_SECRET_KEYS does not have")


def _keys() -> tuple[_Key, ...]:
    if not _ring:
        use_keys(settings().secret_keys.get_secret_value().split(","))
    if not _ring:
        raise Internal("REELYARD_SECRET_KEYS is not set; make a key with `reelyard key`")
    return _ring


def _key(text: str) -> _Key:
    if len(text) < MIN_KEY_CHARACTERS:
        raise Internal(
            f"a key in REELYARD_SECRET_KEYS is shorter than {MIN_KEY_CHARACTERS} characters; make one with `reelyard key`"
        )
    material = text.encode()
    column = urlsafe_b64encode(_derive(material, "reelyard column"))
    return _Key(kid=_derive(material, "reelyard key id")[:4].hex(), fernet=Fernet(column), material=material)


def _derive(material: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(material)
