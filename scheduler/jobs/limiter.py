"""The contract's limit of requests a second, one bucket per app and service, shared by all processes through Redis.

The bucket is a theoretical arrival time (GCRA): a number, no refill to run. Without Redis each process keeps the limit
for itself: with n of them the service may see n times as many, and answers 429, which the ladder knows.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

PREFIX: Final = "reelyard.limit."
#: Periodic queries leave this share of a burst to starts and stops.
KEPT_FREE: Final = 0.5
MAX_LOCAL: Final = 10_000

#: KEYS[1] the bucket; ARGV: microseconds between two requests, microseconds that a burst may run ahead. Returns the wait in µs.
_TAKE: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = due - now - ARGV[2]
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', due + ARGV[1]), 'PX', math.ceil((due + ARGV[1] - now) / 1000) + 1000)
return 0
"""


class Limiter:
    def __init__(self, url: str, per_s: int, *, now_s: Callable[[], float] = time.monotonic) -> None:
        # No second try: the limit that is kept without Redis is at hand.
        client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
        self._take = client.register_script(_TAKE)
        self._interval_us = 1_000_000 // per_s
        self._burst = per_s - 1
        self._now_s = now_s
        self._lock = threading.Lock()
        self._due_us: dict[str, float] = {}
        self._alone = False

    def take(self, key: str, *, urgent: bool) -> float:
        """0: go, the request is counted. Else seconds after which to ask again."""
        ahead_us = int(self._interval_us * self._burst * (1 if urgent else KEPT_FREE))
        name = PREFIX + hashlib.sha256(key.encode()).hexdigest()[:32]
        try:
            wait_us = float(str(self._take(keys=[name], args=[self._interval_us, ahead_us])))
        except (redis.RedisError, OSError) as error:
            if not self._alone:
                log.warning("limits are kept per process while the broker is away: %s", error)
            self._alone = True
            wait_us = self._local(name, ahead_us)
        else:
            self._alone = False
        return wait_us / 1e6

    def _local(self, name: str, ahead_us: int) -> float:
        with self._lock:
            now_us = self._now_s() * 1e6
            due_us = max(self._due_us.get(name, now_us), now_us)
            wait_us = due_us - now_us - ahead_us
            if wait_us > 0:
                return wait_us
            if len(self._due_us) >= MAX_LOCAL:
                self._due_us = {k: v for k, v in self._due_us.items() if v > now_us}
            self._due_us[name] = due_us + self._interval_us
            return 0.0
