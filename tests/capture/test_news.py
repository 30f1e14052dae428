"""What a channel tells is numbered in one order and ends with CLOSED; what breaks is seen by whoever reads."""

from __future__ import annotations

import asyncio

import pytest

from models.vocabulary.channel import ChannelEvent, Closing, EventKind, User
from workers.recorder.capture.news import News


def joined(uid: str, seq: int = 0) -> ChannelEvent:
    return ChannelEvent(1.0, seq, EventKind.JOINED, user=User(uid))


async def read(news: News) -> list[ChannelEvent]:
    return [event async for event in news.events()]


def test_events_are_numbered_anew_and_nothing_follows_the_end() -> None:
    async def run() -> list[ChannelEvent]:
        news = News()
        news.tell(joined("a", 17))
        news.tell(joined("b", 3))
        news.close(2.0, "the room was destroyed", Closing.KICKED)
        news.tell(joined("c"))
        news.close(3.0, "again")
        return await read(news)

    told = asyncio.run(run())
    assert [(event.seq, event.kind) for event in told] == [
        (1, EventKind.JOINED),
        (2, EventKind.JOINED),
        (3, EventKind.CLOSED),
    ]
    assert (told[-1].t, told[-1].detail, told[-1].closing) == (2.0, "the room was destroyed", Closing.KICKED)


def test_who_stops_reads_no_end_and_who_fails_tells_why() -> None:
    async def run() -> None:
        news = News()
        news.tell(joined("a"))
        news.stop()
        assert [event.kind for event in await read(news)] == [EventKind.JOINED]
        news.fail(ValueError("a broken script"))
        with pytest.raises(ValueError, match="script"):
            await read(news)

    asyncio.run(run())
