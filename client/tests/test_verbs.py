"""Every verb over real HTTP: what goes out, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

import reelyard
from reelyard import Mode, RecordedFile, Recording, Resource, Status, Uploading
from tests.conftest import Speak
from tests.service import APPID, SECRET, Says, Service, basic

RESOURCE = Resource("lesson-7", "527841", "resource/1")
RECORDING = Recording("resource/1", "5" * 32, "lesson-7", "527841")
IDENTITY = {"cname": "lesson-7", "uid": "527841", "resourceId": "resource/1", "sid": "5" * 32}
STORAGE = reelyard.StorageConfig(vendor=1, region=0, bucket="b", access_key="AK", secret_key="planted-store-secret")
APP = f"/v1/apps/{APPID}"
RUNNING = f"{APP}/cloud_recording/resourceid/resource%2F1/sid/{'5' * 32}/mode/mix"


def answers(told: dict[str, Any]) -> Says:
    return Says(body=IDENTITY | {"serverResponse": told})


def test_every_request_is_signed_with_the_customers_key_and_accepts_no_coding(speak: Speak, service: Service) -> None:
    service.says(Says(body={"resourceId": "r"}))
    speak("acquire", "lesson-7", "527841")
    headers = service.asked[0].headers
    assert headers["authorization"] == basic()
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json;charset=utf-8"


def test_acquire_sends_its_options_in_the_contracts_names(speak: Speak, service: Service) -> None:
    service.says(Says(body={"resourceId": "r"}, headers={"X-Reelyard-Warning": "scene is odd; region is ignored"}))
    request = reelyard.AcquireRequest(
        resource_expired_hour=24, region="EU", start_parameter=reelyard.StartRequest(storage_config=STORAGE)
    )
    got = speak("acquire", "lesson-7", "527841", request)
    assert got == Resource("lesson-7", "527841", "r", ("scene is odd", "region is ignored"))
    [asked] = service.asked
    assert (asked.method, asked.path) == ("POST", f"{APP}/cloud_recording/acquire")
    assert asked.body == {
        "cname": "lesson-7",
        "uid": "527841",
        "clientRequest": {
            "resourceExpiredHour": 24,
            "region": "EU",
            "startParameter": {
                "storageConfig": {
                    "vendor": 1, "region": 0, "bucket": "b", "accessKey": "AK", "secretKey": "planted-store-secret",
                }
            },
        },
    }  # fmt: skip


def test_acquire_without_options_sends_an_empty_object(speak: Speak, service: Service) -> None:
    service.says(Says(body={"resourceId": "r"}))
    speak("acquire", "lesson-7", "527841")
    assert service.asked[0].body["clientRequest"] == {}


@pytest.mark.parametrize("mode", ["individual", "mix", "web"])
def test_start_speaks_every_mode(speak: Speak, service: Service, mode: str) -> None:
    service.says(Says(body=IDENTITY))
    got = speak("start", RESOURCE, {"storageConfig": {"vendor": 1}}, mode=mode)
    assert got == Recording("resource/1", "5" * 32, "lesson-7", "527841", Mode(mode))
    [asked] = service.asked
    assert asked.path == f"{APP}/cloud_recording/resourceid/resource%2F1/mode/{mode}/start"
    assert asked.body == {
        "cname": "lesson-7",
        "uid": "527841",
        "clientRequest": {"storageConfig": {"vendor": 1}},
    }


def test_a_start_that_was_made_before_is_a_success(speak: Speak, service: Service) -> None:
    service.says(Says(201, {"code": 7, "reason": "already started", "sid": "5" * 32}))
    got = speak("start", RESOURCE, reelyard.StartRequest(storage_config=STORAGE))
    assert (got.sid, got.already_started) == ("5" * 32, True)


def test_a_start_that_was_made_before_may_come_without_its_sid_and_cannot_be_queried(
    speak: Speak, service: Service
) -> None:
    service.says(Says(201, {"code": 7, "reason": "already started"}))
    got = speak("start", RESOURCE, reelyard.StartRequest(storage_config=STORAGE))
    assert (got.sid, got.already_started) == ("", True)
    with pytest.raises(ValueError, match="sid is empty"):
        speak("query", got)


def test_query_is_a_get_and_its_answer_is_typed(speak: Speak, service: Service) -> None:
    service.says(
        answers({"status": 5, "fileListMode": "string", "fileList": "a/x.m3u8", "sliceStartTime": 1_700_000_000_000})
    )
    got = speak("query", RECORDING)
    assert [(asked.method, asked.path, asked.body) for asked in service.asked] == [("GET", f"{RUNNING}/query", None)]
    assert (got.status, got.status.recording) == (Status.IN_PROGRESS, True)
    assert got.files == (RecordedFile("a/x.m3u8", slice_start_ms=1_700_000_000_000),)
    assert got.raw["sid"] == "5" * 32


def test_update_names_the_subscriptions(speak: Speak, service: Service) -> None:
    service.says(Says(body=IDENTITY))
    subscribe = reelyard.StreamSubscribe(
        audio_uid_list=reelyard.AudioUids(subscribe_audio_uids=[reelyard.ALL_STREAMS]),
        video_uid_list=reelyard.VideoUids(unsubscribe_video_uids=["7"]),
    )
    assert speak("update", RECORDING, reelyard.UpdateRequest(stream_subscribe=subscribe)) is None
    [asked] = service.asked
    assert asked.path == f"{RUNNING}/update"
    assert asked.body["clientRequest"] == {
        "streamSubscribe": {
            "audioUidList": {"subscribeAudioUids": ["#allstream#"]},
            "videoUidList": {"unSubscribeVideoUids": ["7"]},
        }
    }


def test_hold_and_resume_are_updates_of_one_field(speak: Speak, service: Service) -> None:
    service.says(Says(body=IDENTITY), Says(body=IDENTITY))
    assert (speak("hold", RECORDING), speak("resume", RECORDING)) == (None, None)
    assert [asked.path for asked in service.asked] == [f"{RUNNING}/update"] * 2
    assert [asked.body["clientRequest"] for asked in service.asked] == [{"onhold": True}, {"onhold": False}]


def test_cancel_names_the_sid_alone_and_answers_the_record(speak: Speak, service: Service) -> None:
    service.says(Says(body={"sid": "5" * 32, "status": 5, "wanted": "cancel"}))
    assert speak("cancel", "5" * 32).raw["wanted"] == "cancel"
    [asked] = service.asked
    assert (asked.method, asked.path.rsplit("/apps/", 1)[1].split("/", 1)[1]) == (
        "POST",
        f"recordings/{'5' * 32}/cancel",
    )


def test_update_layout_sends_the_layout_bare(speak: Speak, service: Service) -> None:
    service.says(Says(body=IDENTITY))
    region = reelyard.LayoutRegion(x_axis=0, y_axis=0.5, width=1, height=0.5, render_mode=1)
    layout = reelyard.Layout(mixed_video_layout=reelyard.MixedVideoLayout.CUSTOM, layout_config=[region, {"uid": "7"}])
    speak("update_layout", RECORDING, layout)
    [asked] = service.asked
    assert asked.path == f"{RUNNING}/updateLayout"
    assert asked.body["clientRequest"] == {
        "mixedVideoLayout": 3,
        "layoutConfig": [{"x_axis": 0, "y_axis": 0.5, "width": 1, "height": 0.5, "render_mode": 1}, {"uid": "7"}],
    }


@pytest.mark.parametrize("wait", [True, False])
def test_stop_waits_unless_told_otherwise(speak: Speak, service: Service, wait: bool) -> None:
    service.says(answers({"fileListMode": "string", "fileList": "x.m3u8", "uploadingStatus": "uploaded"}))
    got = speak("stop", RECORDING, wait=wait)
    assert (got.uploading, got.files) == (Uploading.UPLOADED, (RecordedFile("x.m3u8"),))
    [asked] = service.asked
    assert (asked.path, asked.body["clientRequest"]) == (f"{RUNNING}/stop", {"async_stop": not wait})


def test_the_list_of_recordings_is_read_page_by_page(speak: Speak, service: Service) -> None:
    line = {"sid": "5" * 32, "cname": "c", "uid": "1", "mode": "mix", "status": 8, "reason": "stop called"}
    times = {"created_ms": 1, "started_ms": None, "ended_ms": 3}
    service.says(
        Says(body={"recordings": [line | times], "next": "5" * 32}), Says(body={"recordings": [], "next": None})
    )
    first = speak("recordings", limit=1, live=False)
    assert (first.next, first.recordings[0].status) == ("5" * 32, Status.EXITED)
    assert (first.recordings[0].created_ms, first.recordings[0].started_ms) == (1, None)
    assert speak("recordings", limit=1, before=first.next).next == ""
    assert service.paths == [
        f"{APP}/recordings?limit=1&live=false",
        f"{APP}/recordings?limit=1&before={'5' * 32}",
    ]


def test_the_record_of_a_recording_keeps_what_the_service_said(speak: Speak, service: Service) -> None:
    body = {
        "sid": "5" * 32, "status": 20, "what_happened": "the bucket refused", "fault": {"code": 32}, "warnings": ["w"],
        "files": [{"key": "x.ts", "bytes": 7}], "holes": [], "segments": {"count": 1}, "resource_id": "r", "weight": 30,
    }  # fmt: skip
    service.says(Says(body=body))
    got = speak("recording", "5" * 32)
    assert service.paths == [f"{APP}/recordings/{'5' * 32}"]
    assert (got.summary.status, got.what_happened, got.fault) == (Status.FAILED, "the bucket refused", {"code": 32})
    assert (got.files[0]["bytes"], got.segments["count"], got.raw["weight"]) == (7, 1, 30)


def test_a_publisher_gets_a_token(speak: Speak, service: Service) -> None:
    service.says(Says(body={"token": "planted-token", "url": "http://h/whip/a/b/c", "expires_s": 1_800_000_000}))
    got = speak("whip_token", "lesson-7", "ada", ttl_s=60)
    assert (got.token, got.url, got.expires_s) == ("planted-token", "http://h/whip/a/b/c", 1_800_000_000)
    assert "planted-token" not in repr(got)
    assert service.asked[0].path == f"{APP}/whip-tokens"
    assert service.asked[0].body == {"cname": "lesson-7", "uid": "ada", "ttl_s": 60}


def test_users_that_are_urls_come_and_go_and_no_answer_repeats_a_url(speak: Speak, service: Service) -> None:
    ada = {"uid": "ada", "source": "rtsp://h", "created_ms": 1}
    service.says(Says(body=ada), Says(body={"users": [ada]}), Says(body={"users": []}))
    url = "rtsp://viewer:planted@h/main"
    assert speak("pull", "lesson 7", "ada", url) == reelyard.PulledUser("ada", "rtsp://h")
    assert speak("pulled", "lesson 7") == (reelyard.PulledUser("ada", "rtsp://h"),)
    assert speak("unpull", "lesson 7", "ada") is None
    users = f"{APP}/channels/lesson%207/users"
    assert [(it.method, it.path) for it in service.asked] == [
        ("PUT", f"{users}/ada"),
        ("GET", users),
        ("DELETE", f"{users}/ada"),
    ]
    assert service.asked[0].body == {"url": url}


def test_a_removal_whose_first_answer_got_lost_is_no_error(speak: Speak, service: Service) -> None:
    gone = Says(404, {"code": 404, "reason": "user not found"})
    service.says(Says(503, b"<html>unavailable</html>"), gone)
    assert speak("unpull", "lesson-7", "ada") is None
    service.says(gone)
    with pytest.raises(reelyard.NotFound):
        speak("unpull", "lesson-7", "ada")


def test_files_are_listed_linked_and_deleted(speak: Speak, service: Service) -> None:
    mp4 = {"name": "x_0.mp4", "kind": "mp4", "state": "stored", "bytes": 7, "md5": "m", "duration_s": 1.5, "error": ""}
    one = {"sid": "5" * 32, "cname": "lesson-7", "uid": "1", "own_store": True, "files": [mp4]}
    service.says(
        Says(body={"recordings": [one], "next": "5" * 32}),
        Says(body=one | {"segments": [{"name": "x.ts", "bytes": 3, "state": "writing"}], "next": None}),
        Says(
            body={
                "playlist": "/v1/p?token=planted",
                "until_s": 9,
                "playlists": [{"name": "x.m3u8", "path": "/v1/p?token=planted"}],
                "files": [{"name": "x_0.mp4", "path": "/v1/f?token=planted"}],
            }
        ),
        Says(202, one),
    )
    page = speak("files", cname="lesson 7", from_ms=1)
    assert (page.recordings[0].files[0].duration_s, page.next) == (1.5, "5" * 32)
    files = speak("recording_files", "5" * 32)
    assert [(s.name, s.kind, s.bytes) for s in files.segments] == [("x.ts", "segment", 3)]
    link = speak("link", "5" * 32, for_s=60)
    assert (link.playlist, link.files["x_0.mp4"], link.until_s) == ("/v1/p?token=planted", "/v1/f?token=planted", 9)
    assert link.playlists == {"x.m3u8": link.playlist}
    assert "planted" not in repr(link)
    assert speak("delete_files", "5" * 32, "x_0.mp4").own_store
    recording = f"{APP}/recordings/{'5' * 32}"
    assert service.paths == [
        f"{APP}/files?cname=lesson+7&from_ms=1&limit=50",
        f"{recording}/files?limit=1000",
        f"{recording}/link?for_s=60",
        f"{recording}/files/x_0.mp4",
    ]


def test_both_clients_have_the_same_verbs() -> None:
    def verbs(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")} - {"close", "aclose"}

    assert verbs(reelyard.Client) == verbs(reelyard.AsyncClient)
    assert len(verbs(reelyard.Client)) == 23


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_an_id_never_leaves_its_place_in_the_path(speak: Speak, service: Service, segment: str) -> None:
    with pytest.raises(ValueError, match="sid is"):
        speak("recording", segment)
    assert service.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "recordings.example.org",
        "ftp://h",
        "http://user:pass@h",
        "http://h/?a=1",
        "http://h/#f",
        "http://",
        "http://h:99999",
    ],
)
def test_a_base_url_is_a_host_and_a_path_and_no_more(url: str) -> None:
    with pytest.raises(ValueError, match=r"a base URL|Port out of range"):
        reelyard.Client(url, APPID, "k", "s")


def test_an_address_that_is_too_long_to_ask_is_a_value_error(speak: Speak, service: Service) -> None:
    with pytest.raises(ValueError, match="no such address"):
        speak("recording", "5" * 100_000)
    assert service.asked == []


def test_a_base_url_may_have_a_path(speaker: Any, service: Service) -> None:
    service.says(Says(body={"resourceId": "r"}))
    speaker(f"{service.url}/farm/")("acquire", "c", "1")
    assert service.paths == [f"/farm{APP}/cloud_recording/acquire"]


def test_no_repr_tells_a_secret() -> None:
    client = reelyard.Client("http://127.0.0.1:9", APPID, "k", SECRET)
    config = reelyard.RecordingConfig(secret="planted-media-secret", salt="planted-salt")
    request = reelyard.StartRequest(storage_config=STORAGE, token="planted-token", recording_config=config)
    client.close()
    assert "planted" not in repr((client, vars(client), STORAGE, request, RESOURCE))
