"""What is shipped: the package `reelyard` and nothing of the server."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import reelyard

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "reelyard"
#: What uv says when it cannot get hatchling; anything else is a fault of ours.
OFFLINE = ("Failed to resolve requirements", "Failed to fetch", "error sending request")


def _build(into: Path) -> None:
    if importlib.util.find_spec("hatchling"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    elif uv := shutil.which("uv") or shutil.which("uv", path=ROOT.parent / ".uv" / "bin"):
        command = [uv, "build", "--quiet", "--wheel", "--no-config", "--python", sys.executable, "-o", str(into)]
    else:
        pytest.skip("neither hatchling nor uv is here to build a wheel with")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    if done.returncode and any(words in done.stderr for words in OFFLINE):
        pytest.skip("uv cannot fetch hatchling")
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    _build(tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == "reelyard-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [archive.read(name).decode() for name in names if name.endswith("dist-info/METADATA")]
    assert {name.split("/")[0] for name in names} == {"reelyard", "reelyard-0.1.0.dist-info"}
    shipped = {name for name in names if name.startswith("reelyard/")}
    assert shipped == {f"reelyard/{path.name}" for path in PACKAGE.iterdir() if path.is_file()}
    assert "reelyard/py.typed" in shipped
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: httpx<1,>=0.27"
    ]


def test_the_wheel_is_told_to_hold_one_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["src/reelyard"]}
    assert project["project"]["version"] == reelyard.__version__


def test_the_package_imports_itself_httpx_and_the_standard_library() -> None:
    imported: set[str] = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(str(node.module).split(".")[0])
    assert imported - sys.stdlib_module_names == {"reelyard", "httpx"}
