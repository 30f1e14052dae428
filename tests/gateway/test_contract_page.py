"""docs/reference/contract.md against the shapes that requests are read into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import pytest

from gateway.wire import requests
from gateway.wire.body import Shape
from models.vocabulary.events import Event
from models.vocabulary.states import Status

PAGE: Final = (Path(__file__).parents[2] / "docs/reference/contract.md").read_text()
SHAPES: Final[dict[str, type[Shape]]] = {
    "acquire": requests.AcquireRequest,
    "start": requests.StartRequest,
    "update": requests.UpdateRequest,
    "updateLayout": requests.UpdateLayoutRequest,
    "stop": requests.StopRequest,
}


def fields(shape: type[Shape], path: str = "") -> Iterator[str]:
    for info in shape.model_fields.values():
        name = f"{path}{info.alias}"
        inner = _shapes(info.annotation)
        for one in inner:
            yield from fields(one, f"{name}[]." if get_origin(info.annotation) is list else f"{name}.")
        if not inner:
            yield name


def _shapes(annotation: Any) -> list[type[Shape]]:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return [annotation]
    return [found for part in get_args(annotation) for found in _shapes(part)]


@pytest.mark.parametrize("verb", SHAPES)
def test_every_field_that_is_read_stands_on_the_page_and_no_other(verb: str) -> None:
    section = PAGE.split(f"\n### {verb}\n")[1].split("\n##")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (supported|partly|not yet) \|", section, re.MULTILINE)
    assert [name for name, _ in rows] == list(fields(SHAPES[verb]))


def test_every_answer_passes_or_says_why_it_cannot_occur() -> None:
    table = PAGE.split("## Answers")[1].split("## Notices")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| \w+.* \| \d{3} \|", line)]
    assert len(rows) >= 40
    assert [line for line in rows if "passes: `" not in line and "cannot occur here" not in line] == []


def test_every_status_of_a_recording_stands_on_the_page() -> None:
    section = PAGE.split("\n### Status\n")[1].split("\n##")[0]
    assert [int(n) for n in re.findall(r"^\| (\d+) ", section, re.MULTILINE)] == [status.value for status in Status]


def test_every_event_stands_on_the_page() -> None:
    section = PAGE.split("\n## Notices\n")[1].split("\n##")[0]
    heads = re.findall(r"^\| ([\d, –]+)", section, re.MULTILINE)
    named = {int(number) for head in heads for number in re.findall(r"\d+", head)}
    assert {event.value for event in Event} <= named
