"""A node that is told to leave while the customer's store fails: what it has not brought there is in the backup store when it
goes, and arrives in the end.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.vocabulary import keys
from tests.farm.films import assert_equal_to_the_playlist
from tests.farm.hand_made import HandMade
from tests.farm.pictures import longest_hole_s, out_of_step, pictures
from tests.farm.processes import eventually
from tests.farm.test_hand_over import GONE_S


@pytest.fixture
def farm(scene: Path, tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[HandMade]:
    backup = {"kind": "folder", "path": str(tmp_path / "backup")}
    made = HandMade(
        tmp_path, postgres_url, redis_url, f"scripted:{scene}", {"REELYARD_BACKUP_STORE": json.dumps(backup)}
    )
    yield made
    made.close()


@pytest.mark.slow
def test_a_draining_worker_leaves_its_unsent_segments_in_the_backup_store(farm: HandMade) -> None:
    leaving = farm.worker("one")
    eventually(farm.ready, "ready", 30)
    call = farm.backend.record_channel("call", "hls", "mp4")
    call.until_more(2)
    farm.worker("two")
    aside = farm.store.with_name("aside")  # a file stands where the store was: nothing can be written there
    farm.store.rename(aside)
    farm.store.write_bytes(b"")

    os.kill(leaving.pid, signal.SIGTERM)
    told_at = time.monotonic()
    leaving.wait(GONE_S)
    assert time.monotonic() - told_at < GONE_S
    assert not list((farm.folder / "spool-one").rglob("*.ts"))
    told = call.told()
    assert [(t["node"], t["state"]) for t in told["tenures"]] == [("one", "ended"), ("two", "live")]
    backup = farm.folder / "backup" / farm.backend.appid
    assert list(backup.glob("*.ts"))

    farm.store.unlink()
    aside.rename(farm.store)
    # The leader looks after what an ended tenure has left, its own recorder after what is new.
    call.until(lambda _: not waiting(farm), "moved back", 120)
    call.until_more(1)
    assert call.stop().status_code == 200
    told = call.until(lambda told: told["uploading"] == "uploaded", "all of it in the customer's store", 60)
    assert (told["status"], told["holes"]) == (8, [])
    playlist = farm.store / call.playlist_name
    assert "#EXT-X-DISCONTINUITY\n" not in playlist.read_text()
    seen = pictures(playlist)
    assert out_of_step(seen) == []
    assert longest_hole_s(seen) == pytest.approx(0, abs=1e-4)
    assert_equal_to_the_playlist([farm.store / keys.mp4_key((), call.sid, "call", 0)], playlist)
    eventually(lambda: not list(backup.rglob("*.*")), "the copies deleted", 60)


def waiting(farm: HandMade) -> list[str]:
    """Segments that only the backup store has."""
    there = {path.name for path in farm.store.glob("*.ts")}
    return [path.name for path in (farm.folder / "backup").rglob("*.ts") if path.name not in there]
