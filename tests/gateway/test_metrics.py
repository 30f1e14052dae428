"""`/metrics` on a real database: what it counts, who may read it, and that dashboard and alerts ask for nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for one call
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import update

from gateway.app import create_app
from gateway.routes.metrics import FRESH_S, Metrics
from gateway.runtime import Runtime
from models.database import open_database, shift_time
from models.repositories import counts, jobs, nodes, notices, reaping, tenures, timeline
from models.repositories.counts import DAY_MS, period_start_ms
from models.tables import App
from models.vocabulary.states import JobState, Role
from scheduler.service import Service
from tests.scheduler.farm import APPID, Farm

ROOT = Path(__file__).parents[2]
FAULT = {"code": 1, "scope": "session", "retryable": False, "text": "refused"}

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


@asynccontextmanager
async def reader(farm: Farm, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    farm.service.settings = farm.settings.model_copy(update=settings)
    app = create_app(farm.service)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield http


def read(farm: Farm, **settings: Any) -> Samples:
    async def get() -> str:
        async with reader(farm, **settings) as http:
            answer = await http.get("/metrics")
            assert answer.status_code == 200, answer.text
            return answer.text

    return samples(asyncio.run(get()))


def samples(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"reelyard_{name}", frozenset(labels.items())]


def answered(farm: Farm, *authorization: bytes) -> int:
    async def get() -> int:
        async with reader(farm, metrics_token=SecretStr("planted-token")) as http:
            return (
                await http.get("/metrics", headers=[(b"authorization", said) for said in authorization])
            ).status_code

    return asyncio.run(get())


def test_an_empty_farm_shows_zeros_and_not_nothing(farm: Farm) -> None:
    found = read(farm)
    assert value(found, "state_up") == 1
    assert value(found, "recordings", status="in_progress") == 0
    assert value(found, "starts_total", outcome="failed") == 0
    assert value(found, "nodes", state="open") == 0
    assert value(found, "jobs", state="running") == 0
    assert value(found, "dispatch_age_seconds") == 0


def test_recordings_starts_nodes_and_their_load_are_counted(farm: Farm) -> None:
    worker = farm.worker("node-a", capacity=400)
    recorded, refused_, waiting = (farm.begin(cname) for cname in ("one", "two", "three"))
    for sid in (recorded, refused_):
        worker.claim(sid)
        worker.ready(sid)
    worker.slice(recorded)
    worker.fail(refused_, FAULT)
    shift_time(farm.database, 3_000)

    found = read(farm)
    assert value(found, "recordings", status="in_progress") == 1
    assert value(found, "recordings", status="failed") == 1
    assert value(found, "recordings", status="not_started") == 1
    assert [value(found, "starts_total", outcome=name) for name in ("recorded", "failed", "empty")] == [1, 1, 0]
    assert value(found, "dispatched") == 1
    assert 3 <= value(found, "dispatch_age_seconds") < 60
    assert value(found, "nodes", state="open") == 1
    assert value(found, "node_up", node="node-a") == 1
    assert value(found, "node_capacity_cores", node="node-a") == 4
    weights = sum(farm.recording(sid).weight for sid in (recorded, waiting))
    assert value(found, "node_load_cores", node="node-a") == pytest.approx(weights / 100)


def test_nodes_that_drain_are_cordoned_went_or_left_are_told_apart(farm: Farm) -> None:
    for name, ttl_ms in (("open", 60_000), ("drains", 60_000), ("cordoned", 60_000), ("went", 1_000), ("left", 60_000)):
        farm.worker(name, ttl_ms=ttl_ms)
    with farm.database.unit() as session:
        nodes.set_draining(session, "drains", True)
        nodes.cordon(session, "cordoned", True)
        nodes.leave(session, "left", "boot")
    shift_time(farm.database, 2_000)
    found = read(farm)
    states = {state: value(found, "nodes", state=state) for state in ("open", "draining", "cordoned", "gone")}
    assert states == {"open": 1, "draining": 1, "cordoned": 1, "gone": 1}
    assert value(found, "node_up", node="went") == 0
    assert ("reelyard_node_up", frozenset({("node", "left")})) not in found


def test_a_death_is_a_fail_over_a_message_that_nobody_claims_is_not_and_a_successor_is_a_hand_over(farm: Farm) -> None:
    worker = farm.worker("node-a", capacity=1_000)
    died, unheard, drained = (farm.begin(cname) for cname in ("one", "two", "three"))
    claim, _ = worker.claim(died), worker.claim(drained)
    with farm.database.unit() as session:
        tenures.end(session, died, 1, claim.owner, "its lease ran out")
        tenures.place(session, died, role=Role.PRIMARY, node="node-a", weight=10, deadline_ms=5_000)
        second = tenures.place(session, drained, role=Role.SUCCESSOR, node="node-a", weight=10, deadline_ms=5_000)
    worker.claim(drained, second)
    shift_time(farm.database, 6_000)
    with farm.database.unit() as session:
        assert {grant.sid for grant in reaping.reap(session)} >= {unheard}
        tenures.place(session, unheard, role=Role.PRIMARY, node="node-a", weight=10, deadline_ms=5_000)
    found = read(farm)
    assert value(found, "failovers_total") == 1
    assert value(found, "handovers_total") == 1
    assert value(found, "unclaimed_total") >= 1


def test_what_is_not_stored_and_what_is_missing_are_counted_in_bytes_and_seconds(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    claim = worker.claim(sid)
    worker.slice(sid)
    with farm.database.unit() as session:
        timeline.reserve(
            session, sid, "mix", 1, claim.owner, 8 * 90_000, 14 * 90_000, "late.ts", 5_000, "0" * 32, cause="it fell"
        )
    found = read(farm)
    assert value(found, "upload_backlog_segments") == 1
    assert value(found, "upload_backlog_bytes") == 5_000
    assert value(found, "holes", state="owed", cause="it fell") == 1
    assert value(found, "holes_seconds", state="owed", cause="it fell") == 2


def test_many_causes_of_holes_do_not_make_many_series(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    claim = worker.claim(sid)
    worker.slice(sid)
    with farm.database.unit() as session:
        for n in range(counts.MOST_CAUSES + 5):
            start = (8 + 8 * n) * 90_000
            timeline.reserve(
                session,
                sid,
                "mix",
                1,
                claim.owner,
                start,
                start + 6 * 90_000,
                f"{n}.ts",
                1,
                "0" * 32,
                cause=f"cause {n}",
            )
    found = read(farm)
    assert value(found, "holes", state="owed", cause="other") == 5
    assert sum(v for (name, _), v in found.items() if name == "reelyard_holes") == counts.MOST_CAUSES + 5


def test_notices_and_jobs_are_counted_and_their_lateness_shown(sqlite_farm: Farm) -> None:
    farm = sqlite_farm
    farm.worker()
    sid = farm.begin()
    with farm.database.unit() as session:
        session.execute(update(App).values(notice_url="https://example.com/"))
        notices.tell(session, sid, 40, {})
        assert jobs.add(
            session, job_id="1" * 32, appid=APPID, key="k", cname="c", mode="mix", terms={}, deadline_ms=1, position={}
        )
    shift_time(farm.database, 4_000)
    found = read(farm)
    assert value(found, "notices_pending") == 1
    assert 4 <= value(found, "notice_age_seconds") < 60
    assert value(found, "jobs", state=JobState.WAITING.value) == 1
    assert 4 <= value(found, "job_lateness_seconds") < 60


def test_a_period_begins_at_the_same_time_for_all_and_holds_no_row_that_is_deleted_in_it() -> None:
    for now in (0, 1, 29 * DAY_MS, 30 * DAY_MS - 1, 1_800_000_000_000):
        begins = period_start_ms(now, 30)
        assert begins == period_start_ms(begins, 30) <= now < begins + 30 * DAY_MS


def test_who_has_no_token_reads_nothing_where_one_is_set(sqlite_farm: Farm) -> None:
    assert answered(sqlite_farm) == 401
    assert answered(sqlite_farm, b"Bearer another") == 401
    assert answered(sqlite_farm, "Bearer planted-tokén".encode()) == 401
    assert answered(sqlite_farm, b"Bearer planted-token") == 200


def test_no_channel_app_or_sid_is_shown(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()
    sid = sqlite_farm.begin("hidden-channel")
    shown = str(read(sqlite_farm))
    assert not [word for word in (sid, "hidden-channel", APPID) if word in shown]


async def _counted(farm: Farm, times_s: Iterable[float]) -> list[object]:
    """What is answered at each of these times."""
    now_s = 0.0
    run = Runtime(farm.service)
    metrics = Metrics(run, lambda: now_s)
    found: list[object] = []
    for time_s in times_s:
        now_s = time_s
        found.append(await metrics.counts())
    await run.close()
    return found


def test_sql_counts_no_more_often_than_its_answers_are_fresh(sqlite_farm: Farm) -> None:
    first, again, later = asyncio.run(_counted(sqlite_farm, (0.0, FRESH_S - 0.1, FRESH_S)))
    assert first is again
    assert first is not later


def test_a_database_that_is_away_is_shown_as_such(sqlite_farm: Farm) -> None:
    away = open_database("postgresql+psycopg://nobody@127.0.0.1:9/none")
    sqlite_farm.service = Service(away, sqlite_farm.broker, sqlite_farm.settings)
    found = read(sqlite_farm)
    assert found == {("reelyard_state_up", frozenset()): 0, ("reelyard_uncounted_requests_total", frozenset()): 0}
    away.close()


# --- what lies in deploy/


def queries() -> dict[str, str]:
    """Every PromQL expression that is shipped, by where it stands."""
    dashboard = json.loads((ROOT / "deploy/grafana/reelyard.json").read_text())
    found = {
        f"{panel['title']}/{target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    return found | {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def test_dashboard_and_alerts_ask_only_for_metrics_that_exist(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()
    shown = read(sqlite_farm)
    names = {name for name, _ in shown} | {"reelyard_holes", "reelyard_holes_seconds"}
    labels = {name: {key for other, keys in shown if other == name for key, _ in keys} for name in names}
    labels |= {"reelyard_holes": {"state", "cause"}, "reelyard_holes_seconds": {"state", "cause"}}
    assert len(queries()) > 20
    for where, expr in queries().items():
        asked = re.findall(r"(reelyard_\w+)(?:\{(.*?)\})?", expr)
        assert asked, f"{where} asks for nothing of ours"
        for name, selector in asked:
            assert name in names, f"{where}: {name}"
            assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= labels[name], f"{where}: {selector}"


def test_every_metric_is_on_the_dashboard_or_in_an_alert(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()
    used = " ".join(queries().values())
    unused = {name for name, _ in read(sqlite_farm) if not re.search(rf"\b{name}\b", used)}
    assert unused == set()


def test_alerts_say_what_to_do_and_the_dashboard_has_no_panel_twice() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "for", "labels", "annotations"} == set(rule), rule
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert {"summary", "description"} == set(rule["annotations"])
    dashboard = json.loads((ROOT / "deploy/grafana/reelyard.json").read_text())
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in dashboard["panels"]]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    for n, (x, y, w, h) in enumerate(places):
        assert x + w <= 24
        for x2, y2, w2, h2 in places[n + 1 :]:
            assert not (x < x2 + w2 and x2 < x + w and y < y2 + h2 and y2 < y + h), "panels overlap"
