"""The leader's rounds over recordings that have ended."""

from __future__ import annotations

import hashlib

from models.database import Database
from models.repositories import disagreements, files, recordings, tenures, timeline
from models.tables import Tenure
from models.vocabulary import keys, playlist
from models.vocabulary.states import Role, Status, TenureState
from models.vocabulary.streams import MIX
from scheduler.reconciler import BATCH, Reconciler
from tests.scheduler.farm import CNAME, Farm, Time, Worker

NONE = {"playlist_behind": 0, "unsent_after_end": 0, "tenure_after_end": 0}


def counted(database: Database) -> dict[str, int]:
    with database.unit() as session:
        return disagreements.count(session)


def recorded(farm: Farm, worker: Worker, cname: str = CNAME) -> str:
    """A recording of one slice that has ended in order."""
    sid = farm.begin(cname)
    worker.claim(sid)
    worker.ready(sid)
    worker.slice(sid)
    worker.finish(sid)
    publish(farm, sid, cname)
    return sid


def publish(farm: Farm, sid: str, cname: str = CNAME) -> None:
    with farm.database.unit() as session:
        row = recordings.get(session, sid)
        assert row is not None
        entries = timeline.publishable(session, sid, MIX, final=True)
        text = playlist.render(entries, t0_ms=row.t0_ms or 0, slice_s=row.spec["slice_s"], ended=True).encode()
        key = keys.playlist_key(tuple(row.spec["file_prefix"]), sid, cname)
        rev = 1 + max((file.rev for file in files.of(session, sid)), default=0)
        md5 = hashlib.md5(text).hexdigest()
        files.wrote(session, sid, key, "playlist", rev=rev, bytes_=len(text), md5=md5, final=True)


def test_a_spool_that_comes_back_after_the_end_leaves_a_playlist_behind_until_it_is_written_anew(farm: Farm) -> None:
    worker, time = farm.worker(capacity=10_000), Time()
    sid = recorded(farm, worker)
    reconciler = Reconciler(farm.database, now_s=time.now)
    reconciler.tick()
    assert counted(farm.database) == NONE
    worker.slice(sid, 6, 12)
    reconciler.tick()
    assert counted(farm.database) == NONE, "it looks every ten seconds"
    time.s += 10
    reconciler.tick()
    assert counted(farm.database) == NONE | {"playlist_behind": 1}
    publish(farm, sid)
    time.s += 10
    reconciler.tick()
    assert counted(farm.database) == NONE


def test_every_ended_recording_has_its_turn_however_many_there_are(farm: Farm) -> None:
    worker = farm.worker(capacity=1_000_000)
    sids = [recorded(farm, worker, f"room-{n}") for n in range(BATCH + 3)]
    for sid in sids:
        worker.slice(sid, 6, 12)
    reconciler = Reconciler(farm.database, now_s=Time().now)
    reconciler.round()
    assert counted(farm.database)["playlist_behind"] == BATCH
    reconciler.round()
    assert counted(farm.database)["playlist_behind"] == BATCH + 3


def test_a_tenure_of_a_recording_that_has_ended_is_ended(farm: Farm) -> None:
    worker = farm.worker()
    sid = recorded(farm, worker)
    running = farm.begin("another-room")
    worker.claim(running)
    with farm.database.unit() as session:
        old = tenures.of(session, sid)[0]
        left = {"node": old.node, "weight": 1, "expires_ms": old.expires_ms + 3_600_000, "created_ms": old.created_ms}
        session.add(Tenure(sid=sid, epoch=2, owner="o", role=Role.STANDBY, state=TenureState.LIVE, **left))
    assert counted(farm.database)["tenure_after_end"] == 1
    Reconciler(farm.database, now_s=Time().now).round()
    assert counted(farm.database) == NONE
    assert farm.tenures(sid)[-1].cause == "the recording has ended"
    assert farm.tenures(running)[-1].state is TenureState.WARMING
    assert farm.recording(sid).status == Status.EXITED
