"""A journal may be committed again, from its start and up to anywhere: the state is the same as after once."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from models.database import Database
from models.repositories import timeline
from models.vocabulary import journal
from models.vocabulary.states import Role
from tests.models.farm import app, node, recording, tenure
from workers import bookkeeping
from workers.bookkeeping import Grantee, Outcome, first_file

TRACK = "mix"


def entries(steps: list[tuple[str, int]]) -> list[tuple[int, journal.AnyEntry]]:
    """A recorder's journal: slices in time order, some of them stored or lost by and by, gaps between."""
    found: list[journal.AnyEntry] = [
        journal.Begun(sid="s", epoch=1, owner="o", resume_at_90k=0),
        journal.Zero(t0_ms=1_000, clock_id="c", zero_s=0.5),
    ]
    at, waiting = 0, list[str]()
    for kind, length in steps:
        end = at + length * 90_000
        match kind:
            case "slice":
                key = f"k{at:09d}.ts"
                found.append(
                    journal.Slice(track=TRACK, start_90k=at, end_90k=end, key=key, file=key, bytes=9, md5="0" * 32)
                )
                waiting.append(key)
                at = end
            case "gap":
                found.append(journal.Gap(track=TRACK, start_90k=at, end_90k=end, cause="the recorder died"))
                at = end
            case "stored" if waiting:
                found.append(journal.Stored(key=waiting.pop(length % len(waiting))))
            case "lost" if waiting:
                found.append(journal.Lost(key=waiting.pop(length % len(waiting)), cause="gone"))
            case _:
                pass
    return list(enumerate(found, start=1))


def commit(session: Session, who: Grantee, facts: list[tuple[int, journal.AnyEntry]]) -> Outcome:
    return bookkeeping.commit(session, who, facts, slot_90k=6 * 90_000, ending=False)


def state(database: Database, sid: str) -> Any:
    with database.unit() as session:
        segments, holes = timeline.rows(session, sid, TRACK)
        return (
            timeline.head(session, sid, TRACK),
            [(s.start_90k, s.end_90k, s.key, s.state) for s in segments],
            [(h.start_90k, h.end_90k, h.state, h.cause) for h in holes],
        )


def is_partition(found: Any) -> bool:
    head, segments, holes = found
    at = 0
    for start, end, *_ in sorted([*segments, *holes]):
        if start != at:
            return False
        at = end
    return bool(at == head)


step = st.tuples(st.sampled_from(["slice", "slice", "gap", "stored", "stored", "lost"]), st.integers(1, 6))
_made = 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=14), cuts=st.lists(st.integers(0, 16), max_size=4))
def test_replaying_a_journal_changes_nothing(sqlite: Database, steps: list[tuple[str, int]], cuts: list[int]) -> None:
    global _made
    _made += 1
    once, often = f"a{_made}", f"b{_made}"
    with sqlite.unit() as session:
        if _made == 1:
            app(session)
            node(session, capacity=10**9)
        who = {}
        for sid in (once, often):
            recording(session, sid, cname=sid)
            claim = tenure(session, sid)
            who[sid] = Grantee(sid, claim.epoch, claim.owner)
    facts = entries(steps)
    with sqlite.unit() as session:
        outcome = commit(session, who[once], facts)
    for cut in [*cuts, len(facts), len(facts)]:
        with sqlite.unit() as session:
            again = commit(session, who[often], facts[:cut])
        assert is_partition(state(sqlite, often))
    assert state(sqlite, once) == state(sqlite, often)
    assert outcome.refused == []
    assert (outcome.n, again.stored) == (len(facts), 0)


def test_a_slice_whose_place_a_store_has_from_another_is_needed_by_nobody(sqlite: Database) -> None:
    with sqlite.unit() as session:
        app(session)
        node(session)
        recording(session, "s1")
        claims = [tenure(session, "s1"), tenure(session, "s1", role=Role.STANDBY)]
    slot: dict[str, Any] = {"track": TRACK, "start_90k": 0, "end_90k": 540_000, "bytes": 9, "md5": "0" * 32}
    first, second = (Grantee("s1", claim.epoch, claim.owner) for claim in claims)

    def told(who: Grantee, *facts: journal.AnyEntry) -> Outcome:
        with sqlite.unit() as session:
            return commit(session, who, list(enumerate(facts, start=1)))

    assert told(first, journal.Slice(key="a.ts", file="a.ts", **slot)).granted == ["a.ts"]
    mine = journal.Slice(key="b.ts", file="b.ts", **slot)
    undecided = told(second, mine)
    assert (list(undecided.later), undecided.covered) == (["b.ts"], [])
    told(first, journal.Stored(key="a.ts"))
    decided = told(second, mine)
    assert (decided.refused, decided.covered) == (["b.ts"], ["b.ts"])


def test_the_first_file_is_told_once(database: Database) -> None:
    from sqlalchemy import func, select

    from models.tables import Notice

    with database.unit() as session:
        app(session, notice_url="https://example.org/notices")
        node(session)
        recording(session, "s1")
        claim = tenure(session, "s1")
    who = Grantee("s1", claim.epoch, claim.owner)
    for _ in range(2):
        with database.unit() as session:
            first_file(session, who)
    with database.unit() as session:
        assert session.scalar(select(func.count()).select_from(Notice).where(Notice.event == 4)) == 1
