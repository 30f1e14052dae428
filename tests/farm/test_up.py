"""`reelyard up`: one farm, one directory, one command; Ctrl-C ends what it began."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from farm.processes import belonging
from tests.farm.conftest import QUICK
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import UpFarm, alive, descendants, eventually, name_of, run


def members(farm: UpFarm) -> list[int]:
    """Processes of this farm, wherever they hang in the tree by now."""
    return belonging(f"REELYARD_FARM_PID={farm.pid}")


def test_up_prints_one_line_with_all_that_a_backend_needs(farm: UpFarm) -> None:
    assert list(farm.ready) == ["url", "appid", "customer_key", "customer_secret", "store"]
    assert farm.rest() == []
    assert httpx.get(f"{farm.ready['url']}/readyz").status_code == 200
    assert farm.backend.acquire("anything")
    assert farm.store == farm.folder / "store"


def test_nothing_in_the_farms_directory_can_be_read_by_others(farm: UpFarm) -> None:
    assert farm.folder.stat().st_mode & 0o077 == 0
    secret = [farm.folder / name for name in ("farm.json", "environment", "lock", "reelyard.db", "reelyard.db-wal")]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in secret} == {path.name: "0o600" for path in secret}
    assert all(log.stat().st_mode & 0o077 == 0 for log in (farm.folder / "logs").iterdir())


def test_no_secret_is_in_a_log_or_on_a_command_line(farm: UpFarm) -> None:
    identity = json.loads((farm.folder / "farm.json").read_text())
    secrets = [identity["customer_secret"], identity["secret_key"]]
    said = [log.read_bytes() for log in (farm.folder / "logs").iterdir()]
    said += [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in members(farm)]
    assert not [secret for secret in secrets for text in said if secret.encode() in text]


def test_a_second_farm_in_the_same_directory_is_refused_in_one_line(farm: UpFarm) -> None:
    second = run("up", "--json", "--dir", str(farm.folder), "--port", "0", cwd=farm.folder.parent)
    assert second.returncode == 1
    assert second.stderr == f"Error: farm: a farm runs in {farm.folder} already (process {farm.pid})\n"
    assert httpx.get(f"{farm.ready['url']}/readyz").status_code == 200


def test_a_taken_port_is_said_in_one_line(farm: UpFarm, tmp_path: Path) -> None:
    port = farm.ready["url"].rpartition(":")[2]
    refused = run("up", "--dir", str(tmp_path / "farm"), "--port", port, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == f"Error: farm: port {port} of 127.0.0.1 is taken; --port 0 finds a free one\n"


def test_a_farm_goes_on_after_a_kill_finishes_what_a_hurry_left_and_ends_in_order(scene: Path, tmp_path: Path) -> None:
    """One directory, three lives. What was captured before a death stays, and what follows stands on the same grid."""
    folder = tmp_path / "farm"
    farm = UpFarm(folder, "--channel", f"scripted:{scene}", env=QUICK)
    try:
        identity = {name: value for name, value in farm.ready.items() if name != "url"}
        take = farm.backend.record_channel("survivor")
        take.until_more(1)
        killed(farm)

        farm = UpFarm(folder, env=QUICK)
        assert {name: value for name, value in farm.ready.items() if name != "url"} == identity
        take = replace(take, backend=farm.backend)
        take.until(lambda told: len(told["tenures"]) > 1, "taken over", 30)
        take.until_more(2, 30)
        assert take.query().json()["sid"] == take.sid
        interrupted_twice(farm)

        farm = UpFarm(folder, env=QUICK)
        take = replace(take, backend=farm.backend)
        told = take.until(lambda told: told["status"] == 8, "finished", 30)
        other = farm.backend.record_channel("other")
        other.until_more(1)
        interrupted_once(farm)
    finally:
        farm.close()
    # On a busy machine a node may read its queue too late for one; the next epoch is dispatched then.
    claimed = [tenure["role"] for tenure in told["tenures"] if tenure["cause"] != "nobody claimed it in time"]
    assert claimed == ["primary", "primary", "finaliser"]
    # A worker that is back sooner than its lease is over brings in what it left, and that ends the tenure.
    assert told["tenures"][0]["cause"] in ("its lease ran out", "what it left behind was brought in")
    assert status_in(folder, other.sid) == 8
    assert {p.name for p in farm.store.glob("*.m3u8")} == {take.playlist_name, other.playlist_name}
    for name in (take.playlist_name, other.playlist_name):
        assert (farm.store / name).read_text().endswith("#EXT-X-ENDLIST\n")
        assert out_of_step(pictures(farm.store / name)) == []
    assert longest_hole_s(pictures(farm.store / take.playlist_name)) > 0
    assert longest_hole_s(pictures(farm.store / other.playlist_name)) == pytest.approx(0, abs=1e-4)
    assert list((folder / "spool").rglob("*.ts")) == []


def killed(farm: UpFarm) -> None:
    """Nothing outlives it but recorders, which close their slices."""
    parts = [pid for pid in descendants(farm.pid) if not name_of(pid).startswith("rec ")]
    assert len(parts) >= 6  # broker, ingest, worker and its spare recorder, scheduler, gateway
    farm.process.send_signal(signal.SIGKILL)
    farm.process.wait()
    eventually(lambda: not any(alive(pid) for pid in parts), "all gone with the farm", 3)


def interrupted_twice(farm: UpFarm) -> None:
    """While it cannot end its recordings: the first Ctrl-C would wait for long."""
    everyone = members(farm)
    os.kill(farm.worker, signal.SIGSTOP)
    farm.interrupt()
    with pytest.raises(subprocess.TimeoutExpired):
        farm.exit_code(1.5)
    began = time.monotonic()
    farm.interrupt()
    assert farm.exit_code(20) == 0
    assert time.monotonic() - began < 12
    assert not [pid for pid in everyone if alive(pid)]


def interrupted_once(farm: UpFarm) -> None:
    everyone = members(farm)
    farm.interrupt()
    assert farm.exit_code(40) == 0
    assert not [pid for pid in everyone if alive(pid)]
    assert members(farm) == []


def status_in(folder: Path, sid: str) -> int:
    with sqlite3.connect(folder / "reelyard.db") as database:
        (status,) = database.execute("SELECT status FROM recording WHERE sid = ?", (sid,)).fetchone()
        return int(status)
