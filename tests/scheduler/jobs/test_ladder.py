"""The ladder, rung by rung, to the second."""

from __future__ import annotations

import itertools

import pytest

from scheduler.jobs.table import ROWS, Row
from scheduler.jobs.view import JobView, Outcome
from tests.scheduler.jobs.scripts import ZERO_MS, Call, answer, terms, walk


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.rung)
def test_a_rung_is_climbed_to_the_second(row: Row) -> None:
    lines, names = list(row.lines()), itertools.count()
    left = iter(lines)

    def respond(call: Call, _job: JobView) -> Outcome | None:
        line = next(left, None)
        return None if line is None else answer(line.answer, call.verb, lambda: f"n{next(names)}")

    stop_ms = None if row.stop_s is None else ZERO_MS + row.stop_s * 1000
    job, calls = walk(JobView(terms=terms(**row.terms)), respond, stop_ms=stop_ms, until_ms=ZERO_MS + 86_400_000)
    made = [((c.at_ms - ZERO_MS) / 1000, c.verb.value, c.uid, c.domain) for c in calls]
    assert made == [(line.at_s, line.verb, line.uid, line.domain) for line in lines]
    assert (job.state.value, "" if job.cause is None else job.cause.value) == (row.state, row.cause)
    assert bool(job.reason) == job.over, "an end has a reason, and only an end"
