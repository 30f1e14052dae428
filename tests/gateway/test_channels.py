"""Users that are URLs, over HTTP and by the command line."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from click.testing import CliRunner

from farm.cli import main
from models.repositories import pulls
from models.vocabulary.errors import BadParameter, InvalidOperation
from scheduler.pulling import Pulling
from tests.gateway.test_contract import Client, over_http
from tests.scheduler.farm import CNAME, Farm, start_order

APPID = "d" * 32
USERS = f"/v1/apps/{APPID}/channels/{CNAME}/users"
URL = "rtsp://viewer:p4ssw0rd@127.0.0.1:8554/main?token=t0ken"


@pytest.fixture
def pulling(sqlite_farm: Farm) -> Farm:
    sqlite_farm.add_app(APPID, channel="pull:")
    sqlite_farm.settings.allow_networks = (ip_network("127.0.0.0/8"),)
    return sqlite_farm


def test_users_are_added_listed_and_removed_and_no_answer_repeats_a_secret(pulling: Farm) -> None:
    async def story(client: Client) -> None:
        http = client.http
        assert (await http.get(USERS)).json() == {"users": []}
        for _ in range(2):
            added = await http.put(f"{USERS}/cam 1", json={"url": URL})
            assert added.status_code == 200, added.text
            assert (added.json()["uid"], added.json()["source"]) == ("cam 1", "rtsp://127.0.0.1:8554")
        listed = await http.get(USERS)
        assert [user["uid"] for user in listed.json()["users"]] == ["cam 1"]
        assert not any(secret in added.text + listed.text for secret in ("viewer", "p4ss", "t0ken"))
        removed = await http.delete(f"{USERS}/cam 1")
        assert (removed.status_code, removed.json()) == (200, {"users": []})
        gone = await http.delete(f"{USERS}/cam 1")
        assert (gone.status_code, gone.json()["code"]) == (404, 404)

    over_http(pulling, story)


def test_what_recorders_must_not_read_is_refused_at_once(pulling: Farm) -> None:
    pulling.settings.allow_networks = ()

    async def story(client: Client) -> None:
        for url, why in (
            (URL, "REELYARD_ALLOW_NETWORKS"),
            ("http://169.254.169.254/latest/meta-data", "metadata"),
            ("file:///etc/passwd", "command line"),
            ("srt://example.org:9000", "PyAV"),
            ("", "1 to"),
        ):
            answer = await client.http.put(f"{USERS}/ada", json={"url": url})
            assert (answer.status_code, answer.json()["code"]) == (400, 2), answer.text
            assert why in answer.json()["reason"] and "p4ss" not in answer.text
        assert (await client.http.put(f"{USERS}/ada", json={"URL": URL})).status_code == 400
        wrong = await client.http.put(f"{USERS}/{'u' * 65}", json={"url": "http://8.8.8.8/"})
        assert (wrong.status_code, wrong.json()["code"]) == (400, 2)

    over_http(pulling, story)


def test_only_channels_that_are_pulled_have_such_users(sqlite_farm: Farm) -> None:
    sqlite_farm.add_app(APPID, channel="whip:")
    with pytest.raises(BadParameter, match="pull:"):
        sqlite_farm.service.pull(APPID, CNAME, "ada", "http://8.8.8.8/")


def test_a_channel_has_no_more_users_than_a_recorder_reads(pulling: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.pulling.MAX_USERS", 2)

    async def story(client: Client) -> None:
        statuses = [
            (await client.http.put(f"{USERS}/u{n}", json={"url": "http://127.0.0.1/x"})).status_code for n in range(3)
        ]
        assert statuses == [200, 200, 400]
        assert len((await client.http.get(USERS)).json()["users"]) == 2
        assert (await client.http.put(f"{USERS}/u1", json={"url": "http://127.0.0.1/y"})).status_code == 200

    over_http(pulling, story)


def test_an_app_has_no_more_users_than_are_kept_for_it(pulling: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.pulling.MAX_OF_APP", 2)
    for cname in ("one", "two"):
        pulling.service.pull(APPID, cname, "ada", URL)
    with pytest.raises(InvalidOperation, match="remove some"):
        pulling.service.pull(APPID, "three", "ada", URL)
    pulling.service.unpull(APPID, "one", "ada")
    assert pulling.service.pull(APPID, "three", "ada", URL)["uid"] == "ada"


def test_a_recording_that_is_on_is_told_and_woken(pulling: Farm) -> None:
    nudged: list[str] = []
    pulling.worker()
    acquired = pulling.acquire(appid=APPID)
    sid = pulling.service.begin_start(APPID, acquired.resource_id, start_order()).sid
    before = pulling.recording(sid).wanted_gen
    Pulling(pulling.database, pulling.settings, nudged.append).add(APPID, CNAME, "ada", URL)
    Pulling(pulling.database, pulling.settings, nudged.append).add(APPID, "another", "ada", URL)
    assert nudged == [sid]
    assert pulling.recording(sid).wanted_gen == before + 1


def test_the_command_line_may_name_files_and_reads_secrets_from_its_input(
    pulling: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.pulling.database", lambda: pulling.database)
    monkeypatch.setattr("farm.pulling.settings", lambda: pulling.settings)

    def said(*args: str, given: str = "") -> str:
        done = CliRunner().invoke(main, ["pull", *args], input=given, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert json.loads(said("add", APPID, CNAME, "film", "file:/srv/film.mp4"))["source"] == "file:"
    assert "p4ss" not in said("add", APPID, CNAME, "cam", "-", given=URL + "\n")
    assert [user["uid"] for user in json.loads(said("list", APPID, CNAME))] == ["cam", "film"]
    said("rm", APPID, CNAME, "film")
    with pulling.database.unit() as session:
        assert pulls.of(session, APPID, CNAME) == {"cam": URL}
