"""A worker of version N beside schedulers, recorders and spools of version N + 1."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from models.vocabulary import journal, messages, pipe
from workers import running
from workers.recorder.link import StdioLink
from workers.task import record


class Node:
    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def supervise(self, sid: str, epoch: int, *, on_claimed: Callable[[], None]) -> None:
        self.told.append((sid, epoch))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(running, "node", lambda: node)
    return node


def deliver(*args: object, **added: object) -> None:
    """As a worker does with a message that it has read."""
    record.push_request(id="s1.2", args=args, kwargs=added, argsrepr="", hostname="n1@reelyard")
    try:
        record.run(*args, **added)
    finally:
        record.pop_request()


def later(message: pipe.Message, **fields: object) -> bytes:
    return json.dumps(json.loads(pipe.line(message)) | fields).encode() + b"\n"


def test_a_message_with_arguments_that_came_later_is_acted_upon(node: Node) -> None:
    deliver("s1", 2, priority="high", version=messages.VERSION)
    deliver("s1", 3)
    assert node.told == [("s1", 2), ("s1", 3)]


def test_a_message_of_another_version_is_refused_in_words(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        deliver("s1", 2, version=messages.VERSION + 1)
    assert node.told == []
    assert "a message of version 2, this worker knows 1" in caplog.text


def test_a_line_of_the_pipe_with_fields_that_came_later_is_taken() -> None:
    assert pipe.up(later(pipe.Alive(n=3), battery=0.5)) == pipe.Alive(n=3)
    assert pipe.down(later(pipe.Committed(n=3), because={"of": "much"})) == pipe.Committed(n=3)


def test_a_message_of_the_pipe_that_came_later_is_no_message_and_no_harm() -> None:
    with pytest.raises(ValidationError):
        pipe.up(json.dumps({"v": pipe.PIPE_VERSION, "type": "mood", "is": "good"}).encode())


def test_a_line_of_another_version_of_the_pipe_is_refused_in_words() -> None:
    for read, message in ((pipe.up, pipe.Alive(n=3)), (pipe.down, pipe.Committed(n=3))):
        with pytest.raises(pipe.WrongVersion, match="drain it and start it again"):
            read(later(message, v=pipe.PIPE_VERSION + 1, type="unheard of"))


def test_a_recorder_that_does_not_understand_its_worker_says_so_and_leaves() -> None:
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()

    async def heard() -> list[pipe.Down]:
        link = await StdioLink.open(down_read, up_write)
        os.write(down_write, later(pipe.Committed(n=1), also="this"))
        os.write(down_write, later(pipe.Committed(n=2), v=pipe.PIPE_VERSION + 1))
        return [message async for message in link.messages()]

    try:
        assert asyncio.run(heard()) == [pipe.Committed(n=1)]
        said = pipe.up(os.read(up_read, 65_536))
    finally:
        for fd in (down_read, down_write, up_read, up_write):
            os.close(fd)
    assert isinstance(said, pipe.Fault)
    assert said.fatal
    assert "drain it and start it again" in said.text


def test_a_journal_with_entries_that_came_later_keeps_the_numbers_of_those_that_are_known() -> None:
    known = journal.Stored(key="k")
    unknown = json.dumps({"type": "blessed", "by": "whom"}).encode() + b"\n"
    more = json.dumps(json.loads(journal.line(known)) | {"colour": "red"}).encode() + b"\n"
    assert list(journal.parse(unknown + more)) == [(2, known)]
