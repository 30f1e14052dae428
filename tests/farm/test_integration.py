"""The integration that knows the contract alone, run as a process of its own against a farm. Only its environment is ours."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

from farm.home import read_environment
from tests.farm.processes import UpFarm, run
from tests.servers import free_ports

SCRIPT = Path(__file__).with_name("integration.py")


def test_the_integration_knows_nothing_of_ours() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names | {"httpx"}


def test_an_integration_written_from_the_contract_runs_unchanged(farm: UpFarm) -> None:
    ready, [port] = farm.ready, free_ports(1)
    settings = {k: v for k, v in read_environment(farm.folder).items() if k.startswith("REELYARD_")}

    def listen(*args: str) -> None:
        command = ["app", "set", ready["appid"], *args]
        done = run(*command, cwd=farm.folder.parent, env=settings, stdin="planted-notice-secret")
        assert done.returncode == 0, done.stderr

    listen("--notices", f"http://127.0.0.1:{port}/notices", "--notice-secret", "-")
    given = {
        "BASE_URL": ready["url"],
        "APP_ID": ready["appid"],
        "CUSTOMER_ID": ready["customer_key"],
        "CUSTOMER_SECRET": ready["customer_secret"],
        "CNAME": "integration",
        "NOTICE_PORT": str(port),
        "NOTICE_SECRET": "planted-notice-secret",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT)],
            env={"PATH": os.environ["PATH"]} | given, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
    finally:
        listen("--notices", "")
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["passed"], done.stdout + done.stderr
    assert done.returncode == 0
