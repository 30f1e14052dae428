"""What a channel tells of its room: events in one order, to whoever records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from models.vocabulary.channel import ChannelEvent, Closing, EventKind


class News:
    """Of one channel. Nothing is told after CLOSED."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[ChannelEvent | BaseException | None] = asyncio.Queue()
        self._seq = 0
        self._is_over = False

    def tell(self, event: ChannelEvent) -> None:
        """Numbered anew: one order across broken connections, and across a server that lost its own count."""
        if self._is_over:
            return
        self._seq += 1
        self._is_over = event.kind is EventKind.CLOSED
        self._told.put_nowait(replace(event, seq=self._seq))

    def close(self, t: float, why: str, closing: Closing = Closing.CLOSED) -> None:
        self.tell(ChannelEvent(t, 0, EventKind.CLOSED, detail=why, closing=closing))

    def fail(self, error: BaseException) -> None:
        """Raised where the events are read."""
        self._told.put_nowait(error)

    def stop(self) -> None:
        """Nobody reads any more; the room goes on."""
        self._told.put_nowait(None)

    async def events(self) -> AsyncIterator[ChannelEvent]:
        """As `Channel.events`."""
        while (event := await self._told.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
            if event.kind is EventKind.CLOSED:
                return
