"""Requests a second of an app (contract §1: 10), one bucket a farm in Redis. Open while Redis is away, and counted.

The bucket is a theoretical arrival time (GCRA): one number, no refill to run.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

PREFIX: Final = "reelyard.rate."
#: An app that may do so many is not limited.
UNLIMITED: Final = 100_000
#: Redis is next door: an answer that takes longer counts as none.
TIMEOUT_S: Final = 0.25
#: After it did not answer, nobody waits for it for so long.
PAUSE_S: Final = 2.0

#: KEYS[1] the bucket; ARGV[1] microseconds a request, ARGV[2] how far a burst may run ahead. 1: go.
_TAKE: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
if due - now > tonumber(ARGV[2]) then return 0 end
due = due + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1000)
return 1
"""


class RateLimit:
    def __init__(self, url: str, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._redis = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        self._take = self._redis.register_script(_TAKE)
        self._now_s = now_s
        self._pause_until_s = 0.0
        self.opened = 0  # requests that nobody counted

    async def admits(self, appid: str, per_s: int) -> bool:
        """Whether this request is within the app's limit; bursts of a second's worth are."""
        if per_s >= UNLIMITED:
            return True
        if self._now_s() < self._pause_until_s:
            self.opened += 1
            return True
        key = PREFIX + hashlib.sha256(appid.encode()).hexdigest()[:32]
        interval_us = 1_000_000 // per_s
        try:
            return bool(await self._take(keys=[key], args=[interval_us, interval_us * (per_s - 1)]))
        except (RedisError, OSError, TimeoutError) as error:
            self._pause_until_s = self._now_s() + PAUSE_S
            self.opened += 1
            log.warning("nobody counts requests (%s so far): %s", self.opened, type(error).__name__)
            return True

    async def close(self) -> None:
        await self._redis.aclose()
