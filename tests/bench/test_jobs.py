"""The bench of jobs, small; and proof that its judge would see a late check and a lost one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench import jobs
from models.vocabulary.states import JobState
from scheduler.jobs import ending, orders
from scheduler.jobs.view import Verb


def test_a_made_job_runs_and_asks_when_it_is_due() -> None:
    terms = orders.terms(orders.parse({"key": "k", "cname": "c", "uids": ["1", "2"]}), 1_000_000)
    job = jobs.running(terms, "5" * 32, 1_090_000)
    assert (job.state, job.verb, job.call_ms) == (JobState.RUNNING, Verb.QUERY, 1_090_000)
    assert ending.due_ms(job) == 1_090_000
    assert (job.attempt.sid, job.attempt.uid) == ("5" * 32, "1")


def test_a_check_is_late_by_the_time_to_its_query() -> None:
    due = [(1_000, "a"), (1_000, "a"), (61_000, "a"), (2_000, "b")]
    asked = [(1_400, "a"), (2_100, "b"), (61_900, "a")]
    assert jobs.lateness_ms(due, asked, 0, 100_000) == [100, 400, 900]


def test_a_check_that_never_came_is_late_until_the_end() -> None:
    assert jobs.lateness_ms([(1_000, "a"), (61_000, "a")], [(1_400, "a")], 0, 100_000) == [400, 39_000]


def test_a_check_that_was_put_off_counts_from_when_it_was_due_first() -> None:
    assert jobs.lateness_ms([(1_000, "a"), (5_000, "a")], [(6_000, "a")], 0, 100_000) == [5_000]


def test_what_was_due_outside_the_window_does_not_count() -> None:
    due = [(1_000, "a"), (50_000, "b"), (100_000, "c")]
    assert jobs.lateness_ms(due, [(50_001, "b")], 10_000, 100_000) == [1]


def test_the_work_of_grandchildren_counts_while_they_live_and_when_they_have_ended() -> None:
    work = "import time\nwhile time.process_time() < 0.4: pass\nprint(flush=True)\n"
    grandchild = [sys.executable, "-c", work + "input()"]
    child = f"import subprocess, sys\nsubprocess.run({grandchild!r})\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert 0.3 < jobs.cpu_s(process.pid) < 2
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        assert 0.3 < jobs.cpu_s(process.pid) < 2
        process.stdin.close()


def test_a_small_run_checks_its_jobs_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.main(["--jobs", "300", "--seconds", "10"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(figures) == ["jobs", "checks_per_s", "late_p99_s", "scheduler_cores", "db_cores"]
    assert figures["jobs"] == 300
    assert 3 < figures["checks_per_s"] < 7  # one a minute each
    assert figures["late_p99_s"] < 10
    assert figures["scheduler_cores"] > 0
    assert figures["db_cores"] >= 0
