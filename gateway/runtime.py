"""What one gateway process has: the service, pools of threads for its SQL and for what others keep waiting, the watcher."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from fastapi import Request

from gateway.limit import RateLimit
from gateway.watcher import Watcher
from scheduler.service import Glance, Service

P = ParamSpec("P")
T = TypeVar("T")

#: More threads than connections only queue inside the pool instead of before it.
SQL_THREADS: Final = 8
#: For whatever waits for a host that a customer has named: his hanging store must keep nobody's start waiting.
OUTSIDE_THREADS: Final = 16


class Runtime:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.watcher = Watcher(self._glance)
        self.limit = RateLimit(service.settings.broker_url)
        self._sql = ThreadPoolExecutor(SQL_THREADS, thread_name_prefix="sql")
        self._outside = ThreadPoolExecutor(OUTSIDE_THREADS, thread_name_prefix="outside")

    async def sql(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Blocking work of the service, off the event loop, under this request's log context."""
        return await _in(self._sql, work, *args, **kwargs)

    async def outside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `sql`, of work that asks customers' stores, or looks their hosts up, too."""
        return await _in(self._outside, work, *args, **kwargs)

    async def close(self) -> None:
        await self.watcher.close()
        await self.limit.close()
        for threads in (self._sql, self._outside):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _glance(self, sids: Collection[str]) -> dict[str, Glance]:
        return await self.sql(self.service.glance, sids)


async def _in(threads: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    context = contextvars.copy_context()
    call = partial(context.run, partial(work, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(threads, call)


def runtime(request: Request) -> Runtime:
    found = request.app.state.runtime
    assert isinstance(found, Runtime)
    return found
