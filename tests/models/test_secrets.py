"""Encryption at rest, and changing its keys."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from models import secrets
from models.database import Database
from models.repositories import recordings
from models.settings import settings
from models.vocabulary.errors import Internal
from tests.models import farm

ONE, TWO = secrets.generate_key(), secrets.generate_key()


def test_a_secret_comes_back_and_is_not_readable_in_between(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)
    with database.unit() as session:
        stored = session.scalar(text("select secrets from recording"))
        recording = recordings.get(session, "s1")
        assert recording is not None
        assert recording.secrets == farm.SECRETS.model_dump(mode="json")
    kid, _, token = str(stored).partition(":")
    assert len(kid) == 8
    assert token
    assert "in-the-clear" not in str(stored)
    assert "in-the-clear" not in repr(recording)


def test_a_wiped_secret_is_gone(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        farm.recording(session)
        recordings.wipe_secrets(session, "s1")
        assert session.scalar(text("select secrets from recording")) is None


def test_a_new_key_in_front_encrypts_and_the_old_one_still_decrypts() -> None:
    secrets.use_keys([ONE])
    old = secrets.encrypted({"a": 1})
    secrets.use_keys([TWO, ONE])
    new = secrets.encrypted({"a": 1})
    assert secrets.decrypted(old) == secrets.decrypted(new) == {"a": 1}
    assert old.split(":")[0] != new.split(":")[0]
    secrets.use_keys([TWO])
    assert secrets.decrypted(new) == {"a": 1}
    with pytest.raises(Internal, match=old.split(":")[0]):
        secrets.decrypted(old)


def test_a_damaged_secret_is_an_error_that_does_not_show_it() -> None:
    secrets.use_keys([ONE])
    kept = secrets.encrypted({"a": "in-the-clear"})
    with pytest.raises(Internal, match="damaged") as caught:
        secrets.decrypted(kept[:-4])
    assert kept[10:30] not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_short_key_is_refused_and_not_shown() -> None:
    with pytest.raises(Internal, match="shorter") as caught:
        secrets.use_keys(["hunter2"])
    assert "hunter2" not in str(caught.value)


def test_keys_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.use_keys([ONE])
    kept = secrets.encrypted({"a": 1})
    secrets.use_keys([])
    monkeypatch.setenv("REELYARD_SECRET_KEYS", f" {TWO} , {ONE},")
    settings.cache_clear()
    assert secrets.decrypted(kept) == {"a": 1}
    settings.cache_clear()


def test_a_derived_key_depends_on_the_purpose_and_on_the_first_key_only() -> None:
    secrets.use_keys([ONE, TWO])
    tokens = secrets.derived("tokens")
    assert len(tokens) == 32
    assert tokens != secrets.derived("notices")
    secrets.use_keys([ONE])
    assert tokens == secrets.derived("tokens")
    secrets.use_keys([TWO, ONE])
    assert tokens != secrets.derived("tokens")
