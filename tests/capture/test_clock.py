"""Both clocks keep the one contract, and virtual time costs no time."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from models.vocabulary.timing import Clock
from workers.recorder.clock import RealClock, VirtualClock, VirtualLoop, run_virtual


def test_an_hour_of_sleep_passes_at_once_on_the_virtual_clock() -> None:
    async def main(clock: VirtualClock) -> tuple[float, int]:
        began_ms = clock.wall_ms()
        await asyncio.sleep(1800)
        await clock.sleep_until(3600)
        return clock.now(), clock.wall_ms() - began_ms

    began = time.monotonic()
    assert run_virtual(main) == (3600.0, 3_600_000)
    assert time.monotonic() - began < 5


def test_sleepers_wake_in_the_order_of_their_times_never_early() -> None:
    async def main(clock: VirtualClock) -> list[tuple[float, bool]]:
        woken: list[tuple[float, bool]] = []

        async def sleeper(t: float) -> None:
            await clock.sleep_until(t)
            woken.append((t, clock.now() >= t))

        await asyncio.gather(*(sleeper(n / 30) for n in reversed(range(3000))))
        return woken

    woken = run_virtual(main)
    assert [t for t, _ in woken] == sorted(t for t, _ in woken)
    assert all(in_time for _, in_time in woken)


def test_virtual_time_stands_still_while_a_thread_works() -> None:
    async def main(clock: VirtualClock) -> tuple[float, float, int]:
        alarm = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        await asyncio.to_thread(time.sleep, 0.05)
        in_executor = clock.now()
        ran_in = await clock.in_thread(threading.get_ident)
        await alarm
        return in_executor, clock.now(), ran_in

    assert run_virtual(main) == (0.0, 10.0, threading.get_ident())


def test_real_sockets_work_under_virtual_time_while_it_is_held() -> None:
    async def main(clock: VirtualClock) -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs, loop.held():
            answer = threading.Timer(0.05, theirs.send, (b"hello",))
            answer.start()
            async with asyncio.timeout(1):
                return await loop.sock_recv(ours, 16), clock.now()

    assert run_virtual(main) == (b"hello", 0.0)


def test_a_timeout_of_virtual_time_is_a_timeout() -> None:
    async def main(clock: VirtualClock) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7):
                await asyncio.Event().wait()
        return clock.now()

    assert run_virtual(main) == pytest.approx(7)


def test_the_real_clock_is_the_hosts_monotonic_and_the_databases_wall() -> None:
    async def main(clock: Clock) -> tuple[float, int]:
        asked = clock.now() + 0.02
        await clock.sleep_until(asked)
        return clock.now() - asked, await clock.in_thread(threading.get_ident)

    late_s, thread = asyncio.run(main(RealClock()))
    assert 0 <= late_s < 5
    assert thread != threading.get_ident()
    assert abs(RealClock().now() - time.monotonic()) < 1
    assert RealClock(5_000).wall_ms() - RealClock().wall_ms() == pytest.approx(5_000, abs=500)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_step_of_the_hosts_clock_moves_no_recorders_time(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wall = RealClock(), time.time
    before_ms = clock.wall_ms()
    monkeypatch.setattr(time, "time", lambda: wall() + hours * 3_600)
    assert 0 <= clock.wall_ms() - before_ms < 5_000
