"""What a receiver is told of a recording's whole life, at the right place and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.database import Database
from models.repositories import apps, notices
from models.vocabulary import keys
from models.vocabulary.events import Event
from models.vocabulary.spec import FolderStore
from tests.models.farm import APPID
from tests.recorder.virtual import user
from tests.workers.rig import SID, Rig

Told = list[tuple[Event, dict[str, Any]]]


def listen(database: Database) -> None:
    with database.unit() as session:
        apps.set_notices(session, APPID, url="https://example.org/notices")


def told(database: Database) -> Told:
    with database.unit() as session:
        found = notices.of(session, SID)
    assert [notice.sequence for notice in found] == list(range(len(found)))
    return [(Event(notice.event), notice.details) for notice in found]


def of(all_: Told, event: Event) -> list[dict[str, Any]]:
    return [details for told_, details in all_ if told_ is event]


def test_a_recordings_life_is_told_from_its_parts_to_its_last_file(
    rig: Callable[[Database], Rig], sqlite: Database
) -> None:
    made = rig(sqlite)
    made.recording(user("7"), user("8", (0, "join"), (0, "publish"), (3, "leave")))
    listen(sqlite)
    made.dispatch()
    made.slices(0)
    made.kill()
    made.until(lambda: len(of(told(sqlite), Event.SLICE_START)) == 2, "the second beginning")
    made.slices(3)
    row = made.stop()
    all_ = told(sqlite)
    events = [event for event, _ in all_]
    playlist = keys.playlist_key((), SID, "room")

    assert of(all_, Event.RECORDER_STARTED) == [{"msgName": "recorder_started", "status": 0}]
    assert of(all_, Event.UPLOADER_STARTED) == [{"msgName": "uploader_started", "status": 0}]
    assert of(all_, Event.FILE_INFOS) == [{"msgName": "cloud_recording_file_infos", "fileList": playlist}]
    first, second = of(all_, Event.SLICE_START)
    assert first == {
        "msgName": "recorder_slice_start",
        "startUtcMs": row.t0_ms,
        "discontinueUtcMs": row.t0_ms,
        "mixedAllUser": True,
        "streamUid": "0",
        "trackType": "audio_and_video",
    }
    assert row.t0_ms is not None
    assert row.t0_ms < second["discontinueUtcMs"] < second["startUtcMs"] < row.t0_ms + 60_000
    for event, name in ((Event.AUDIO_STREAM, "audio"), (Event.VIDEO_STREAM, "video")):
        changes = of(all_, event)
        assert {c["msgName"] for c in changes} == {f"recorder_{name}_stream_state_changed"}
        assert [c["state"] for c in changes if c["streamUid"] == "8"][-1] == 1
        assert {c["state"] for c in changes if c["streamUid"] == "7"} == {0}
        assert all(abs(c["UtcMs"] - row.t0_ms) < 60_000 for c in changes)
    assert of(all_, Event.RECORDER_LEAVE) == [{"msgName": "recorder_leave", "leaveCode": 16}]
    assert of(all_, Event.UPLOADED) == [
        {
            "msgName": "uploaded",
            "status": 0,
            "fileList": [
                {
                    "fileName": playlist,
                    "trackType": "audio_and_video",
                    "uid": "0",
                    "mixedAllUser": True,
                    "isPlayable": True,
                    "sliceStartTime": row.t0_ms,
                }
            ],
        }
    ]
    assert of(all_, Event.UPLOADING_PROGRESS)[-1] == {"msgName": "uploading_progress", "progress": 10_000}
    assert events[-1] is Event.SESSION_EXIT and of(all_, Event.SESSION_EXIT)[0]["exitStatus"] == 0
    assert events.index(Event.RECORDER_STARTED) < events.index(Event.FILE_INFOS) < events.index(Event.RECORDER_LEAVE)
    assert events.index(Event.RECORDER_LEAVE) < events.index(Event.UPLOADED)


def test_a_store_that_is_refused_is_told_as_an_error_of_the_uploader_and_an_abnormal_exit(
    rig: Callable[[Database], Rig], sqlite: Database
) -> None:
    made = rig(sqlite)
    made.recording(store=FolderStore(path="../outside"))
    listen(sqlite)
    made.dispatch()
    made.status(20)
    all_ = told(sqlite)
    assert [event for event, _ in all_] == [Event.ERROR, Event.RECORDER_LEAVE, Event.SESSION_EXIT]
    [error] = of(all_, Event.ERROR)
    assert set(error) == {"msgName", "module", "errorLevel", "errorCode", "stat", "errorMsg"}
    assert (error["errorLevel"], of(all_, Event.SESSION_EXIT)[0]["exitStatus"]) == (5, 1)


def test_without_a_receiver_nothing_is_written(rig: Callable[[Database], Rig], sqlite: Database) -> None:
    made = rig(sqlite)
    made.recording()
    made.dispatch()
    made.slices(0)
    made.stop()
    assert told(sqlite) == []
