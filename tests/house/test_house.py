"""What the house promises about itself: who imports whom, what its papers say, and what no file of it holds."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from models import settings_page

ROOT = Path(__file__).parents[2]

# Paths and hosts of somebody's machine, and shapes of real credentials. Joined here, so that this file does not hold them.
FORBIDDEN = {
    "a home folder": re.compile(r"(?<![\w.}])/(?:home|Users)" + r"/[a-z][\w.-]*/|(?<![\w.}])/root" + r"/"),
    "a workspace": re.compile(r"(?<![\w.}/])/(?:work" + r"|workspace)/(?:main|shared)\b"),
    "a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----"),
    "an AWS key": re.compile(r"\bAKIA" + r"(?!IOSFODNN7EXAMPLE)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\bgh[pousr]_" + r"[A-Za-z0-9]{36}\b"),
}


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    trusting = ["-c", f"safe.directory={ROOT}"]  # root may test a clone that another account owns
    listed = subprocess.run(["git", *trusting, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_every_import_goes_the_way_the_architecture_says() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_that_the_architecture_names_exists() -> None:
    [block] = re.findall(r"## Folders.*?```\n(.*?)```", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL)
    named = re.findall(r"^([a-z]+)/", block, re.MULTILINE)
    assert {"models", "workers", "gateway", "scheduler", "stores", "net", "farm"} <= set(named)
    assert [folder for folder in named if not (ROOT / folder).is_dir()] == []


def test_the_settings_page_is_up_to_date() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == settings_page.page(), settings_page.__doc__


def test_the_lock_knows_every_dependency_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    [locked] = [package for package in lock["package"] if package["name"] == project["project"]["name"]]
    for declared, held in (
        (project["project"]["dependencies"], locked["metadata"]["requires-dist"]),
        (project["dependency-groups"]["dev"], locked["metadata"]["requires-dev"]["dev"]),
    ):
        ranges = {entry["name"]: set(filter(None, entry.get("specifier", "").split(","))) for entry in held}
        for requirement in declared:
            name, extra, specifier = re.fullmatch(r"([\w-]+)(\[.*?\])?([^;]*)(?:;.*)?", requirement).groups()  # type: ignore[union-attr]  # no match is the failure
            assert ranges.get(name) == set(filter(None, specifier.strip().split(","))), (
                f"{requirement}{extra or ''}: uv lock"
            )


def test_links_between_pages_lead_somewhere() -> None:
    for page in (path for path in tracked_files() if path.suffix == ".md"):
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} → {target}"


def test_no_tracked_file_holds_a_path_of_somebodys_machine_or_a_credential() -> None:
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode(errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {what}" for what, shape in FORBIDDEN.items() if shape.search(text)]
    assert found == []
