"""`reelyard app set`: what is not named stays; the secret is printed, once, here."""

from __future__ import annotations

import json
from pathlib import Path

from models.secrets import generate_key
from tests.farm.processes import run


def test_an_apps_receiver_and_limits_are_set_by_command(tmp_path: Path) -> None:
    env = {
        "REELYARD_DATABASE_URL": f"sqlite:///{tmp_path / 'reelyard.db'}",
        "REELYARD_SECRET_KEYS": generate_key(),
        "REELYARD_ALLOW_NETWORKS": "127.0.0.0/8",
    }

    def command(*args: str, stdin: str | None = None) -> str:
        done = run("app", *args, cwd=tmp_path, env=env, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("migrate", cwd=tmp_path, env=env).returncode == 0
    appid = json.loads(command("add", "calls"))["appid"]
    first = json.loads(command("set", appid, "--notices", "http://127.0.0.1:9/hook", "--requests", "20"))
    assert first["notice_url"] == "http://127.0.0.1:9/hook"
    assert len(first["notice_secret"]) >= 24
    second = json.loads(
        command("set", appid, "--after-end", "record", "--when-full", "wait", "--notice-secret", "-", stdin="mine\n")
    )
    assert (second["notice_url"], second["notice_secret"]) == (first["notice_url"], "mine")
    assert second["limits"]["requests_per_s"] == 20
    assert second["behaviour"]["when_full"] == "wait"
    refused = run("app", "set", appid, "--notices", "http://10.0.0.1/hook", cwd=tmp_path, env=env)
    assert refused.returncode == 1
    assert "REELYARD_ALLOW_NETWORKS" in refused.stderr
