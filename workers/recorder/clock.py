"""The two clocks behind `models.vocabulary.timing.Clock`: real time, and virtual time that leaps over every wait.

Virtual time lives in the event loop, so that everything that uses `asyncio.sleep`, timeouts or timers works on both.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")

#: Where virtual wall time begins when nobody says: 2026-01-01T00:00:00Z.
VIRTUAL_START_MS: Final = 1_767_225_600_000


class RealClock:
    """CLOCK_MONOTONIC, so comparable between the processes of one host. Wall time is read once and counted on from there:
    a host whose clock is stepped meanwhile does not move it.
    """

    def __init__(self, wall_offset_ms: int = 0, executor: Executor | None = None) -> None:
        """`wall_offset_ms`: the database's clock minus this host's, now."""
        self._wall_minus_now_s = time.time() - time.monotonic() + wall_offset_ms / 1000
        self._executor = executor

    def now(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return round((self.now() + self._wall_minus_now_s) * 1000)

    async def sleep_until(self, t: float) -> None:
        while (left_s := t - self.now()) > 0:  # noqa: ASYNC110  (a timer may fire its resolution early; time is no event)
            await asyncio.sleep(left_s)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time leaps to the next timer whenever nothing is ready.

    Real sockets still work, but virtual time does not wait for them: hold it (`held`) while an answer from outside
    matters. It stands still by itself while an executor's thread runs.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        self._holds = 0
        super().__init__(_LeapingSelector(self))

    def time(self) -> float:
        return self._now_s

    def leap(self, by_s: float) -> None:
        self._now_s += by_s

    @property
    def is_held(self) -> bool:
        return self._holds > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Virtual time stands still within; the loop waits for real events instead."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # typeshed spells the arguments with TypeVarTuple, which an override cannot repeat
        future = super().run_in_executor(executor, func, *args)
        self._holds += 1
        future.add_done_callback(self._release)
        return future

    def _release(self, _: asyncio.Future[Any]) -> None:
        self._holds -= 1


class _LeapingSelector(selectors.BaseSelector):
    """Answers a wait with a leap of the loop's time, unless something is ready or time is held."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._real.select(None)
        ready = self._real.select(0)
        if ready or timeout <= 0:
            return ready
        if self._loop.is_held:
            return self._real.select(None)
        self._loop.leap(timeout)
        return []

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualClock:
    """The time of a `VirtualLoop`. Deterministic: work "in a thread" runs at once, in the order it was asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start_wall_ms: int = VIRTUAL_START_MS) -> None:
        self._loop = loop
        self._start_s = loop.time()
        self._start_wall_ms = start_wall_ms

    def now(self) -> float:
        return self._loop.time()

    def wall_ms(self) -> int:
        return self._start_wall_ms + round((self.now() - self._start_s) * 1000)

    async def sleep_until(self, t: float) -> None:
        while self.now() < t:
            done = self._loop.create_future()
            timer = self._loop.call_at(t, _wake, done)
            try:
                await done
            finally:
                timer.cancel()

    async def in_thread(self, work: Callable[[], T]) -> T:
        return work()


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def run_virtual(main: Callable[[VirtualClock], Coroutine[Any, Any, T]], *, start_wall_ms: int = VIRTUAL_START_MS) -> T:
    """Run `main(clock)` to its end under a fresh `VirtualLoop`. Virtual time begins at 0 s."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main(VirtualClock(runner.get_loop(), start_wall_ms)))
