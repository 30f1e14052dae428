"""Leading, outages, signals: the process itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from celery import Celery

from models import secrets
from models.database import Database
from models.schema import upgrade
from models.vocabulary.errors import StateUnavailable
from scheduler.broker import CeleryBroker
from scheduler.leader import Leadership
from scheduler.loop import LONGEST_WAIT_S, TICK_S, Loop
from tests.scheduler.farm import Farm, Time

ROOT = Path(__file__).parents[2]


def leadership(farm: Farm, owner: str, clock: Time) -> Leadership:
    return Leadership(farm.database, owner, ttl_ms=60_000, quiet_ms=6_000, now_s=clock.now)


def test_one_leads_and_the_next_leads_when_it_leaves(postgres_farm: Farm) -> None:
    clock = Time()
    first, second = leadership(postgres_farm, "first", clock), leadership(postgres_farm, "second", clock)
    assert (first.hold(), second.hold()) == (True, False)
    assert not first.may_reap, "it is new"
    first.release()
    assert (second.hold(), first.hold()) == (True, False)


def test_a_leader_reaps_only_after_an_unbroken_quiet_time_by_both_clocks(postgres_farm: Farm) -> None:
    from models.database import shift_time

    clock = Time()
    leads = leadership(postgres_farm, "one", clock)
    assert leads.hold()
    clock.s += 7
    assert leads.hold()
    assert not leads.may_reap, "the database's clock has not gone on"
    shift_time(postgres_farm.database, 7_000)
    assert leads.hold()
    assert leads.may_reap
    clock.s += 61  # we were frozen for longer than our lease
    assert leads.hold()
    assert not leads.may_reap


def test_a_round_without_a_database_waits_longer_and_longer_and_then_works_again(sqlite_farm: Farm) -> None:
    farm = sqlite_farm
    away = Database("postgresql+psycopg://nobody@127.0.0.1:9/none")
    loop = Loop(away, farm.broker, farm.settings, "me")
    waits = [loop.round() for _ in range(6)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S
    away.close()
    away.__dict__.update(farm.database.__dict__)  # the same object, for all parts of the loop
    assert loop.round() == TICK_S


def test_the_loop_gives_its_lease_back_when_it_stops(sqlite_farm: Farm) -> None:
    farm = sqlite_farm
    stop = threading.Event()
    thread = threading.Thread(target=Loop(farm.database, farm.broker, farm.settings, "me").run, args=(stop,))
    thread.start()
    probe = leadership(farm, "probe", Time())
    deadline_s = time.monotonic() + 10
    while probe.hold() and time.monotonic() < deadline_s:  # until the loop has taken it
        probe.release()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert probe.hold()


def test_a_broker_that_is_away_costs_little_time_and_no_start(sqlite_farm: Farm) -> None:
    farm = sqlite_farm
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        celery = Celery("away")
        celery.config_from_object("models.celery_config")
        celery.conf.update(broker_url=url)
        broker = CeleryBroker(celery, url)
        began_s = time.monotonic()
        assert broker.record("node-a", "0" * 32, 1) is False
        assert broker.nudge("0" * 32) is False
        with pytest.raises(StateUnavailable):
            broker.check()
        assert time.monotonic() - began_s < 4
        farm.service.broker = broker
        farm.worker()
        assert len(farm.tenures(farm.begin())) == 1
        assert set(farm.service.ready()) == {"broker"}
        broker.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_outlives_a_missing_broker_and_leaves_cleanly_when_told(tmp_path: Path, number: int) -> None:
    url = f"sqlite:///{tmp_path / 'reelyard.db'}"
    upgrade(url)
    environment = os.environ | {
        "REELYARD_DATABASE_URL": url,
        "REELYARD_BROKER_URL": "redis://:planted-password@127.0.0.1:9/0",
        "REELYARD_SECRET_KEYS": secrets.generate_key(),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "scheduler"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    said = []
    for line in child.stderr:
        said.append(line)
        if "| leading" in line:
            break
    child.send_signal(number)
    rest = child.communicate(timeout=20)[1]
    assert child.returncode == 0
    assert "| stopped" in rest
    assert "planted-password" not in "".join(said) + rest
