"""The operations, on both databases, with workers played by hand."""

from __future__ import annotations

import pytest

from models.database import shift_time
from models.repositories import apps
from models.vocabulary import errors as e
from models.vocabulary import messages
from models.vocabulary.spec import MemoryStore, Mode
from models.vocabulary.states import Status, TenureState, Wanted
from scheduler import orders
from tests.scheduler.farm import APPID, CNAME, FOLDER, UID, Farm, start_order, storage

STOP = orders.Stop(cname=CNAME, uid=UID)
REFUSED = {"code": 32, "scope": "caller", "retryable": False, "text": "the bucket refused the keys", "fatal": True}


def test_a_start_answers_when_its_recorder_is_ready(farm: Farm) -> None:
    worker, resource = farm.worker(), farm.acquire()

    def meanwhile() -> None:
        if not worker.claims:
            [(task, arguments, task_id)] = farm.messages("node-a")
            assert (task, task_id) == (messages.RECORD, f"{arguments[0]}.1")
            worker.claim(*arguments)
        else:
            worker.ready(next(iter(worker.claims)))

    farm.time.meanwhile = meanwhile
    answer = farm.service.start(APPID, resource.resource_id, start_order())
    assert answer == {"cname": CNAME, "uid": UID, "resourceId": resource.resource_id, "sid": answer["sid"]}
    assert len(answer["sid"]) == 32
    assert farm.recording(answer["sid"]).status == Status.READY
    assert farm.time.s < 1


def test_a_start_that_nobody_takes_up_is_answered_65_and_its_repetition_7(farm: Farm) -> None:
    farm.worker()
    resource = farm.acquire()
    with pytest.raises(e.RequestNotCompleted) as slow:
        farm.service.start(APPID, resource.resource_id, start_order())
    assert slow.value.body()["code"] == 65
    assert 5 <= farm.time.s < 5.5
    with pytest.raises(e.AlreadyStarted):
        farm.service.start(APPID, resource.resource_id, start_order())
    assert farm.time.s < 5.5, "a repetition does not wait"
    assert len(farm.messages("node-a")) == 1


def test_a_start_whose_store_refuses_says_so_in_the_stores_own_code(farm: Farm) -> None:
    worker, resource = farm.worker(), farm.acquire()

    def meanwhile() -> None:
        sid, epoch = farm.messages("node-a")[0][1]
        worker.claim(sid, epoch)
        worker.fail(sid, REFUSED)
        farm.time.meanwhile = lambda: None

    farm.time.meanwhile = meanwhile
    for _ in range(2):  # and the client's repetition hears the same, not "already started"
        with pytest.raises(e.StoreRefused) as refused:
            farm.service.start(APPID, resource.resource_id, start_order())
        assert refused.value.http == 400
        assert "the bucket refused the keys (to be mended by the caller" in refused.value.body()["reason"]


def test_a_resource_is_checked_before_anything_is_made_of_it(farm: Farm) -> None:
    farm.worker()
    farm.add_app("b" * 32)
    resource = farm.acquire()
    with pytest.raises(e.ResourceUnreadable):
        farm.service.begin_start(APPID, "nonsense", start_order())
    with pytest.raises(e.ResourceMismatch, match="cname"):
        farm.service.begin_start(APPID, resource.resource_id, start_order(cname="other"))
    with pytest.raises(e.ResourceMismatch, match="uid"):
        farm.service.begin_start(APPID, resource.resource_id, start_order(uid="1"))
    with pytest.raises(e.ResourceMismatch, match="another app"):
        farm.service.begin_start("b" * 32, resource.resource_id, start_order())
    shift_time(farm.database, 301_000)
    with pytest.raises(e.ResourceExpired):
        farm.service.begin_start(APPID, resource.resource_id, start_order())


def test_the_same_cname_and_uid_are_recorded_once(farm: Farm) -> None:
    farm.worker()
    farm.begin()
    second = farm.acquire()
    with pytest.raises(e.TaskConflict):
        farm.service.begin_start(APPID, second.resource_id, start_order())


def test_without_a_worker_or_room_a_start_fails_and_its_resource_stays_good(farm: Farm) -> None:
    resource = farm.acquire()
    with pytest.raises(e.NoWorkers):
        farm.service.begin_start(APPID, resource.resource_id, start_order())
    worker = farm.worker(capacity=1)
    with pytest.raises(e.Overloaded):
        farm.service.begin_start(APPID, resource.resource_id, start_order())
    worker.beat(capacity=200)
    assert not farm.service.begin_start(APPID, resource.resource_id, start_order()).again


def test_an_app_that_waits_for_room_is_given_a_sid_at_once(farm: Farm) -> None:
    with farm.database.unit() as session:
        apps.get(session, APPID).behaviour = apps.Behaviour(when_full="wait").model_dump()
    sid = farm.begin()
    assert farm.tenures(sid) == []


def test_a_node_is_filled_to_its_capacity_and_not_over_it(farm: Farm) -> None:
    farm.worker("node-a", capacity=60)
    weight = farm.recording(farm.begin("c0")).weight
    for n in range(1, 60 // weight):
        farm.begin(f"c{n}")
    with pytest.raises(e.Overloaded):
        farm.begin("one-too-many")


def test_an_app_may_not_record_more_channels_than_its_limit(farm: Farm) -> None:
    farm.worker()
    with farm.database.unit() as session:
        apps.get(session, APPID).limits = apps.Limits(max_recordings=1).model_dump()
    farm.begin()
    with pytest.raises(e.TooManyRecordings):
        farm.acquire("another")


def test_the_requests_store_is_used_where_the_app_has_none_and_its_keys_are_kept_secret(farm: Farm) -> None:
    farm.worker()
    farm.add_app("c" * 32, store=None)
    resource = farm.acquire(appid="c" * 32)
    keys = storage(secret_key="planted-secret", sts_token="planted-token", prefix=("d1", "d2"))
    begun = farm.service.begin_start("c" * 32, resource.resource_id, start_order(storage=keys, token="planted-channel"))
    recording = farm.recording(begun.sid)
    assert recording.spec["store"]["kind"] == "s3"
    assert recording.spec["file_prefix"] == ["d1", "d2"]
    assert recording.secrets is not None
    assert recording.secrets["store"]["secret_key"] == "planted-secret"
    assert "planted" not in str(farm.service.record("c" * 32, begun.sid))
    assert "planted" not in repr(start_order(storage=keys, token="planted-channel"))


def test_an_own_store_takes_any_valid_storage_config_and_the_record_says_where_files_go(farm: Farm) -> None:
    farm.worker()
    sid = farm.begin()
    assert farm.recording(sid).spec["store"] == FOLDER.model_dump()
    assert any("this app's own folder" in text for text in farm.service.record(APPID, sid)["warnings"])


def test_what_is_not_recorded_yet_is_judged_first_and_then_refused(farm: Farm) -> None:
    farm.worker()
    resource = farm.acquire()
    later = {"mode": Mode.INDIVIDUAL, "subscribe_uid_group": 0, "combination_policy": "postpone_transcoding"}
    with pytest.raises(e.NotBuiltYet, match="appsCollection"):
        farm.service.begin_start(APPID, resource.resource_id, start_order(**later))
    with pytest.raises(e.BadParameter, match="maxIdleTime"):
        farm.service.begin_start(APPID, resource.resource_id, start_order(max_idle_s=1, **later))


def test_an_empty_uid_is_accepted_and_the_recorder_gets_one(farm: Farm) -> None:
    farm.worker()
    resource = farm.acquire(uid="")
    assert any("uid is empty" in text for text in resource.warnings)
    begun = farm.service.begin_start(APPID, resource.resource_id, start_order(uid=""))
    assert 1 <= int(farm.recording(begun.sid).spec["uid"]) < 2**32
    assert begun.identity()["uid"] == ""


# -- stop -------------------------------------------------------------------------------------------------------


def test_a_stop_answers_with_the_playlist_once_all_is_uploaded(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin(storage=storage(prefix=("aaaa",)))
    resource_id = farm.recording(sid).resource_id
    worker.claim(sid)
    worker.ready(sid)
    worker.slice(sid)
    nudges = farm.queues.pubsub()  # type: ignore[no-untyped-call] # redis has no types here
    nudges.subscribe(messages.NUDGE)
    assert nudges.get_message(timeout=2) is not None  # the subscription itself
    farm.time.meanwhile = lambda: worker.finish(sid)
    answer = farm.service.stop(APPID, Mode.MIX, resource_id, sid, STOP)
    assert answer == {
        "cname": CNAME,
        "uid": UID,
        "resourceId": resource_id,
        "sid": sid,
        "serverResponse": {
            "fileListMode": "string",
            "fileList": f"aaaa/{sid}_{CNAME}.m3u8",
            "uploadingStatus": "uploaded",
        },
    }
    nudge = nudges.get_message(timeout=2)
    nudges.close()
    assert nudge is not None
    assert nudge["data"] == sid.encode()
    with pytest.raises(e.WorkerNotFound, match=r"the recording ended at 20.*stop called; its record is at"):
        farm.service.stop(APPID, Mode.MIX, resource_id, sid, STOP)


def test_stopping_twice_is_an_invalid_operation(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    resource_id = farm.recording(sid).resource_id
    worker.claim(sid)
    worker.slice(sid)
    answer = farm.service.stop(APPID, Mode.MIX, resource_id, sid, orders.Stop(cname=CNAME, uid=UID, async_stop=True))
    assert answer["serverResponse"]["uploadingStatus"] == "unknown"
    with pytest.raises(e.InvalidOperation, match="stop called"):
        farm.service.begin_stop(APPID, Mode.MIX, resource_id, sid, STOP)


def test_a_stop_whose_uploads_take_too_long_is_not_completed(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    worker.claim(sid)
    worker.slice(sid)
    with pytest.raises(e.RequestNotCompleted, match="still being uploaded"):
        farm.service.stop(APPID, Mode.MIX, farm.recording(sid).resource_id, sid, STOP)
    assert 20 <= farm.time.s < 21


def test_a_stop_of_what_nobody_sent_has_no_recorded_data(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    worker.claim(sid)
    worker.ready(sid)
    farm.time.meanwhile = lambda: worker.finish(sid)
    with pytest.raises(e.NoRecordedData) as empty:
        farm.service.stop(APPID, Mode.MIX, farm.recording(sid).resource_id, sid, STOP)
    assert (empty.value.http, empty.value.code) == (206, 435)


def test_a_stop_while_the_recorder_leaves_by_itself_says_that_it_is_ending(farm: Farm) -> None:
    from models.repositories import recordings

    worker = farm.worker()
    sid = farm.begin()
    worker.claim(sid)
    with farm.database.unit() as session:
        recordings.want(session, sid, Wanted.STOP, "idle")
        recordings.advance(session, sid, expect=None, to=Status.STOPPING, cause="idle", epoch=1)
    with pytest.raises(e.InvalidOperation, match="idle"):
        farm.service.begin_stop(APPID, Mode.MIX, farm.recording(sid).resource_id, sid, STOP)


def test_a_stop_is_refused_for_whatever_does_not_fit(farm: Farm) -> None:
    farm.worker()
    farm.add_app("b" * 32)
    sid = farm.begin()
    resource_id = farm.recording(sid).resource_id
    with pytest.raises(e.WorkerNotFound):
        farm.service.begin_stop(APPID, Mode.MIX, resource_id, "0" * 32, STOP)
    with pytest.raises(e.WorkerNotFound):
        farm.service.begin_stop("b" * 32, Mode.MIX, resource_id, sid, STOP)
    with pytest.raises(e.SidMismatch):
        farm.service.begin_stop(APPID, Mode.MIX, "another", sid, STOP)
    with pytest.raises(e.BadParameter, match="mode"):
        farm.service.begin_stop(APPID, Mode.WEB, resource_id, sid, STOP)
    with pytest.raises(e.ResourceMismatch):
        farm.service.begin_stop(APPID, Mode.MIX, resource_id, sid, orders.Stop(cname="x", uid=UID))
    assert farm.recording(sid).wanted is Wanted.RUN


# -- query and record -------------------------------------------------------------------------------------------


def test_a_query_shows_the_contracts_shape_before_and_after_the_first_slice(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    resource_id = farm.recording(sid).resource_id
    worker.claim(sid)
    worker.ready(sid)
    before = farm.service.query(APPID, Mode.MIX, resource_id, sid)["serverResponse"]
    assert before == {"status": 4, "fileListMode": "string", "fileList": "", "sliceStartTime": 0}
    worker.slice(sid)
    after = farm.service.query(APPID, Mode.MIX, resource_id, sid)["serverResponse"]
    playlist = f"{sid}_{CNAME}.m3u8"
    assert after == {"status": 5, "fileListMode": "string", "fileList": playlist, "sliceStartTime": 1_700_000_000_000}


def test_a_query_with_mp4_lists_items(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin(av_file_type=("hls", "mp4"))
    worker.claim(sid)
    worker.slice(sid)
    response = farm.service.query(APPID, Mode.MIX, farm.recording(sid).resource_id, sid)["serverResponse"]
    assert response["fileListMode"] == "json"
    assert response["fileList"] == [
        {
            "fileName": f"{sid}_{CNAME}.m3u8",
            "trackType": "audio_and_video",
            "uid": "0",
            "mixedAllUser": True,
            "isPlayable": True,
            "sliceStartTime": 1_700_000_000_000,
        }
    ]


def test_an_ended_recording_is_404_with_what_happened_unless_its_app_wants_the_record(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    resource_id = farm.recording(sid).resource_id
    worker.claim(sid)
    worker.finish(sid, "nobody was in the channel for maxIdleTime")
    with pytest.raises(e.WorkerNotFound, match="maxIdleTime"):
        farm.service.query(APPID, Mode.MIX, resource_id, sid)
    with farm.database.unit() as session:
        apps.get(session, APPID).behaviour = apps.Behaviour(query_after_end="record").model_dump()
    assert farm.service.query(APPID, Mode.MIX, resource_id, sid)["serverResponse"]["status"] == 8


def test_the_record_tells_the_whole_truth_about_a_failure(farm: Farm) -> None:
    worker = farm.worker()
    sid = farm.begin()
    worker.claim(sid)
    worker.slice(sid, 0, 6)
    worker.slice(sid, 12, 18)
    worker.fail(sid, REFUSED)
    record = farm.service.record(APPID, sid)
    assert record["status"] == 20
    assert record["fault"]["code"] == 32
    assert "the recording failed" in record["what_happened"]
    assert record["segments"] == {"count": 2, "stored": 2, "bytes": 2000, "duration_s": 12.0}
    assert [(hole["start_s"], hole["end_s"]) for hole in record["holes"]] == [(6.0, 12.0)]
    assert [tenure["state"] for tenure in record["tenures"]] == ["ended"]
    with pytest.raises(e.WorkerNotFound):
        farm.service.record("b" * 32, sid)


def test_recordings_are_listed_page_by_page(farm: Farm) -> None:
    farm.worker()
    sids = [farm.begin(f"c{n}") for n in range(5)]
    first = farm.service.records(APPID, limit=3)
    rest = farm.service.records(APPID, limit=3, before=first["next"])
    assert {line["sid"] for line in first["recordings"] + rest["recordings"]} == set(sids)
    assert len(first["recordings"]) == 3
    assert rest["next"] is None
    with pytest.raises(e.BadParameter):
        farm.service.records(APPID, before="0" * 32)


def test_a_hold_is_wanted_told_by_query_and_lifted_and_told_twice_is_told_once(farm: Farm) -> None:
    farm.worker()
    sid = farm.begin()
    resource_id, change = farm.recording(sid).resource_id, orders.Change(cname=CNAME, uid=UID)
    service = farm.service
    for on in (True, True, False, False):
        before = farm.recording(sid)
        service.hold(APPID, Mode.MIX, resource_id, sid, change, on=on)
        row = farm.recording(sid)
        assert row.wanted is (Wanted.HOLD if on else Wanted.RUN)
        assert row.wanted_gen - before.wanted_gen == (before.wanted is not row.wanted)
        told = service.query(APPID, Mode.MIX, resource_id, sid)["serverResponse"]
        assert told.get("onhold") is (True if on else None)
    with pytest.raises(e.WorkerNotFound):
        service.hold(APPID, Mode.MIX, resource_id, "0" * 32, change)
    with pytest.raises(e.ResourceMismatch):
        service.hold(APPID, Mode.MIX, resource_id, sid, orders.Change(cname=CNAME, uid="9"))
    service.hold(APPID, Mode.MIX, resource_id, sid, change)
    service.begin_stop(APPID, Mode.MIX, resource_id, sid, orders.Stop(cname=CNAME, uid=UID))
    assert (farm.recording(sid).wanted, farm.recording(sid).wanted_cause) == (Wanted.STOP, "stop called")
    with pytest.raises(e.ServiceExiting):
        service.hold(APPID, Mode.MIX, resource_id, sid, change)


@pytest.mark.parametrize("before", [None, "hold", "stop"])
def test_cancel_is_wanted_after_anything_else_and_twice_is_once(farm: Farm, before: str | None) -> None:
    farm.worker()
    sid = farm.begin()
    resource_id, change = farm.recording(sid).resource_id, orders.Change(cname=CNAME, uid=UID)
    if before == "hold":
        farm.service.hold(APPID, Mode.MIX, resource_id, sid, change)
    elif before == "stop":
        farm.service.stop_own(APPID, sid)
    for _ in range(2):
        told = farm.service.cancel(APPID, sid)
        assert (told["wanted"], told["wanted_cause"]) == ("cancel", "cancel called")
    farm.service.stop_own(APPID, sid)
    assert farm.recording(sid).wanted is Wanted.CANCEL
    with pytest.raises(e.InvalidOperation):
        farm.service.begin_stop(APPID, Mode.MIX, resource_id, sid, orders.Stop(cname=CNAME, uid=UID))
    with pytest.raises(e.WorkerNotFound):
        farm.service.cancel(APPID, "0" * 32)


# -- rooms ------------------------------------------------------------------------------------------------------


def test_a_recorder_of_a_room_goes_where_the_room_is(farm: Farm) -> None:
    farm.add_app("d" * 32, channel="whip:")
    farm.worker("empty", capacity=400)
    farm.worker("full", capacity=200, ingest_url="http://127.0.0.1:9")
    resource = farm.acquire(appid="d" * 32)
    begun = farm.service.begin_start("d" * 32, resource.resource_id, start_order())
    assert [tenure.node for tenure in farm.tenures(begun.sid)] == ["full"]


def test_a_publisher_is_sent_to_the_ingest_that_holds_the_room_with_a_token_of_its_own(farm: Farm) -> None:
    farm.add_app("d" * 32, channel="whip:")
    farm.worker("one", ingest_url="http://127.0.0.1:8190/")
    farm.worker("two", ingest_url="http://127.0.0.1:8290/")
    ticket = farm.service.mint_publisher("d" * 32, "lesson 7", "ada", 60)
    where = farm.service.publish("d" * 32, "lesson 7", "ada", ticket.token)
    assert where.startswith(f"http://127.0.0.1:8190/whip/{'d' * 32}/lesson%207/ada?token=")
    assert ticket.token not in where
    farm.worker("one", ingest_url="", capacity=1)  # its ingest is down: the room moves
    assert farm.service.publish("d" * 32, "lesson 7", "ada", ticket.token).startswith("http://127.0.0.1:8290/")
    with pytest.raises(e.Unauthorized):
        farm.service.publish("d" * 32, "lesson 8", "ada", ticket.token)
    shift_time(farm.database, 61_000)
    with pytest.raises(e.Unauthorized, match="expired"):
        farm.service.publish("d" * 32, "lesson 7", "ada", ticket.token)


def test_a_room_without_any_ingest_has_nowhere_to_be(farm: Farm) -> None:
    farm.add_app("d" * 32, channel="whip:")
    farm.worker()
    ticket = farm.service.mint_publisher("d" * 32, "c", "ada", 60)
    with pytest.raises(e.NoWorkers, match="ingest"):
        farm.service.publish("d" * 32, "c", "ada", ticket.token)
    with pytest.raises(e.BadParameter, match="not WHIP"):
        farm.service.mint_publisher(APPID, "c", "ada", 60)


# -- who may ----------------------------------------------------------------------------------------------------


def test_a_key_opens_its_own_app_only(farm: Farm) -> None:
    key, secret = farm.key, farm.secret
    farm.add_app("b" * 32)
    farm.service.authenticate(APPID, key, secret)
    for wrong in ((APPID, key, "no"), (APPID, "no", secret), ("b" * 32, key, secret)):
        with pytest.raises(e.Unauthorized):
            farm.service.authenticate(*wrong)
    with pytest.raises(e.UnknownApp):
        farm.service.authenticate("nobody", key, secret)


def test_readiness_names_what_is_missing(farm: Farm) -> None:
    assert set(farm.service.ready()) == {"workers"}
    farm.worker()
    assert farm.service.ready() == {}


def test_ids_of_messages_are_all_that_a_message_holds(farm: Farm) -> None:
    farm.worker()
    sid = farm.begin()
    assert farm.messages("node-a") == [(messages.RECORD, [sid, 1], f"{sid}.1")]
    assert [tenure.state for tenure in farm.tenures(sid)] == [TenureState.DISPATCHED]


def test_an_app_with_a_memory_store_says_own_store(farm: Farm) -> None:
    farm.worker()
    farm.add_app("e" * 32, store=MemoryStore())
    resource = farm.acquire(appid="e" * 32)
    begun = farm.service.begin_start("e" * 32, resource.resource_id, start_order())
    assert any("this app's own store" in text for text in begun.warnings)


def test_a_second_recording_of_an_important_channel_avoids_the_nodes_of_the_first(farm: Farm) -> None:
    for name in ("node-a", "node-b"):
        farm.worker(name, capacity=10_000)
    first = farm.begin()
    excluded = (farm.recording(first).resource_id,)
    for n in range(4):
        uid = str(900 + n)
        order = orders.Acquire(cname=CNAME, uid=uid, exclude_resource_ids=excluded)
        resource = farm.service.acquire(APPID, order)
        second = farm.service.begin_start(APPID, resource.resource_id, start_order(uid=uid)).sid
        assert farm.tenures(second)[0].node != farm.tenures(first)[0].node


def test_a_start_that_is_not_what_acquire_was_told_is_taken_and_reported(farm: Farm) -> None:
    farm.worker()
    resource = farm.service.acquire(APPID, orders.Acquire(cname=CNAME, uid=UID, start_digest="1" * 64))
    begun = farm.service.begin_start(APPID, resource.resource_id, start_order(digest="2" * 64))
    assert any("startParameter" in text for text in begun.warnings)
