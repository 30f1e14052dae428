"""The two clients: thin shells that carry the calls' conversations over httpx."""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar

import httpx

from reelyard.calls import Calls
from reelyard.errors import ProtocolError
from reelyard.exchange import Exchange, Flow, Lost, Pause, Reply, Send

P = ParamSpec("P")
T = TypeVar("T")
Slept = TypeVar("Slept")

VERSION: Final = "0.1.0"
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
CONNECT_S: Final = 5.0
HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # so that the bound on an answer is one on what it unpacks to
    "Content-Type": "application/json;charset=utf-8",  # older services want exactly this
    "User-Agent": f"reelyard/{VERSION}",
}
#: Failures after which the request has surely not reached anybody.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def _blocking(flow: Callable[Concatenate[Calls, P], Flow[T]]) -> Callable[Concatenate[Client, P], T]:
    def verb(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._carry(flow(self._calls, *args, **kwargs))

    functools.update_wrapper(verb, flow)
    return verb


def _awaited(
    flow: Callable[Concatenate[Calls, P], Flow[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def verb(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._carry(flow(self._calls, *args, **kwargs))

    functools.update_wrapper(verb, flow)
    return verb


class _Farm(Generic[Slept]):
    """Where a farm is, and the limits of a call. `repr` tells no secret."""

    def __init__(
        self,
        base_url: str,
        appid: str,
        customer_key: str,
        customer_secret: str,
        *,
        fallback_urls: Sequence[str] = (),
        timeout_s: float = 30.0,
        deadline_s: float = 120.0,
        verify: ssl.SSLContext | bool = True,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Slept] | None = None,
    ) -> None:
        exchange = Exchange([base_url, *fallback_urls], timeout_s=timeout_s, deadline_s=deadline_s, now_s=now_s)
        self._calls = Calls(exchange, appid)
        self._now_s = now_s
        self._sleep = sleep or self._default_sleep()
        self._name = f"{type(self).__name__}({base_url!r}, {appid!r})"
        self._open(httpx.BasicAuth(customer_key, customer_secret), verify)

    def __repr__(self) -> str:
        return self._name

    def _default_sleep(self) -> Callable[[float], Slept]:
        raise NotImplementedError

    def _open(self, auth: httpx.BasicAuth, verify: ssl.SSLContext | bool) -> None:
        raise NotImplementedError


class Client(_Farm[object]):
    """A farm, or any service that speaks the Cloud Recording contract, for one app. Threads may share one; processes not.

    `fallback_urls`  asked when the first host gives no answer twice.
    `timeout_s`  of each try; above 20, for that long a stop waits for its files.
    `deadline_s`  of a whole call with its repetitions and pauses.
    Every verb raises a `ReelyardError`.
    """

    acquire = _blocking(Calls.acquire)
    start = _blocking(Calls.start)
    query = _blocking(Calls.query)
    update = _blocking(Calls.update)
    update_layout = _blocking(Calls.update_layout)
    hold = _blocking(Calls.hold)
    resume = _blocking(Calls.resume)
    stop = _blocking(Calls.stop)
    recordings = _blocking(Calls.recordings)
    recording = _blocking(Calls.recording)
    cancel = _blocking(Calls.cancel)
    files = _blocking(Calls.files)
    recording_files = _blocking(Calls.recording_files)
    link = _blocking(Calls.link)
    delete_files = _blocking(Calls.delete_files)
    whip_token = _blocking(Calls.whip_token)
    pull = _blocking(Calls.pull)
    pulled = _blocking(Calls.pulled)
    unpull = _blocking(Calls.unpull)
    submit_job = _blocking(Calls.submit_job)
    job = _blocking(Calls.job)
    jobs = _blocking(Calls.jobs)
    stop_job = _blocking(Calls.stop_job)

    def _default_sleep(self) -> Callable[[float], object]:
        return time.sleep

    def _open(self, auth: httpx.BasicAuth, verify: ssl.SSLContext | bool) -> None:
        self._http = httpx.Client(auth=auth, headers=HEADERS, verify=verify)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _carry(self, flow: Flow[T]) -> T:
        got: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(got)
            except StopIteration as over:
                result: T = over.value
                return result
            got = None
            match step:
                case Send():
                    got = self._answered(step)
                case Pause():
                    self._sleep(step.seconds_s)

    def _answered(self, send: Send) -> Reply | Lost:
        try:
            with self._http.stream(
                send.method, send.url, content=send.body, timeout=_timeout(send), follow_redirects=False
            ) as response:
                intake = _Intake(response, send, self._now_s)
                for chunk in response.iter_bytes():
                    intake.take(chunk)
                return intake.reply()
        except httpx.RequestError as error:
            return _lost(error)
        except httpx.InvalidURL as error:
            raise ValueError(f"no such address can be asked: {error}") from error


class AsyncClient(_Farm[Awaitable[object]]):
    """`Client` for asyncio: the same arguments and verbs, each to be awaited."""

    acquire = _awaited(Calls.acquire)
    start = _awaited(Calls.start)
    query = _awaited(Calls.query)
    update = _awaited(Calls.update)
    update_layout = _awaited(Calls.update_layout)
    hold = _awaited(Calls.hold)
    resume = _awaited(Calls.resume)
    stop = _awaited(Calls.stop)
    recordings = _awaited(Calls.recordings)
    recording = _awaited(Calls.recording)
    cancel = _awaited(Calls.cancel)
    files = _awaited(Calls.files)
    recording_files = _awaited(Calls.recording_files)
    link = _awaited(Calls.link)
    delete_files = _awaited(Calls.delete_files)
    whip_token = _awaited(Calls.whip_token)
    pull = _awaited(Calls.pull)
    pulled = _awaited(Calls.pulled)
    unpull = _awaited(Calls.unpull)
    submit_job = _awaited(Calls.submit_job)
    job = _awaited(Calls.job)
    jobs = _awaited(Calls.jobs)
    stop_job = _awaited(Calls.stop_job)

    def _default_sleep(self) -> Callable[[float], Awaitable[object]]:
        return asyncio.sleep

    def _open(self, auth: httpx.BasicAuth, verify: ssl.SSLContext | bool) -> None:
        self._http = httpx.AsyncClient(auth=auth, headers=HEADERS, verify=verify)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _carry(self, flow: Flow[T]) -> T:
        got: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(got)
            except StopIteration as over:
                result: T = over.value
                return result
            got = None
            match step:
                case Send():
                    got = await self._answered(step)
                case Pause():
                    await self._sleep(step.seconds_s)

    async def _answered(self, send: Send) -> Reply | Lost:
        try:
            async with self._http.stream(
                send.method, send.url, content=send.body, timeout=_timeout(send), follow_redirects=False
            ) as response:
                intake = _Intake(response, send, self._now_s)
                async for chunk in response.aiter_bytes():
                    intake.take(chunk)
                return intake.reply()
        except httpx.RequestError as error:
            return _lost(error)
        except httpx.InvalidURL as error:
            raise ValueError(f"no such address can be asked: {error}") from error


class _Intake:
    """An answer as it comes in, bounded in bytes and in time."""

    def __init__(self, response: httpx.Response, send: Send, now_s: Callable[[], float]) -> None:
        self._response = response
        self._send = send
        self._now_s = now_s
        self._body = bytearray()

    def take(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MAX_ANSWER_BYTES:
            raise ProtocolError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
        if self._now_s() > self._send.until_s:
            raise httpx.ReadTimeout("the answer came too slowly")

    def reply(self) -> Reply:
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        return Reply(self._response.status_code, headers, bytes(self._body))


def _timeout(send: Send) -> httpx.Timeout:
    return httpx.Timeout(send.timeout_s, connect=min(send.timeout_s, CONNECT_S))


def _lost(error: httpx.RequestError) -> Lost:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Lost(text, sent=not isinstance(error, NEVER_SENT), cause=error)
