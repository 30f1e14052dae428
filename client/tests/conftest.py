"""A service to speak to, a clock that only sleeping moves, and both clients as one `speak`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import reelyard
from tests.service import APPID, KEY, SECRET, Service, serve


@dataclass
class Time:
    """A clock that stands still but for sleeping."""

    s: float = 0.0
    pauses_s: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.s

    def sleep(self, seconds_s: float) -> None:
        self.pauses_s.append(seconds_s)
        self.s += seconds_s

    async def sleep_async(self, seconds_s: float) -> None:
        self.sleep(seconds_s)


Speak = Callable[..., Any]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="session")
def _services() -> Iterator[tuple[Service, Service]]:
    with serve() as first, serve() as second:
        yield first, second


@pytest.fixture
def service(_services: tuple[Service, Service]) -> Service:
    return _services[0].anew()


@pytest.fixture
def other(_services: tuple[Service, Service]) -> Service:
    return _services[1].anew()


@pytest.fixture(params=["sync", "async"])
def speaker(request: pytest.FixtureRequest, time: Time) -> Iterator[Callable[..., Speak]]:
    """Makes a client of either kind for some URLs; the client is a function of a verb's name and arguments."""
    closing: list[Callable[[], object]] = []

    def sync(url: str, **options: Any) -> Speak:
        client = reelyard.Client(url, APPID, KEY, SECRET, now_s=time.now, sleep=time.sleep, verify=False, **options)
        closing.append(client.close)
        return lambda verb, *args, **kwargs: getattr(client, verb)(*args, **kwargs)

    def asynchronous(url: str, **options: Any) -> Speak:
        runner = asyncio.Runner()
        client = reelyard.AsyncClient(
            url, APPID, KEY, SECRET, now_s=time.now, sleep=time.sleep_async, verify=False, **options
        )
        closing.extend([lambda: runner.run(client.aclose()), runner.close])
        return lambda verb, *args, **kwargs: runner.run(getattr(client, verb)(*args, **kwargs))

    yield sync if request.param == "sync" else asynchronous
    for close in closing:
        close()


@pytest.fixture
def speak(speaker: Callable[..., Speak], service: Service) -> Speak:
    return speaker(service.url)
