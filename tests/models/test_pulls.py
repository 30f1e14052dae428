"""Users that are URLs, in the vocabulary and on real databases."""

from __future__ import annotations

import pytest

from models.database import Database
from models.repositories import nodes, pulls, recordings, tenures
from models.tables import PulledUser
from models.vocabulary.errors import BadParameter
from models.vocabulary.pulls import source
from models.vocabulary.states import Role
from tests.models import farm

URL = "rtsp://viewer:p%40ss@camera.example.org:8554/main?token=t0ken"


@pytest.mark.parametrize(
    ("url", "shown", "port"),
    [
        (URL, "rtsp://camera.example.org:8554", 8554),
        ("rtmp://live.example.org/app/stream-key", "rtmp://live.example.org", 1935),
        ("rtmps://live.example.org/app/key", "rtmps://live.example.org", 443),
        ("rtsps://camera.example.org/", "rtsps://camera.example.org", 322),
        ("https://example.org/live.m3u8?sig=abc", "https://example.org", 443),
        ("http://[2001:db8::1]:8080/a.mp4", "http://[2001:db8::1]:8080", 8080),
    ],
)
def test_of_a_url_scheme_host_and_port_are_shown_and_nothing_else(url: str, shown: str, port: int) -> None:
    found = source(url)
    assert (str(found), found.port) == (shown, port)
    assert not any(secret in repr(found) for secret in ("p%40ss", "t0ken", "stream-key", "sig"))


def test_a_login_is_unquoted_and_a_path_goes_with_its_query() -> None:
    found = source(URL)
    assert (found.credentials, found.target) == (("viewer", "p@ss"), "/main?token=t0ken")
    assert source("http://example.org").target == "/"
    assert source("http://example.org").credentials is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("srt://example.org:9000", "without it"),
        ("file:/etc/passwd", "command line"),
        ("concat:http://a|http://b", "begins with"),
        ("camera.example.org/main", "begins with"),
        ("rtsp:///main", "no host"),
        ("rtsp://example.org:0/", "no host"),
        ("rtsp://example.org:port/", "no URL"),
        ("http://example.org/\r\nHost: evil", "printable"),
        ("http://example.org/a b", "printable"),
        ("http://exämple.org/", "printable"),
        ("http://example.org/" + "a" * 2_000, "2000"),
        ("", "1 to"),
    ],
)
def test_what_recorders_cannot_read_is_refused_without_being_repeated(url: str, why: str) -> None:
    with pytest.raises(BadParameter, match=why) as refused:
        source(url)
    assert "evil" not in refused.value.text and "etc" not in refused.value.text


def test_a_file_is_for_who_may_name_one() -> None:
    assert source("file:///srv/film.mp4", files=True).target == source("file:/srv/film.mp4", files=True).target
    assert str(source("file:/srv/film.mp4", files=True)) == "file:"
    for wrong in ("file:film.mp4", "file://host/film.mp4"):
        with pytest.raises(BadParameter, match="from the root"):
            source(wrong, files=True)


@pytest.fixture
def pulling(database: Database) -> Database:
    """A recording of channel `room`, whose app's channels are pulled."""
    with database.unit() as session:
        farm.app(session)
        recording = farm.recording(session)
        recording.spec = recording.spec | {"channel": "pull:"}
        farm.node(session)
        pulls.put(session, farm.APPID, "room", "ada", URL)
        pulls.put(session, farm.APPID, "elsewhere", "eve", URL)
    return database


def test_whoever_claims_a_recording_knows_the_users_of_its_channel_and_its_row_does_not(pulling: Database) -> None:
    with pulling.unit() as session:
        claim = farm.tenure(session)
        assert claim.secrets.pulls == {"ada": URL}
        assert claim.secrets.store == farm.SECRETS.store
        assert "viewer" not in repr(claim)
        row = recordings.get(session, "s1")
        assert row is not None and "viewer" not in str(row.secrets)


def test_users_who_come_and_go_are_told_with_the_next_renewal_and_known_to_the_next_tenure(pulling: Database) -> None:
    with pulling.unit() as session:
        claim = farm.tenure(session)
    with pulling.unit() as session:
        assert pulls.put(session, farm.APPID, "room", "bob", "https://example.org/b.m3u8")
        assert not pulls.put(session, farm.APPID, "room", "ada", URL)
        assert pulls.remove(session, farm.APPID, "room", "ada")
        assert not pulls.remove(session, farm.APPID, "room", "ada")
    with pulling.unit() as session:
        assert pulls.tell(session, farm.APPID, "room") == ["s1"]
        assert pulls.tell(session, farm.APPID, "elsewhere") == []
    with pulling.unit() as session:
        alive = (claim.epoch, claim.owner, claim.spec_gen)
        (renewed,) = tenures.renew(session, "n1", [("s1", *alive)], farm.TTL_MS)
        assert renewed.secrets is not None and list(renewed.secrets.pulls) == ["bob"]
        (again,) = tenures.renew(session, "n1", [("s1", *alive[:2], renewed.wanted_gen)], farm.TTL_MS)
        assert again.secrets is None
        nodes.beat(session, "n2", "b2", 400, "0.1.0", "", "", False, 60_000)
        epoch = tenures.place(session, "s1", role=Role.STANDBY, node="n2", weight=1, deadline_ms=5_000)
        second = tenures.claim(session, "s1", epoch, "n2", "b2", ttl_ms=farm.TTL_MS)
        assert second is not None and list(second.secrets.pulls) == ["bob"]


def test_a_url_lies_encrypted_in_the_database(pulling: Database) -> None:
    with pulling.unit() as session:
        raw = session.connection().exec_driver_sql("SELECT source FROM pulled_user").scalars().all()
        assert raw and not any("viewer" in str(text) for text in raw)
        assert [user.source["url"] for user in session.query(PulledUser).all()] == [URL, URL]
