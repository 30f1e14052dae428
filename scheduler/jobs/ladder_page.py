"""The ladder's table in docs/design/jobs.md, written from `table.ROWS`: `python -m scheduler.jobs.ladder_page`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from scheduler.jobs.table import ROWS, Row

PAGE: Final = Path(__file__).parents[2] / "docs" / "design" / "jobs.md"
BEGIN: Final = "<!-- ladder: begin (python -m scheduler.jobs.ladder_page) -->"
END: Final = "<!-- ladder: end -->"
HEAD: Final = "| rung | calls at second: answer | then |\n| --- | --- | --- |\n"


def table() -> str:
    return HEAD + "".join(_line(row) for row in ROWS)


def page(text: str) -> str:
    """The page with its table as it should be."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def _line(row: Row) -> str:
    calls, uid = [], ""
    for line in row.lines():
        named = f"**{line.uid}** " if line.uid != uid else ""
        uid = line.uid
        domain = " (other domain)" if line.domain else ""
        calls.append(f"{named}{line.verb} {line.at_s}{domain}: {_answer(line.answer)}")
    if row.stop_s is not None:
        calls.append(f"(the caller's stop: {row.stop_s})")
    then = f"{row.state}: `{row.cause}`" if row.cause else row.state
    return f"| {row.rung} | {'; '.join(calls)} | {then} |\n"


def _answer(text: str) -> str:
    return f"status {text[1:].replace(':', ' ')}" if text.startswith("=") else text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    sys.exit(0)
