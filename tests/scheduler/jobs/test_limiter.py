"""One bucket an app and service, shared through Redis; kept per process while that is away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.limiter import Limiter

NOBODY = "redis://127.0.0.1:9/0"


def test_two_processes_share_a_bucket_and_queries_leave_room_for_starts(redis_url: str) -> None:
    one, other = Limiter(redis_url, 10), Limiter(redis_url, 10)
    passed = sum(one.take("app", urgent=False) == 0 for _ in range(20))
    assert 5 <= passed <= 7, "half a burst"
    wait_s = other.take("app", urgent=False)
    assert 0 < wait_s <= 0.1
    assert other.take("app", urgent=True) == 0, "a start still goes"
    assert other.take("another app", urgent=False) == 0
    more = sum(other.take("app", urgent=True) == 0 for _ in range(20))
    assert 2 <= more <= 5
    assert one.take("app", urgent=True) > 0


@given(per_s=st.integers(1, 50), gaps_ms=st.lists(st.integers(0, 400), min_size=1, max_size=200))
def test_without_redis_no_second_sees_more_than_a_burst_and_its_rate(per_s: int, gaps_ms: list[int]) -> None:
    now_s = 100.0
    limiter = Limiter(NOBODY, per_s, now_s=lambda: now_s)
    went: list[float] = []
    for gap_ms in gaps_ms:
        now_s += gap_ms / 1000
        if limiter._local("app", int(1e6 / per_s * (per_s - 1))) == 0:
            went.append(now_s)
    for n, at_s in enumerate(went):
        assert sum(at_s <= other < at_s + 1 for other in went[n:]) <= 2 * per_s


def test_redis_away_is_no_reason_to_stop() -> None:
    limiter = Limiter(NOBODY, 2, now_s=lambda: 5.0)
    waits_s = [limiter.take("app", urgent=True) for _ in range(4)]
    assert waits_s[:2] == [0, 0]
    assert 0 < waits_s[3] <= 0.5
