"""The `reelyard` command: what it says, and how it says no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli import main
from models import secrets
from models.secrets import generate_key
from models.settings import settings
from models.tokens import Audience, verify_whip, whip_keys


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    """Settings and keys are read once a process: each command here is as in a process of its own."""
    yield
    settings.cache_clear()
    secrets.use_keys([])


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    settings.cache_clear()
    secrets.use_keys([])
    return CliRunner().invoke(main, args, env=env, prog_name="reelyard")


COMMANDS = (
    *("app", "cordon", "demo", "drain", "jobs", "key", "merge", "migrate", "node", "nodes", "play", "ps", "pull"),
    *("repair", "rollover", "show", "token", "uncordon", "undrain", "up", "verify", "worker"),
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of an empty state, brought up to date."""
    folder = tmp_path_factory.mktemp("state")
    env = {
        "REELYARD_DATABASE_URL": f"sqlite:///{folder / 'reelyard.db'}",
        "REELYARD_SECRET_KEYS": generate_key(),
        "REELYARD_STORES_ROOT": str(folder / "stores"),
    }
    migrated = run("migrate", env=env)
    assert (migrated.exit_code, migrated.stderr) == (0, "")
    return env


def refusal(*args: str, env: dict[str, str] | None = None) -> str:
    """The last line of what a refused command says; it says no more than click's usage before it."""
    done = run(*args, env=env)
    assert done.exit_code in (1, 2)
    assert done.stdout == ""
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.stderr.splitlines()[-1]


def test_help_names_every_command_with_a_sentence() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    listed = dict(line.split(maxsplit=1) for line in shown.stdout.partition("Commands:\n")[2].splitlines())
    assert tuple(listed) == COMMANDS
    assert all(len(sentence) > 20 for sentence in listed.values())


def test_an_app_is_added_listed_and_removed(state: dict[str, str]) -> None:
    added = run("app", "add", "Lessons", "--folder", "lessons", env=state)
    assert added.exit_code == 0, added.stderr
    made = json.loads(added.stdout)
    assert list(made) == ["appid", "customer_key", "customer_secret"]

    listed = json.loads(run("app", "list", "--json", env=state).stdout)
    assert {"appid": made["appid"], "name": "Lessons", "channel": "whip:", "store": "folder"} in listed
    assert made["appid"] in run("app", "list", env=state).stdout

    assert run("app", "rm", made["appid"], env=state).exit_code == 0
    assert made["appid"] not in run("app", "list", "--json", env=state).stdout
    assert refusal("app", "rm", made["appid"], env=state).startswith("Error: ")


def test_a_made_key_is_one_that_the_farm_takes() -> None:
    made = run("key")
    assert made.exit_code == 0
    assert whip_keys(made.stdout.strip())


def test_a_made_token_is_good_for_its_user_alone(state: dict[str, str]) -> None:
    made = run("token", "app", "room", "1001", "--ttl", "60", env=state)
    claims = verify_whip(whip_keys(state["REELYARD_SECRET_KEYS"]), made.stdout.strip(), Audience.WHIP, 0)
    assert (claims.appid, claims.cname, claims.uid) == ("app", "room", "1001")


def test_refusals_are_one_line_that_says_what_to_do(state: dict[str, str], tmp_path: Path) -> None:
    def said(*args: str, **more: str) -> str:
        return refusal(*args, env=state | more)

    assert said("app", "add", "x", "--channel", "rtmp://x") == (
        "Error: Invalid value for --channel: the channel address must be "
        "whip:, pull:, scripted:FILE.json or janus+ws://HOST:PORT?rooms=string|number|map"
    )
    assert "there is no file none.json" in said("app", "add", "x", "--channel", "scripted:none.json")
    assert "REELYARD_STORES_ROOT" in said("app", "add", "x", "--folder", "/etc")
    assert "REELYARD_SECRET_KEYS" in said("token", "a", "b", "1", REELYARD_SECRET_KEYS="")
    assert "no farm has run in" in said("worker", "two", "--dir", str(tmp_path / "none"))
    assert "Invalid value for NAME" in said("worker", "../two")
    soon = said("up", "--dir", str(tmp_path / "farm"), REELYARD_TENURE_TTL_MS="soon")
    assert soon.startswith("Error: settings: REELYARD_TENURE_TTL_MS: ")
    assert not (tmp_path / "farm").exists()
    scene = tmp_path / "scene.json"
    scene.write_text('{"users": [{"id": "a", "wrong": 1}]}')
    assert "wrong" in said("app", "add", "x", "--channel", f"scripted:{scene}")


def test_a_state_that_was_never_migrated_is_said(state: dict[str, str], tmp_path: Path) -> None:
    fresh = state | {"REELYARD_DATABASE_URL": f"sqlite:///{tmp_path / 'fresh.db'}"}
    assert "reelyard migrate" in refusal("app", "list", env=fresh)
