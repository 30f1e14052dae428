"""One whole recorder as a worker starts it: scripted capture of 17 users, mixing, files, uploads into a folder. Its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.shapes import PORTRAIT
from models.vocabulary import pipe
from models.vocabulary.spec import FolderStore, LayoutKind, LayoutSpec, RecordingSpec, Secrets

HERE: Final = Path(__file__).parent
_LATEST_S: Final = 60.0
#: A recorder without its mother and worker: what she does before a fork, and what the fork does.
_ALONE: Final = """
import os
from workers.recorder.__main__ import child
from workers.recorder.heap import keep_heap_small
keep_heap_small()
os._exit(child(0, os.dup(1)))
"""


def peak_mb(folder: Path, users: int = 17, seconds: float = 20.0) -> float:
    """Of the recorder's process, in real time. Raises RuntimeError when it does not end well."""
    script = folder / "scene.json"
    script.write_text(json.dumps({"duration_s": seconds, "users": [_user(n) for n in range(1, users + 1)]}))
    (folder / "spool").mkdir(mode=0o700)
    (folder / "store").mkdir()
    environment = os.environ | {
        "REELYARD_STORES_ROOT": str(folder / "store"),
        "REELYARD_PARENT_PID": str(os.getpid()),
    }
    with subprocess.Popen(
        [sys.executable, "-c", _ALONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=HERE.parent,
        env=environment,
    ) as process:
        try:
            return _served(process, _begin(folder, script), time.monotonic() + seconds + _LATEST_S)
        finally:
            process.kill()


def _user(n: int) -> dict[str, object]:
    doing = [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}]
    return {"id": f"u{n}", "width": 640, "height": 360, "fps": 30, "actions": doing}


def _begin(folder: Path, script: Path) -> pipe.Begin:
    spec = RecordingSpec(
        appid="bench",
        cname="bench",
        uid="1",
        channel=f"scripted:{script}",
        store=FolderStore(path="."),
        video=PORTRAIT,
        layout=LayoutSpec(kind=LayoutKind.BEST_FIT),
    )
    return pipe.Begin(
        sid="0" * 32,
        epoch=1,
        owner="0" * 32,
        spec=spec,
        secrets=Secrets(),
        opened_ms=round(time.time() * 1000),
        spool=str(folder / "spool"),
    )


def _served(process: subprocess.Popen[bytes], begin: pipe.Begin, until_s: float) -> float:
    """Play the worker: commit what is journalled, let it go when it has drained."""
    assert process.stdin is not None and process.stdout is not None
    say = process.stdin
    say.write(pipe.line(begin) + pipe.line(pipe.LeaseOk(for_s=3600)))
    say.flush()
    peak = 0.0
    for line in process.stdout:
        peak = max(peak, _high_water_mb(process.pid))
        message = pipe.up(line)
        if isinstance(message, pipe.Journal):
            say.write(pipe.line(pipe.Committed(n=message.n)))
        elif isinstance(message, pipe.Fault) and message.fatal:
            raise RuntimeError(message.text)
        elif isinstance(message, pipe.Drained):
            say.write(pipe.line(pipe.Sealed()))
        elif isinstance(message, pipe.Bye):
            return peak
        if time.monotonic() > until_s:
            break
        say.flush()
    raise RuntimeError("the recorder did not end in time")


def _high_water_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0  # it has just gone
