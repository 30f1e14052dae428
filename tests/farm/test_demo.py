"""The demo, interrupted. (That it plays is for `make demo` itself to show.)"""

from __future__ import annotations

import json
from pathlib import Path

from farm.processes import belonging
from tests.farm.processes import Command, alive, eventually


def test_ctrl_c_during_the_demo_leaves_nothing_running(tmp_path: Path) -> None:
    demo = Command("demo", "--out", str(tmp_path / "out"), cwd=tmp_path)
    try:
        eventually(lambda: "it runs" in demo.log.read_text(), "recording", 90)
        everyone = belonging(f"REELYARD_FARM_PID={demo.pid}")
        assert len(everyone) >= 6
        demo.interrupt()
        assert demo.exit_code(40) == 130
    finally:
        demo.kill()
    assert json.loads(demo.line(5)) == {"error": "interrupted"}
    assert not [pid for pid in everyone if alive(pid)]
