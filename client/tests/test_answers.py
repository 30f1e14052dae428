"""Every variant of the contract's answers (§0, §1) becomes the one shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelyard import RecordedFile, Recording, Status, Uploading, answers

RECORDING = Recording("r", "5" * 32, "lesson-7", "527841")
MS = 1_562_724_971_626

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["status", "fileList", "payload", "extensionServiceState", "fileName", "uid", "sliceStartTime"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip

VARIANTS: list[tuple[dict[str, Any], tuple[RecordedFile, ...]]] = [
    ({}, ()),
    ({"fileListMode": "string", "fileList": ""}, ()),
    ({"fileListMode": "json", "fileList": []}, ()),
    (
        {"fileListMode": "string", "fileList": "d/x.m3u8", "sliceStartTime": MS},
        (RecordedFile("d/x.m3u8", slice_start_ms=MS),),
    ),
    (  # today: bools and numbers
        {"fileListMode": "json", "fileList": [{"fileName": "x.m3u8", "trackType": "audio_and_video", "uid": "0", "mixedAllUser": True, "isPlayable": True, "sliceStartTime": MS}]},
        (RecordedFile("x.m3u8", "audio_and_video", "0", True, True, MS),),
    ),
    (  # 2021: everything in quotes, and another spelling
        {"fileListMode": "json", "fileList": [{"filename": "x.m3u8", "trackType": "video", "uid": "57297", "mixedAllUser": "false", "isPlayable": "false", "sliceStartTime": str(MS)}]},
        (RecordedFile("x.m3u8", "video", "57297", False, False, MS),),
    ),
    ({"fileList": [{"fileName": "x.mp4", "uid": 7, "mixedAllUser": 0, "isPlayable": 1}]}, (RecordedFile("x.mp4", "", "7", False, True),)),
    (  # web
        {"extensionServiceState": [{"serviceName": "web_recorder_service", "payload": {"fileList": [{"filename": "w.m3u8", "sliceStartTime": MS}], "state": "inProgress"}}, {"serviceName": "rtmp_publish_service", "payload": {"state": "init"}}]},
        (RecordedFile("w.m3u8", slice_start_ms=MS),),
    ),
    (  # the reference's own typing error
        {"extensionServiceState": [{"serviceName": "web_recorder_service", "playload": {"fileList": [{"filename": "w.mp4"}], "state": "exit"}}]},
        (RecordedFile("w.mp4"),),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("told", "files"), VARIANTS)
def test_a_file_list_of_any_version_reads_the_same(told: dict[str, Any], files: tuple[RecordedFile, ...]) -> None:
    assert answers.state({"serverResponse": told}, RECORDING).files == files
    assert answers.stopped({"serverResponse": told}, RECORDING).files == files


@pytest.mark.parametrize(
    ("told", "status"),
    [(0, 0), (5, 5), ("5", 5), (8, 8), (20, 20), (9, -1), (None, -1), ("ready", -1), (True, -1), (5.0, -1)],
)
def test_a_status_is_one_of_the_table_or_unknown(told: object, status: int) -> None:
    assert answers.state({"serverResponse": {"status": told}}, RECORDING).status == Status(status)


def test_only_4_and_5_record_and_only_8_and_20_have_ended() -> None:
    assert {int(s) for s in Status if s.recording} == {4, 5}
    assert {int(s) for s in Status if s.ended} == {8, 20}


@pytest.mark.parametrize(
    ("told", "uploading"),
    [
        ({"uploadingStatus": "uploaded"}, Uploading.UPLOADED),
        ({"uploadingStatus": "backuped"}, Uploading.BACKUPED),
        ({"uploadingStatus": "unknown"}, Uploading.UNKNOWN),
        ({"uploadingStatus": "unknow"}, Uploading.UNKNOWN),
        ({}, Uploading.UNKNOWN),
        (
            {"extensionServiceState": [{"serviceName": "upload_service", "payload": {"uploadingStatus": "uploaded"}}]},
            Uploading.UPLOADED,
        ),
    ],
)
def test_uploading_is_found_wherever_the_mode_says_it(told: dict[str, Any], uploading: Uploading) -> None:
    assert answers.stopped({"serverResponse": told}, RECORDING).uploading is uploading


def test_the_services_of_mode_web_are_told() -> None:
    payload = {"outputs": [{"rtmpUrl": "rtmp://h/a", "status": "publishing"}], "state": "inProgress"}
    told = {"status": 5, "extensionServiceState": [{"serviceName": "rtmp_publish_service", "payload": payload}]}
    [extension] = answers.state({"serverResponse": told}, RECORDING).extensions
    assert (extension.name, extension.state) == ("rtmp_publish_service", "inProgress")
    assert extension.payload["outputs"][0]["status"] == "publishing"


@given(JSON)
def test_no_server_response_is_too_odd_to_read(told: Any) -> None:
    state = answers.state({"serverResponse": told}, RECORDING)
    assert state.status in Status
    assert all(isinstance(file.name, str) and isinstance(file.slice_start_ms, int) for file in state.files)
    answers.stopped({"serverResponse": told}, RECORDING)
    answers.page({"recordings": told if not isinstance(told, list) else []})


def test_a_recording_is_made_from_a_tables_row() -> None:
    import dataclasses
    import json

    row = json.loads(json.dumps(dataclasses.asdict(RECORDING)))
    back = Recording(**row)
    assert (back.sid, back.mode, back.resource_id) == (RECORDING.sid, "mix", "r")
