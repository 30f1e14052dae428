"""The operator's commands, on a state that a service and a worker have made, and on a running farm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farm.cli import main
from farm.operators.tables import duration
from models import secrets
from models.database import shift_time
from models.repositories import jobs, nodes, timeline
from models.settings import settings
from tests.farm.processes import UP_WITHIN_S, Command, UpFarm, eventually, run
from tests.scheduler.farm import APPID, Farm
from tests.scheduler.fixtures import open_farm

WIDTH = 80
FAULT = {"code": 1, "scope": "session", "retryable": False, "text": "the token was refused"}


@pytest.fixture
def state(sqlite_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    """One running and one failed recording on node-a; node-b is idle, node-c has gone."""
    monkeypatch.setenv("REELYARD_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.delenv("REELYARD_SECRET_KEYS", raising=False)
    settings.cache_clear()
    for farm in open_farm(sqlite_url, redis_url):
        farm.add_app()
        worker = farm.worker("node-a", capacity=400)
        running, failed = farm.begin("algebra"), farm.begin("a-very-long-name-of-a-channel-" * 2)
        for sid in (running, failed):
            worker.claim(sid)
            worker.ready(sid)
        worker.slice(running)
        claim = worker.claims[running]
        with farm.database.unit() as session:
            timeline.reserve(
                session, running, "mix", 1, claim.owner, 720_000, 1_260_000, "2.ts", 9, "0" * 32, cause="it fell"
            )
        worker.fail(failed, FAULT)
        farm.worker("node-b")
        farm.worker("node-c", ttl_ms=1)
        shift_time(farm.database, 65_000)
        worker.beat(capacity=400)
        farm.worker("node-b")
        shift_time(farm.database, 0)
        yield farm
    settings.cache_clear()


def call(*args: str) -> Result:
    secrets.use_keys([])  # a process of its own, which was given no key
    return CliRunner().invoke(main, args, prog_name="reelyard")


def use_keys_of(state: Farm) -> None:
    secrets.use_keys([state.settings.secret_keys.get_secret_value()])


def told(*args: str) -> Any:
    done = call(*args, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def lines(*args: str) -> list[str]:
    """What a terminal of 80 columns shows, heading first."""
    done = call(*args)
    assert (done.exit_code, done.stderr) == (0, "")
    shown = done.stdout.splitlines()
    assert max(map(len, shown)) <= WIDTH
    return shown


def refusal(*args: str) -> str:
    done = call(*args)
    assert done.exit_code == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line


def test_ps_shows_what_runs_and_where_in_eighty_columns(state: Farm) -> None:
    [running] = told("ps")
    heading, row = lines("ps")
    assert heading.split() == ["SID", "CHANNEL", "STATE", "NODE", "AGE", "LENGTH", "HOLES"]
    assert row.split()[:4] == [running["sid"][:12], "algebra", "in_progress", "node-a"]
    assert row.split()[-3:] == ["14", "s", "2.0"] or "2.0 s" in row
    assert (running["appid"], running["nodes"], running["state"]) == (APPID, ["node-a"], "in_progress")
    assert (running["length_s"], running["holes_s"]) == (14, 2)


def test_ps_tells_ended_recordings_and_whose_fault_it_was_when_asked(state: Farm) -> None:
    [failed] = told("ps", "--ended")
    assert (failed["state"], failed["fault"]["scope"]) == ("failed", "session")
    assert len(lines("ps", "--ended")) == 2
    assert told("ps", "--ended", "--app", "b" * 32) == []
    assert lines("ps", "--app", "b" * 32) == ["nothing is recorded"]


def test_show_takes_the_beginning_of_a_sid_and_tells_everything(state: Farm) -> None:
    [running] = told("ps")
    sid = running["sid"]
    record = told("show", sid[:8])
    assert record["sid"] == sid
    assert [tenure["node"] for tenure in record["tenures"]] == ["node-a"]
    assert [(hole["start_s"], hole["end_s"], hole["cause"]) for hole in record["holes"]] == [(6, 8, "it fell")]
    text = "\n".join(lines("show", sid))
    for word in (sid, f"{APPID}/algebra", "in_progress (5)", "1 of 2 stored", "TENURES", "HOLES", "it fell"):
        assert word in text


def test_show_of_a_sid_that_nobody_has_or_that_several_have_is_one_line(state: Farm) -> None:
    assert refusal("show", "zzz") == "Error: show: no recording on record has a sid that begins with zzz"
    assert "more than one recording has" in refusal("show", "")
    assert "no recording on record" in refusal("show", "%")


def test_what_is_secret_is_in_no_output_and_no_key_is_needed(state: Farm) -> None:
    [running], [failed] = told("ps"), told("ps", "--ended")
    said = json.dumps([running, failed, told("show", running["sid"]), told("show", failed["sid"])])
    assert not re.search(r"secret|\bSK\b|\bAK\b", said)


def test_nodes_show_state_load_and_who_has_gone(state: Farm) -> None:
    found = {node["node"]: node for node in told("nodes")}
    assert {name: node["state"] for name, node in found.items()} == {
        "node-a": "open",
        "node-b": "open",
        "node-c": "gone",
    }
    assert found["node-a"]["capacity"] == 400
    assert found["node-a"]["load"] == told("show", told("ps")[0]["sid"])["weight"]
    assert [line.split()[:2] for line in lines("nodes")[1:]] == [
        ["node-a", "open"],
        ["node-b", "open"],
        ["node-c", "gone"],
    ]


def test_a_cordoned_node_takes_nothing_until_it_is_uncordoned(state: Farm) -> None:
    assert call("cordon", "node-a", "--cause", "new disk").exit_code == 0
    [a, *_] = told("nodes")
    assert (a["state"], a["cause"]) == ("cordoned", "new disk")
    assert "new disk" in lines("nodes")[1]
    use_keys_of(state)
    sid = state.begin("biology")
    assert state.tenures(sid)[0].node == "node-b"
    assert call("uncordon", "node-a").stdout == "node-a takes recordings again\n"
    assert told("nodes")[0]["state"] == "open"


def test_a_drain_is_taken_back_by_undrain(state: Farm) -> None:
    assert call("drain", "node-a").stdout == "node-a hands over and leaves\n"
    assert told("nodes")[0]["state"] == "draining"
    assert call("undrain", "node-a").exit_code == 0
    with state.database.unit() as session:
        row = nodes.get(session, "node-a")
        assert row is not None
        assert not row.draining


@pytest.mark.parametrize("verb", ["cordon", "uncordon", "drain", "undrain"])
def test_a_node_that_nobody_knows_is_refused_with_those_that_are_up(state: Farm, verb: str) -> None:
    assert refusal(verb, "node-z") == "Error: nodes: there is no node node-z; up are: node-a, node-b"


def test_jobs_show_where_each_stands(state: Farm) -> None:
    assert lines("jobs") == ["there are no jobs"]
    use_keys_of(state)
    with state.database.unit() as session:
        jobs.add(
            session, job_id="1" * 32, appid=APPID, key="lesson-7", cname="algebra", mode="mix",
            terms={}, secrets={"secret": "planted"}, position={}, deadline_ms=1,
        )  # fmt: skip
    [job] = told("jobs")
    assert (job["key"], job["state"], job["appid"]) == ("lesson-7", "waiting", APPID)
    assert lines("jobs")[1].split()[:4] == ["1" * 12, "lesson-7", "algebra", "waiting"]
    assert told("jobs", "--ended") == []


def test_words_that_move_the_cursor_are_shown_as_text(state: Farm) -> None:
    assert call("cordon", "node-a", "--cause", "a\x1b[2Jb").exit_code == 0
    shown = "".join(lines("nodes"))
    assert "\x1b" not in shown
    assert "[2Jb" in shown


def test_no_farm_and_no_schema_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REELYARD_DATABASE_URL", raising=False)
    assert refusal("ps").startswith(f"Error: farm: no farm has run in {tmp_path}/.reelyard")
    assert refusal("nodes", "--dir", "none").startswith(f"Error: farm: no farm has run in {tmp_path}/none")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("REELYARD_DATABASE_URL", f"sqlite:///{tmp_path / 'fresh.db'}")
    settings.cache_clear()
    assert "reelyard migrate" in refusal("ps")
    monkeypatch.setenv("REELYARD_DATABASE_URL", "postgresql+psycopg://u:planted-password@127.0.0.1:9/none")
    settings.cache_clear()
    assert "planted" not in refusal("ps")
    settings.cache_clear()


def test_durations_read_as_people_say_them() -> None:
    said = [duration(s) for s in (0, 8.4, 59.6, 725, 10_807, 4 * 86_400 + 7_200)]
    assert said == ["0 s", "8 s", "1:00", "12:05", "3:00:07", "4d 02h"]


def test_a_drained_worker_of_a_running_farm_leaves_by_itself(farm: UpFarm) -> None:
    cwd = farm.folder.parent
    second = Command("worker", "leaver", "--dir", str(farm.folder), cwd=cwd)
    try:
        await_node(farm, "leaver", "open")
        done = run("drain", "leaver", "--dir", str(farm.folder), cwd=cwd)
        assert (done.returncode, done.stdout) == (0, "leaver hands over and leaves\n")
        assert second.exit_code(60) == 0
        await_node(farm, "leaver", "left")
        await_node(farm, "embedded", "open")
    finally:
        second.kill()


def await_node(farm: UpFarm, name: str, state: str) -> None:
    def stands() -> bool:
        said = run("nodes", "--json", "--dir", str(farm.folder), cwd=farm.folder.parent)
        assert said.returncode == 0, said.stderr
        return {"node": name, "state": state} in [
            {"node": node["node"], "state": node["state"]} for node in json.loads(said.stdout)
        ]

    eventually(stands, f"{name} {state}", UP_WITHIN_S)
