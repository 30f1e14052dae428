"""Notices against a real receiver: order, retries, outages, signatures."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.database import shift_time
from models.repositories import apps, notices
from models.vocabulary.events import Event
from models.vocabulary.states import NoticeState
from net.http import Answer
from scheduler.notices import WAITS_MS, Delivery, verdict, wait_ms
from scheduler.outbox import Outbox
from tests.scheduler.farm import APPID, CNAME, UID, Farm
from tests.scheduler.receiver import Receiver

SECRET = "planted-notice-secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def listen(farm: Farm, url: str, appid: str = APPID) -> None:
    with farm.database.unit() as session:
        apps.set_notices(session, appid, url=url, secret=SECRET)


@contextmanager
def delivering(farm: Farm, **more: object) -> Iterator[Delivery]:
    settings = farm.settings.model_copy(update={"allow_networks": (ip_network("127.0.0.0/8"),)} | more)
    delivery = Delivery(farm.database, settings, chance=lambda: 0.0)
    yield delivery
    delivery.close()


def until(delivery: Delivery, true: Callable[[], object], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        delivery.tick()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def settle(delivery: Delivery) -> None:
    """Until nothing that is due now is on its way."""
    deadline = time.monotonic() + 15
    while delivery.tick() or delivery.busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def say(farm: Farm, sid: str, event: Event = Event.RECORDER_STARTED, **fields: object) -> None:
    with farm.database.unit() as session:
        notices.say(session, sid, event, **fields)


def state_of(farm: Farm, sid: str) -> list[NoticeState]:
    with farm.database.unit() as session:
        return [notice.state for notice in notices.of(session, sid)]


def test_a_notice_has_the_contracts_shape_and_both_signatures_over_its_very_bytes(
    farm: Farm, receiver: Receiver
) -> None:
    farm.worker()
    sid = farm.begin()
    listen(farm, receiver.url)
    say(farm, sid, Event.SESSION_EXIT, exitStatus=0)
    with delivering(farm) as delivery:
        until(delivery, lambda: state_of(farm, sid) == [NoticeState.DELIVERED])
    [got] = receiver.got
    body = got.body
    assert list(body) == ["noticeId", "productId", "eventType", "notifyMs", "payload"]
    assert (body["productId"], body["eventType"]) == (3, 11)
    assert isinstance(body["noticeId"], str)
    now_ms = time.time() * 1000
    assert abs(body["notifyMs"] - now_ms) < 60_000 and abs(body["payload"].pop("sendts") - now_ms) < 60_000
    assert body["payload"] == {
        "cname": CNAME,
        "uid": UID,
        "sid": sid,
        "sequence": 0,
        "serviceType": 0,
        "serviceScene": "rtc_record",
        "details": {"msgName": "session_exit", "exitStatus": 0},
    }
    assert got.headers["content-type"] == "application/json"
    for header, digest in (("agora-signature", hashlib.sha1), ("agora-signature-v2", hashlib.sha256)):
        assert got.headers[header] == hmac.new(SECRET.encode(), got.raw, digest).hexdigest()


def test_a_receiver_that_is_down_for_ten_minutes_loses_none_and_sees_them_in_order(farm: Farm) -> None:
    farm.worker(capacity=10_000)
    sids = [farm.begin(f"c{n}") for n in range(3)]
    down = Receiver()
    url = down.url
    down.close()
    listen(farm, url)
    with delivering(farm) as delivery:
        for minute in range(10):
            shift_time(farm.database, minute * 60_000)
            for sid in sids:
                say(farm, sid, Event.UPLOADING_PROGRESS, progress=minute)
            settle(delivery)
        back = Receiver()
        try:
            listen(farm, back.url)
            shift_time(farm.database, 15 * 60_000 + 60_000)
            until(delivery, lambda: len(back.got) >= 30)
            settle(delivery)
            for sid in sids:
                assert [n for taken, n in back.taken() if taken == sid] == list(range(10))
                assert state_of(farm, sid) == [NoticeState.DELIVERED] * 10
            with farm.database.unit() as session:
                outcomes = [a.outcome for a in notices.attempts(session, sids[0], 0)]
            assert outcomes[-1] == "200"
            assert len(outcomes) > 3 and all("127.0.0.1" in text for text in outcomes[:-1])
        finally:
            back.close()
    shift_time(farm.database, 0)


def test_a_notice_that_is_stuck_blocks_its_own_recording_only(sqlite_farm: Farm, receiver: Receiver) -> None:
    farm = sqlite_farm
    farm.worker(capacity=10_000)
    stuck, other = farm.begin("stuck"), farm.begin("other")
    listen(farm, receiver.url)
    receiver.answers = lambda got: (400, b"{}") if got.sid == stuck else (200, b"[]")
    for sid in (stuck, other, stuck, other):
        say(farm, sid)
    with delivering(farm) as delivery:
        until(delivery, lambda: state_of(farm, other) == [NoticeState.DELIVERED] * 2)
        until(delivery, lambda: receiver.taken().count((stuck, 0)) >= 2)
        assert (stuck, 1) not in receiver.taken()
        shift_time(farm.database, 25 * 3_600_000)
        until(delivery, lambda: state_of(farm, stuck)[0] is NoticeState.GIVEN_UP)
        until(delivery, lambda: (stuck, 1) in receiver.taken())
    shift_time(farm.database, 0)


def test_a_delivery_that_died_is_delivered_again_by_the_next_leader(farm: Farm, receiver: Receiver) -> None:
    farm.worker()
    sid = farm.begin()
    listen(farm, receiver.url)
    say(farm, sid)
    with farm.database.unit() as session:
        assert len(notices.lease(session, 10, for_ms=20_000)) == 1  # and its process is killed
    with delivering(farm) as delivery:
        settle(delivery)
        assert receiver.got == []
        shift_time(farm.database, 21_000)
        until(delivery, lambda: state_of(farm, sid) == [NoticeState.DELIVERED])
    shift_time(farm.database, 0)
    assert len(receiver.got) == 1


def test_a_slow_receiver_leaves_the_others_their_share(sqlite_farm: Farm, receiver: Receiver) -> None:
    farm = sqlite_farm
    farm.worker(capacity=10_000)
    release = threading.Event()
    slow = Receiver(answers=lambda _: (200, b"{}") if release.wait(20) else (500, b""))
    try:
        sids = [farm.begin(f"c{n}") for n in range(12)]
        listen(farm, slow.url)
        for sid in sids:
            say(farm, sid)
        farm.add_app("b" * 32)
        listen(farm, receiver.url, "b" * 32)
        with delivering(farm) as delivery:
            delivery.tick()
            assert delivery.busy == 4
            with farm.database.unit() as session:  # one of them is the other app's
                for notice in notices.of(session, sids[-1]):
                    notice.appid = "b" * 32
            until(delivery, lambda: len(receiver.got) == 1, within_s=5)
            release.set()
            until(delivery, lambda: len(slow.got) == 11)
    finally:
        release.set()
        slow.close()


def test_an_address_inside_is_refused_and_the_attempt_names_the_setting(sqlite_farm: Farm, receiver: Receiver) -> None:
    farm = sqlite_farm
    farm.worker()
    sid = farm.begin()
    listen(farm, receiver.url)
    say(farm, sid)
    with delivering(farm, allow_networks=()) as delivery:
        settle(delivery)
    with farm.database.unit() as session:
        first = notices.attempts(session, sid, 0)[0].outcome
    assert "REELYARD_ALLOW_NETWORKS" in first
    assert receiver.got == []


def test_notices_are_listed_with_their_attempts_and_replayed(sqlite_farm: Farm, receiver: Receiver) -> None:
    farm = sqlite_farm
    farm.worker()
    sid = farm.begin()
    listen(farm, receiver.url)
    for n in range(3):
        say(farm, sid, Event.UPLOADING_PROGRESS, progress=n)
    outbox = Outbox(farm.database)
    with delivering(farm) as delivery:
        until(delivery, lambda: state_of(farm, sid) == [NoticeState.DELIVERED] * 3)
        page = outbox.list(APPID, limit=2)
        rest = outbox.list(APPID, limit=2, before=page["next"])
        listed = [*page["notices"], *rest["notices"]]
        assert sorted(n["sequence"] for n in listed) == [0, 1, 2] and rest["next"] is None
        one = next(n for n in listed if n["sequence"] == 1)
        assert [a["outcome"] for a in outbox.get(APPID, one["notice_id"])["log"]] == ["200"]
        assert outbox.replay(APPID, one["notice_id"])["state"] == "pending"
        until(delivery, lambda: len(receiver.got) == 4)
        until(delivery, lambda: state_of(farm, sid) == [NoticeState.DELIVERED] * 3)
    again = [got.body for got in receiver.got if got.sequence == 1]
    assert again[0]["noticeId"] == again[1]["noticeId"] and again[0]["payload"] == again[1]["payload"]
    assert [a["outcome"] for a in outbox.get(APPID, one["notice_id"])["log"]] == ["200", "200"]


@pytest.mark.parametrize(
    ("status", "body", "taken"),
    [(200, b"{}", True), (200, b'"ok"', True), (200, b"", False), (200, b"ok", False), (204, b"{}", False), (302, b"{}", False)],
)  # fmt: skip
def test_success_is_200_with_a_json_body(status: int, body: bytes, taken: bool) -> None:
    from httpx import Headers

    assert (verdict(Answer(status, Headers(), body, "http://a/")) == "") is taken


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_to_five_minutes_and_stay_there(tries: int, chance: float) -> None:
    assert wait_ms(tries, chance) <= wait_ms(tries + 1, chance)
    assert wait_ms(tries, chance) <= 1.2 * WAITS_MS[-1]
    assert wait_ms(1, chance) == 0
