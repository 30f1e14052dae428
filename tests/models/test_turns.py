"""Turns are taken in the order of asking, and on SQLite no thread of a process starves."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from models.database import open_database
from models.turns import Turns, TurnTimeout


def waits(turns: Turns, then: list[int], number: int) -> threading.Thread:
    """A thread that is surely in the queue."""

    def run() -> None:
        with turns.turn(10):
            then.append(number)

    before = len(turns._waiting)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while len(turns._waiting) == before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return thread


def test_turns_come_in_the_order_of_asking() -> None:
    turns, served = Turns(), list[int]()
    with turns.turn(1):
        threads = [waits(turns, served, n) for n in range(20)]
    for thread in threads:
        thread.join(10)
    assert served == list(range(20))


def test_who_waits_too_long_is_told_and_leaves_the_queue() -> None:
    turns, served = Turns(), list[int]()
    with turns.turn(1):
        first = waits(turns, served, 1)
        with pytest.raises(TurnTimeout), turns.turn(0.01):
            pass
        last = waits(turns, served, 2)
    first.join(10)
    last.join(10)
    assert served == [1, 2]
    with turns.turn(0.01):
        served.append(3)
    assert served == [1, 2, 3]


def test_an_error_inside_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(KeyError), turns.turn(1):
        raise KeyError
    with turns.turn(0.01):
        pass


def test_no_thread_starves_on_sqlite(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    done: Counter[int] = Counter()
    until = time.monotonic() + 1.0

    def work(number: int) -> None:
        while time.monotonic() < until:
            with database.unit() as session:
                session.execute(text("select 1"))
            done[number] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    database.close()
    assert len(done) == 8
    assert min(done.values()) > max(done.values()) / 2, done
