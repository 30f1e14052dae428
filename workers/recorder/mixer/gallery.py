"""Fetches the images of a layout while the recording goes on; each counts only once it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from models.vocabulary.errors import ReelyardError
from models.vocabulary.timing import Clock
from net.guard import Network
from net.http import fetch
from workers.recorder.mixer.images import MAX_BYTES, ImageUnusable, decoded
from workers.recorder.mixer.tile import Picture

#: Waits between the tries of an image whose server does not answer.
_RETRIES_S: Final = (1.0, 3.0)
_TIMEOUT_S: Final = 20.0
_REDIRECTS: Final = 3
#: A layout names 36 at most; updates of it may name others.
_MAX_IMAGES: Final = 128

Download = Callable[[str], bytes]


def download(url: str, allow_networks: Iterable[Network] = ()) -> bytes:
    """Blocks. Raises `ReelyardError`, `ImageUnusable`."""
    answer = fetch(
        "GET", url, allow_networks=allow_networks, max_bytes=MAX_BYTES, timeout_s=_TIMEOUT_S, redirects=_REDIRECTS
    )
    if answer.status != 200:
        raise ImageUnusable(f"its server answers {answer.status}")
    return answer.body


class Gallery:
    """`ready` grows; a URL that fails is left out, with a warning that does not repeat what may be secret in it."""

    def __init__(
        self,
        clock: Clock,
        download: Download,
        longest_px: int,
        on_ready: Callable[[str, Picture], None],
        on_warning: Callable[[str], None],
    ) -> None:
        self.ready: frozenset[str] = frozenset()
        self._clock, self._download, self._longest_px = clock, download, longest_px
        self._on_ready, self._on_warning = on_ready, on_warning
        self._asked: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def want(self, urls: Iterable[str]) -> None:
        for url in sorted(set(urls) - self._asked):
            if len(self._asked) >= _MAX_IMAGES:
                self._on_warning(f"more than {_MAX_IMAGES} images were asked for: the rest are left out")
                return
            self._asked.add(url)
            task = asyncio.ensure_future(self._get(url))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _get(self, url: str) -> None:
        for wait_s in (*_RETRIES_S, None):
            try:
                picture = await self._clock.in_thread(partial(self._picture, url))
            except (ReelyardError, ImageUnusable) as error:
                if wait_s is None or isinstance(error, ImageUnusable) or not error.retryable:
                    self._left_out(url, error)
                    return
                await self._clock.sleep_until(self._clock.now() + wait_s)
            else:
                self.ready |= {url}
                self._on_ready(url, picture)
                return

    def _picture(self, url: str) -> Picture:
        return decoded(self._download(url), self._longest_px)

    def _left_out(self, url: str, error: ReelyardError | ImageUnusable) -> None:
        why = error.text if isinstance(error, ReelyardError) else str(error)
        self._on_warning(f"an image from {_host(url)} is left out: {why}")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "nowhere"
    except ValueError:
        return "nowhere"
