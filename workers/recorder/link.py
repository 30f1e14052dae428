"""The recorder's end of the pipe. Reading and writing never block it: what cannot be written now is coalesced."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Protocol

from pydantic import ValidationError

from models.vocabulary import pipe
from models.vocabulary.errors import Internal

log = logging.getLogger(__name__)

#: The longest line we take: a document (playlist of a day in 6 s slices is some 2 MB) plus its frame.
LINE_LIMIT_BYTES = 16 * 1024 * 1024


class Link(Protocol):
    def send(self, message: pipe.Message) -> None: ...

    def messages(self) -> AsyncIterator[pipe.Down]:
        """Ends at end of file: the worker is gone."""
        ...


class StdioLink:
    """JSON lines over two file descriptors."""

    def __init__(self, reader: asyncio.StreamReader, out_fd: int) -> None:
        self._reader = reader
        self._out = out_fd
        self._loop = asyncio.get_running_loop()
        self._waiting: list[pipe.Message] = []
        self._torn = b""
        self._armed = False
        self._closed = False
        os.set_blocking(out_fd, False)

    @classmethod
    async def open(cls, in_fd: int, out_fd: int) -> StdioLink:
        reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(in_fd, "rb", closefd=False)
        )
        return cls(reader, out_fd)

    async def messages(self) -> AsyncIterator[pipe.Down]:
        while (line := await self._line()) != b"":
            if not line.endswith(b"\n"):
                return  # torn by the worker's death
            try:
                yield pipe.down(line)
            except ValidationError:
                continue  # a newer worker's message: it must not rely on our knowing it
            except pipe.WrongVersion as error:
                log.error("%s", error)
                self.send(
                    pipe.Fault(code=Internal.code, scope=Internal.scope, retryable=True, text=str(error), fatal=True)
                )
                return  # as if the worker had hung up

    async def _line(self) -> bytes:
        """b"" at the end; a line that is too long is passed over as a message that we do not know."""
        try:
            return await self._reader.readline()
        except ValueError:
            log.error("a message of the worker is longer than %s bytes and is left out", LINE_LIMIT_BYTES)
            return b"\n"

    def send(self, message: pipe.Message) -> None:
        if self._closed:
            return
        if isinstance(message, pipe.Alive | pipe.Journal):
            self._waiting = [m for m in self._waiting if type(m) is not type(message)]  # only the newest counts
        self._waiting.append(message)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._torn or self._waiting:
                if not self._torn:
                    self._torn = pipe.line(self._waiting.pop(0))
                self._torn = self._torn[os.write(self._out, self._torn) :]
        except BlockingIOError:
            if not self._armed:
                self._loop.add_writer(self._out, self._flush)
                self._armed = True
            return
        except OSError:
            self._closed = True  # the worker is gone; end of stdin says so too, and that is acted upon
        if self._armed:
            self._loop.remove_writer(self._out)
            self._armed = False
