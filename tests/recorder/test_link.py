"""The recorder's end of the pipe: it never waits for the other side."""

from __future__ import annotations

import asyncio
import os
import time

from models.vocabulary import pipe
from workers.recorder import link
from workers.recorder.link import StdioLink


def read_all(fd: int) -> list[pipe.Up]:
    chunks = []
    while chunk := os.read(fd, 1 << 20):
        chunks.append(chunk)
    return [pipe.up(line) for line in b"".join(chunks).splitlines()]


def test_a_reader_that_does_not_read_blocks_nobody_and_gets_the_newest() -> None:
    async def main() -> list[pipe.Up]:
        (down_in, down_out), (up_in, up_out) = os.pipe(), os.pipe()
        it = await StdioLink.open(down_in, up_out)
        began = time.monotonic()
        for n in range(20_000):
            it.send(pipe.Journal(n=n))
            it.send(pipe.Alive(n=n))
        it.send(pipe.Warn(text="kept"))
        assert time.monotonic() - began < 10
        assert len(it._waiting) <= 3
        reading = asyncio.get_running_loop().run_in_executor(None, read_all, up_in)
        while it._waiting or it._torn:  # noqa: ASYNC110  (its writer tells nobody that it is through)
            await asyncio.sleep(0.01)
        os.close(up_out)
        heard = await reading
        os.close(down_out)
        return heard

    heard = asyncio.run(main())
    journals = [m.n for m in heard if isinstance(m, pipe.Journal)]
    assert journals == sorted(journals)
    assert journals[-1] == 19_999
    assert [m.text for m in heard if isinstance(m, pipe.Warn)] == ["kept"]


def test_a_worker_that_is_gone_is_no_error() -> None:
    async def main() -> None:
        (down_in, down_out), (up_in, up_out) = os.pipe(), os.pipe()
        it = await StdioLink.open(down_in, up_out)
        os.close(up_in)
        for n in range(3):
            it.send(pipe.Journal(n=n))
        os.close(down_out)
        assert [m async for m in it.messages()] == []

    asyncio.run(main())


def test_huge_documents_come_through_and_what_is_unknown_torn_or_too_long_is_passed_over() -> None:
    text = "x" * 3_000_000
    lines = [
        b'{"v":1,"type":"of the future"}\n',
        b"nonsense\n",
        b"\n",
        pipe.line(pipe.Document(key="k", content_type="t", text=text, rev=1)),
        b"y" * 300_000 * 64 + b"\n",
        pipe.line(pipe.Committed(n=7)),
        b'{"type":"finish"}',  # torn by the worker's death
    ]

    async def main() -> list[pipe.Down]:
        (down_in, down_out), (_, up_out) = os.pipe(), os.pipe()
        it = await StdioLink.open(down_in, up_out)

        def write() -> None:
            with os.fdopen(down_out, "wb") as file:
                file.writelines(lines)

        writing = asyncio.get_running_loop().run_in_executor(None, write)
        heard = [m async for m in it.messages()]
        await writing
        return heard

    assert len(lines[4]) > link.LINE_LIMIT_BYTES
    document, committed = asyncio.run(main())
    assert isinstance(document, pipe.Document) and document.text == text
    assert committed == pipe.Committed(n=7)
