"""What one gateway process has: the service, a pool of threads for its SQL, the watcher."""

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


class Runtime:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.watcher = Watcher(self._glance)
        self.limit = RateLimit(service.settings.broker_url)
        self._threads = ThreadPoolExecutor(SQL_THREADS, thread_name_prefix="sql")

    async def sql(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Blocking work of the service, off the event loop, under this request's log context."""
        context = contextvars.copy_context()
        call = partial(context.run, partial(work, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def close(self) -> None:
        await self.watcher.close()
        await self.limit.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _glance(self, sids: Collection[str]) -> dict[str, Glance]:
        return await self.sql(self.service.glance, sids)


def runtime(request: Request) -> Runtime:
    found = request.app.state.runtime
    assert isinstance(found, Runtime)
    return found
