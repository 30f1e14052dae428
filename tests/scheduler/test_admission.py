"""Many starts at once, and the settings that both Celery apps share."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from celery import Celery
from celery.app.defaults import NAMESPACES, flatten

from models import celery_config
from models.repositories import tenures
from models.vocabulary import errors as e
from tests.scheduler.farm import APPID, Farm, start_order


def test_many_starts_at_once_fill_the_nodes_exactly(postgres_farm: Farm) -> None:
    farm = postgres_farm
    for name in ("node-a", "node-b", "node-c"):
        farm.worker(name, capacity=100)
    resources = [farm.acquire(f"c{n}") for n in range(30)]

    def begin(n: int) -> str | None:
        try:
            return farm.service.begin_start(APPID, resources[n].resource_id, start_order(cname=f"c{n}")).sid
        except e.Overloaded:
            return None

    with ThreadPoolExecutor(8) as threads:
        sids = [sid for sid in threads.map(begin, range(30)) if sid]
    weight = farm.recording(sids[0]).weight
    with farm.database.unit() as session:
        loads = tenures.loads(session)
    assert all(load <= 100 for load in loads.values())
    assert len(sids) == 3 * (100 // weight)
    assert {len(farm.tenures(sid)) for sid in sids} == {1}


def test_one_resource_started_many_times_at_once_makes_one_recording(postgres_farm: Farm) -> None:
    farm = postgres_farm
    farm.worker()
    resource = farm.acquire()
    with ThreadPoolExecutor(8) as threads:
        starts = [
            threads.submit(farm.service.begin_start, APPID, resource.resource_id, start_order()) for _ in range(16)
        ]
        begun = [start.result() for start in starts]
    assert len({one.sid for one in begun}) == 1
    assert [one.again for one in begun].count(False) == 1
    assert len(farm.messages("node-a")) == 1


def test_the_shared_settings_are_ones_that_celery_knows_and_takes() -> None:
    app = Celery("test")
    app.config_from_object("models.celery_config")
    known = dict(cast("Iterable[tuple[str, object]]", flatten(NAMESPACES)))
    said = {
        name: value
        for name, value in vars(celery_config).items()
        if name.islower() and not name.startswith("_") and name != "annotations"
    }
    assert set(said) <= set(known)
    assert {name: app.conf[name] for name in said} == said
    assert app.conf.task_acks_late is False
    assert app.conf.worker_cancel_long_running_tasks_on_connection_loss is False
