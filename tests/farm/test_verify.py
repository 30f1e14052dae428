"""`reelyard verify` and `repair` on a recording whose objects lie in a real folder and in a real S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farm.cli import main
from models.repositories import nodes, reaping, recordings, tenures, timeline
from models.settings import settings
from models.tables import App
from models.vocabulary import journal
from models.vocabulary.spec import FolderStore, S3Store, StoreAddress, StoreKeys
from stores import Store, open_store
from tests.scheduler.farm import APPID, CNAME, Farm, Worker
from tests.scheduler.fixtures import open_farm
from workers.spool import Spool

SLOT = 540_000


@dataclass
class Stage:
    """A recording of three slices that has ended in order; its documents are what the rows say."""

    farm: Farm
    worker: Worker
    store: Store
    sid: str
    spool: Path

    @property
    def stem(self) -> str:
        return f"{self.sid}_{CNAME}"

    def keep(self, key: str, body: bytes, start: int, *, put: bool = True, tell: bool = True) -> None:
        claim = self.worker.claims[self.sid]
        md5 = hashlib.md5(body).hexdigest()
        with self.farm.database.unit() as session:
            timeline.reserve(
                session, self.sid, "mix", 1, claim.owner, start, start + SLOT, key, len(body), md5, cause="it fell"
            )
            if tell:
                timeline.stored(session, self.sid, "mix", key, store="primary")
        if put:
            self.store.put(key, body, md5_hex=md5, content_type="video/mp2t")

    def name(self, n: int) -> str:
        return f"{self.stem}_{n}.ts"


@pytest.fixture(params=["folder", "s3"])
def stage(
    request: pytest.FixtureRequest, sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    keys = StoreKeys()
    address: StoreAddress = FolderStore(path="files")
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        keys = StoreKeys(access_key=server.access_key, secret_key=server.secret_key)
        address = S3Store(vendor=11, bucket=server.bucket, endpoint=server.endpoint)
    monkeypatch.setenv("REELYARD_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("REELYARD_STORES_ROOT", str(tmp_path))
    monkeypatch.setenv("REELYARD_ALLOW_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("REELYARD_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("COLUMNS", "80")
    settings.cache_clear()
    allowed = settings().allow_networks
    with_store = open_store(address, keys, stores_root=tmp_path, allow_networks=allowed)
    for farm in open_farm(sqlite_url, redis_url):
        farm.add_app(store=address, store_keys=keys)
        worker = farm.worker()
        sid = farm.begin()
        worker.claim(sid)
        worker.ready(sid)
        stage = Stage(farm, worker, with_store, sid, tmp_path / "spool")
        with farm.database.unit() as session:
            recordings.zero(session, sid, t0_ms=1_700_000_000_000, anchor={"clock_id": "c", "zero_s": 0.0})
        for n in range(3):
            stage.keep(stage.name(n), b"slice %d" % n * 100, n * SLOT)
        worker.finish(sid)
        assert told("repair", sid)["wrong"] == 0, "the documents are written"
        yield stage
    with_store.close()
    settings.cache_clear()


def call(*args: str) -> Result:
    return CliRunner().invoke(main, args, prog_name="reelyard")


def told(*args: str) -> Any:
    done = call(*args, "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == (1 if answer["wrong"] else 0)
    return answer


def wrong(answer: Any) -> dict[str, str]:
    return {row["what"]: row["key"] for row in answer["findings"] if row["wrong"]}


def test_a_recording_that_ended_in_order_agrees_with_its_store(stage: Stage) -> None:
    assert told("verify", stage.sid[:8]) == {"sid": stage.sid, "wrong": 0, "findings": []}
    shown = call("verify", stage.sid)
    assert shown.stdout.split() == ["all", "of", "it", "agrees"]
    playlist = stage.store.get_range(f"{stage.stem}.m3u8").decode()
    assert [line for line in playlist.splitlines() if line.endswith(".ts")] == [stage.name(n) for n in range(3)]
    assert playlist.endswith("#EXT-X-ENDLIST\n")
    assert len(json.loads(stage.store.get_range(f"{stage.stem}.json"))["segments"]) == 3


def test_what_was_lost_damaged_or_added_behind_the_rows_back_is_found_and_said_to_be_so(stage: Stage) -> None:
    stage.store.delete(stage.name(0))
    other = b"other bytes"
    stage.store.put(stage.name(1), other, md5_hex=hashlib.md5(other).hexdigest(), content_type="video/mp2t")
    stage.store.put(f"{stage.stem}_9.ts", other, md5_hex=hashlib.md5(other).hexdigest(), content_type="video/mp2t")
    found = wrong(told("verify", stage.sid))
    assert found == {
        "missing object": stage.name(0),
        "wrong object": stage.name(1),
        "unknown object": f"{stage.stem}_9.ts",
    }
    shown = call("verify", stage.sid).stdout
    assert "nothing here can mend it" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert wrong(told("repair", stage.sid)) == found, "what is gone is gone"


def test_documents_that_are_not_what_the_rows_say_are_written_anew(stage: Stage) -> None:
    stale = b"#EXTM3U\n"
    stage.store.put(f"{stage.stem}.m3u8", stale, md5_hex=hashlib.md5(stale).hexdigest(), content_type="text/plain")
    stage.store.delete(f"{stage.stem}.json")
    found = told("verify", stage.sid)
    assert wrong(found) == {"wrong playlist": f"{stage.stem}.m3u8", "missing index": f"{stage.stem}.json"}
    mended = told("repair", stage.sid)
    assert mended["wrong"] == 0
    assert all("written" in row["mended"] for row in mended["findings"])
    assert told("verify", stage.sid)["findings"] == []


def test_what_its_worker_never_uploaded_is_given_up_once_the_grace_is_over(stage: Stage) -> None:
    stage.keep(stage.name(3), b"never", 3 * SLOT, put=False, tell=False)
    assert wrong(told("verify", stage.sid))["unsent segment"] == stage.name(3)
    assert "the grace of 30 s is not over" in call("repair", stage.sid).stdout
    with stage.farm.database.unit() as session:
        (tenure,) = tenures.of(session, stage.sid)
        tenure.ended_ms = (tenure.ended_ms or 0) - 31_000
    mended = told("repair", stage.sid)
    assert mended["wrong"] == 0, mended
    after = told("verify", stage.sid)
    assert [(row["what"], row["key"], row["wrong"]) for row in after["findings"]] == [
        ("hole", "mix 18.0–24.0 s", False)
    ]
    index = json.loads(stage.store.get_range(f"{stage.stem}.json"))
    assert index["holes"][0]["cause"] == "the worker was lost before its upload"


def test_a_recording_that_nobody_works_on_is_given_to_the_scheduler_at_once(stage: Stage) -> None:
    farm = stage.farm
    sid = farm.begin("another-room")
    stage.worker.claim(sid)
    with farm.database.unit() as session:
        tenures.revoke(session, sid, 1, "its lease ran out")
        row = recordings.lock(session, sid)
        assert row is not None
        row.next_dispatch_ms, row.deaths = row.created_ms + 3_600_000, 4
    assert wrong(told("verify", sid)) == {"nobody works on it": ""}
    assert "the scheduler gives it to a node" in call("repair", sid).stdout
    with farm.database.unit() as session:
        assert reaping.unheld(session) == [sid]


def test_a_spool_that_was_left_on_this_host_is_seen_with_who_sees_to_it(stage: Stage) -> None:
    claim = stage.worker.claims[stage.sid]
    spool = Spool.make(stage.spool, stage.sid, claim.owner)
    spool.append(journal.Begun(sid=stage.sid, epoch=1, owner=claim.owner, resume_at_90k=0))
    spool.append(
        journal.Slice(track="mix", start_90k=3 * SLOT, end_90k=4 * SLOT, key="k.ts", file="k.ts", bytes=1, md5="0" * 32)
    )
    (seen,) = told("verify", stage.sid)["findings"]
    assert (seen["what"], seen["wrong"]) == ("spool", False)
    assert "its node node-a is up and sees to it" in seen["text"]
    with stage.farm.database.unit() as session:
        nodes.leave(session, "node-a", "boot")
    assert wrong(told("verify", stage.sid)) == {"spool left behind": "epoch 1"}


@pytest.mark.parametrize("stage", ["folder"], indirect=True)
def test_a_spool_whose_node_is_gone_is_brought_in_and_its_slice_is_in_the_last_documents(stage: Stage) -> None:
    claim = stage.worker.claims[stage.sid]
    spool, body = Spool.make(stage.spool, stage.sid, claim.owner), b"late" * 100
    key = stage.name(3)
    (spool.folder / key).write_bytes(body)
    spool.append(journal.Begun(sid=stage.sid, epoch=1, owner=claim.owner, resume_at_90k=0))
    spool.append(
        journal.Slice(
            track="mix",
            start_90k=3 * SLOT,
            end_90k=4 * SLOT,
            key=key,
            file=key,
            bytes=len(body),
            md5=hashlib.md5(body).hexdigest(),
        )
    )
    with stage.farm.database.unit() as session:
        nodes.leave(session, "node-a", "boot")
    mended = told("repair", stage.sid)
    assert mended["wrong"] == 0, mended
    assert mended["findings"][0]["mended"] == "brought in 1"
    assert stage.store.get_range(key) == body
    assert key in stage.store.get_range(f"{stage.stem}.m3u8").decode()
    assert not spool.folder.exists()
    assert told("verify", stage.sid)["findings"] == []


@pytest.mark.parametrize("stage", ["s3"], indirect=True)
def test_a_store_that_the_farm_has_no_keys_for_any_more_is_said_to_be_unseen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.farm.database.unit() as session:
        recordings.wipe_secrets(session, stage.sid)
        app = session.get_one(App, APPID)
        keys, app.store = app.store_keys or {}, None
    (seen,) = told("verify", stage.sid)["findings"]
    assert (seen["what"], seen["wrong"]) == ("store not compared", False)
    assert "AWS_ACCESS_KEY_ID" in seen["text"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["secret_key"])
    assert told("verify", stage.sid)["findings"] == []
