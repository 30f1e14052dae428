"""Apps and customer keys on real databases."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from models.database import Database
from models.repositories import apps, recordings
from models.vocabulary.errors import BadParameter, InvalidOperation, Unauthorized, UnknownApp
from models.vocabulary.spec import FolderStore, StoreKeys
from models.vocabulary.states import Status
from tests.models import farm


def test_an_app_comes_back_as_it_was_added(database: Database) -> None:
    with database.unit() as session:
        app = apps.add(
            session,
            appid=None,
            name="school",
            channel="whip:",
            store=FolderStore(path="/srv/files"),
            store_keys=StoreKeys(access_key="AK", secret_key="SK-in-the-clear"),
            slice_s=4,
            limits=apps.Limits(max_recordings=7),
            behaviour=apps.Behaviour(query_after_end="record", redundancy=2),
            notice_url="https://example.org/notices",
            notice_secret="NS-in-the-clear",
        )
        appid = app.appid
    assert len(appid) == 32
    with database.unit() as session:
        app = apps.get(session, appid)
        assert (app.name, app.channel, app.slice_s, app.notice_url) == (
            "school",
            "whip:",
            4,
            "https://example.org/notices",
        )
        assert apps.store_of(app) == FolderStore(path="/srv/files")
        assert apps.store_keys_of(app) == StoreKeys(access_key="AK", secret_key="SK-in-the-clear")
        assert apps.limits(app) == apps.Limits(requests_per_s=10, max_recordings=7)
        assert apps.behaviour(app) == apps.Behaviour(query_after_end="record", redundancy=2)
        assert app.notice_secret == {"secret": "NS-in-the-clear"}
        kept = session.execute(text("select store_keys, notice_secret from app")).one()
        assert "in-the-clear" not in str(kept)


def test_an_app_without_a_store_takes_each_requests_own(database: Database) -> None:
    with database.unit() as session:
        app = apps.get(session, farm.app(session))
        assert apps.store_of(app) is None
        assert session.scalar(text("select count(*) from app where store is null")) == 1


def test_an_appid_is_given_once_and_an_unknown_one_is_an_error(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        with pytest.raises(BadParameter, match="already"):
            farm.app(session)
        with pytest.raises(UnknownApp):
            apps.get(session, "b" * 32)
        assert [app.appid for app in apps.list_apps(session)] == [farm.APPID]


def test_limits_are_bounded() -> None:
    with pytest.raises(ValidationError):
        apps.Limits(requests_per_s=0)


def test_a_key_opens_its_apps_and_no_other(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        farm.app(session, appid="b" * 32)
        key, secret = apps.new_key(session, [farm.APPID])
    with database.unit() as session:
        apps.authenticate(session, key, secret, farm.APPID)
        for wrong in ((key, secret, "b" * 32), (key, "guess", farm.APPID), ("guess", secret, farm.APPID), ("", "", "")):
            with pytest.raises(Unauthorized):
                apps.authenticate(session, *wrong)
        assert secret not in str(session.execute(text("select * from customer_key")).one())
        with pytest.raises(UnknownApp):
            apps.new_key(session, ["c" * 32])


def test_an_unknown_key_with_the_empty_secret_is_refused(database: Database) -> None:
    """The stand-in that an unknown key is compared with must not be a secret that fits."""
    with database.unit() as session:
        farm.app(session)
        with pytest.raises(Unauthorized):
            apps.authenticate(session, "unknown", "", farm.APPID)


def test_an_app_is_not_removed_while_it_records_and_takes_its_lone_keys_with_it(database: Database) -> None:
    with database.unit() as session:
        farm.app(session)
        farm.app(session, appid="b" * 32)
        alone, _ = apps.new_key(session, [farm.APPID])
        shared, secret = apps.new_key(session, [farm.APPID, "b" * 32])
        farm.recording(session)
        with pytest.raises(InvalidOperation, match="running"):
            apps.remove(session, farm.APPID)
        recordings.advance(session, "s1", expect=None, to=Status.FAILED, cause="")
        apps.remove(session, farm.APPID)
        with pytest.raises(UnknownApp):
            apps.remove(session, farm.APPID)
        apps.authenticate(session, shared, secret, "b" * 32)
        assert session.scalar(text("select count(*) from customer_key")) == 1
        assert session.scalar(text("select count(*) from customer_key where key = :k"), {"k": alone}) == 0
