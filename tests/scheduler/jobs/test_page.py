from __future__ import annotations

from scheduler.jobs import ladder_page
from scheduler.jobs.table import ROWS
from scheduler.jobs.view import Cause


def test_the_page_prints_the_table_that_the_tests_walk() -> None:
    text = ladder_page.PAGE.read_text()
    assert ladder_page.page(text) == text, "run python -m scheduler.jobs.ladder_page"


def test_the_table_shows_every_named_end() -> None:
    shown = {row.cause for row in ROWS}
    assert {cause.value for cause in Cause} <= shown
