"""What nobody works on is placed in batches: exactly, however many schedulers do so at once."""

from __future__ import annotations

import threading
from collections import Counter
from queue import SimpleQueue

from sqlalchemy import event

from models.database import Database, open_database, shift_time
from models.repositories import apps, notices, reaping, recordings, rooms, tenures
from models.vocabulary.events import Event
from models.vocabulary.states import Role, TenureState
from scheduler.reaper import Reaper
from scheduler.unheld import Unheld
from tests.models.farm import recording
from tests.scheduler.farm import APPID, Farm
from tests.tenures.hands import Post

NODES = ("node-a", "node-b", "node-c", "node-d")
MINUTE_MS = 60_000


def unplaced(farm: Farm, count: int, channel: str = "scripted:x") -> list[str]:
    sids = [f"{n:032d}" for n in range(count)]
    with farm.database.unit() as session:
        for n, sid in enumerate(sids):
            begun = recording(session, sid, cname=f"room {n}")
            begun.spec = begun.spec | {"channel": channel}
    return sids


def open_tenures(farm: Farm, sids: list[str]) -> list[tuple[str, int, str]]:
    with farm.database.unit() as session:
        return [(t.sid, t.epoch, t.node) for sid in sids for t in tenures.of(session, sid) if t.state != "ended"]


def test_racing_schedulers_place_each_once_and_fill_no_node_beyond_its_capacity(
    postgres_farm: Farm, postgres_url: str
) -> None:
    farm = postgres_farm
    for name in NODES:
        farm.worker(name, capacity=1_000)  # 40 of 60
    sids = unplaced(farm, 60)
    others = [open_database(postgres_url) for _ in range(3)]
    posts = [Post() for _ in others]
    gate = threading.Barrier(len(others) + 1)

    def schedule(database: Database, post: Post) -> None:
        unheld = Unheld(database, post, farm.settings)
        gate.wait()
        for limit in (7, 60, 60, 60):
            unheld.place(limit=limit)

    def start_some() -> None:
        """As requests do meanwhile: one recording, one node's lock at a time."""
        gate.wait()
        for sid in sids[::6]:
            with farm.database.unit() as session:
                row = recordings.lock(session, sid)
                assert row is not None
                if all(t.state is TenureState.ENDED for t in tenures.of(session, sid)):
                    one = {"role": Role.PRIMARY, "weight": 100, "deadline_ms": MINUTE_MS}
                    tenures.place_first(session, sid, candidates=NODES, **one)  # type: ignore[arg-type]  # named once

    threads = [threading.Thread(target=schedule, args=pair) for pair in zip(others, posts, strict=True)]
    threads.append(threading.Thread(target=start_some))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for other in others:
        other.close()
    last = Post()
    Unheld(farm.database, last, farm.settings).place(limit=60)  # who lost a race is tried again
    placed = open_tenures(farm, sids)
    assert max(Counter(sid for sid, _, _ in placed).values()) == 1
    assert Counter(node for _, _, node in placed) == dict.fromkeys(NODES, 10), "all the room there is, and no more"
    told = Counter(each for post in (*posts, last) for queue in post.queues.values() for each in _drained(queue))
    assert set(told) <= {(sid, epoch) for sid, epoch, _ in placed}
    assert all(times == 1 for times in told.values()), "one message each, after it was committed"


def _drained(queue: SimpleQueue[tuple[str, int]]) -> list[tuple[str, int]]:
    found = []
    while not queue.empty():
        found.append(queue.get())
    return found


def test_a_dead_nodes_recordings_are_reaped_and_placed_with_a_few_statements(postgres_farm: Farm) -> None:
    farm = postgres_farm
    dead = farm.worker("dead", capacity=10_000)
    sids = unplaced(farm, 40)
    unheld = Unheld(farm.database, farm.broker, farm.settings)
    unheld.place(limit=100)
    for sid in sids:
        dead.claim(sid)
    for name in NODES:
        farm.worker(name, capacity=1_000, ttl_ms=600_000)
    shift_time(farm.database, MINUTE_MS + 1)
    statements: list[str] = []
    event.listen(farm.database.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
    reaper = Reaper(farm.database, farm.broker, farm.settings, now_s=farm.time.now)
    assert len(reaper.reap()) == 40
    assert len(reaper.place_unheld()) == 40
    assert len(statements) < 40, "not one for each"
    assert Counter(node for _, _, node in open_tenures(farm, sids)) == dict.fromkeys(NODES, 10)
    assert {farm.recording(sid).deaths for sid in sids} == {1}
    assert {(farm.recording(sid).max_epoch, farm.recording(sid).writer_epoch) for sid in sids} == {(2, 2)}
    assert farm.messages("node-a")[0][1] in [[sid, 2] for sid in sids]


def test_whoever_wants_to_know_is_told_of_each_that_goes_on(postgres_farm: Farm) -> None:
    farm = postgres_farm
    with farm.database.unit() as session:
        apps.get(session, APPID).notice_url = "https://example.com/hook"
    dead = farm.worker("dead")
    sids = unplaced(farm, 2)
    reaper = Reaper(farm.database, farm.broker, farm.settings, now_s=farm.time.now)
    reaper.place_unheld()
    for sid in sids:
        dead.claim(sid)
    farm.worker("node-a", ttl_ms=600_000)
    shift_time(farm.database, MINUTE_MS + 1)
    reaper.reap()
    reaper.place_unheld()
    with farm.database.unit() as session:
        told = {n.sid: (n.sequence, n.event, n.details) for n in notices.due(session, 10)}
    expected = (0, Event.SESSION_FAILOVER, {"msgName": "session_failover", "newUid": 1})
    assert told == dict.fromkeys(sids, expected)


def test_rooms_are_kept_where_they_are_and_new_ones_get_an_ingest(postgres_farm: Farm) -> None:
    farm = postgres_farm
    farm.worker("node-a", capacity=1_000)
    for name in ("node-b", "node-c"):
        farm.worker(name, capacity=1_000, ingest_url=f"http://{name}")
    sids = unplaced(farm, 3, channel="whip:")
    with farm.database.unit() as session:
        rooms.place(session, APPID, "room 1", "node-c")
        rooms.place(session, APPID, "room 2", "node-a")  # its ingest is gone
    Unheld(farm.database, farm.broker, farm.settings).place(limit=10)
    where = {sid: node for sid, _, node in open_tenures(farm, sids)}
    with farm.database.unit() as session:
        held = [rooms.find(session, APPID, f"room {n}") for n in range(3)]
        assert reaping.unheld(session) == []
    assert [room.node for room in held if room is not None] == [where[sid] for sid in sids]
    assert where[sids[1]] == "node-c"
    assert "node-a" not in where.values(), "who has no ingest gets no room"


def test_a_broker_that_is_away_is_not_asked_for_each_of_a_thousand(postgres_farm: Farm) -> None:
    class Away(Post):
        asked = 0

        def record(self, node: str, sid: str, epoch: int, shown: str = "") -> bool:
            self.asked += 1
            return False

    farm, away = postgres_farm, Away()
    farm.worker("node-a", capacity=10_000)
    sids = unplaced(farm, 10)
    sent, found = Unheld(farm.database, away, farm.settings).place(limit=10)
    assert (len(sent), found, away.asked) == (10, 10, 3)
    assert len(open_tenures(farm, sids)) == 10, "their deadline finds them"
