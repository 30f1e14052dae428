"""Blocks in the contract's spelling."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import reelyard
from reelyard import requests
from reelyard.requests import to_wire

#: Every name of the contract's blocks that are classes here (§1, §4–§6), as the wire wants it.
NAMES: dict[type[Any], set[str]] = {
    reelyard.StorageConfig: {"vendor", "region", "bucket", "accessKey", "secretKey", "stsToken", "stsExpiration", "fileNamePrefix", "extensionParams"},
    reelyard.ExtensionParams: {"sse", "tag", "endpoint"},
    reelyard.LayoutRegion: {"uid", "x_axis", "y_axis", "width", "height", "alpha", "render_mode"},
    reelyard.BackgroundConfig: {"uid", "image_url", "render_mode"},
    reelyard.Layout: {"mixedVideoLayout", "maxResolutionUid", "backgroundColor", "backgroundImage", "defaultUserBackgroundImage", "layoutConfig", "backgroundConfig"},
    reelyard.TranscodingConfig: {"width", "height", "fps", "bitrate", "mixedVideoLayout", "maxResolutionUid", "backgroundColor", "backgroundImage", "defaultUserBackgroundImage", "layoutConfig", "backgroundConfig"},
    reelyard.RecordingConfig: {"channelType", "streamTypes", "streamMode", "videoStreamType", "maxIdleTime", "audioProfile", "decryptionMode", "secret", "salt", "subscribeAudioUids", "unSubscribeAudioUids", "subscribeVideoUids", "unSubscribeVideoUids", "subscribeUidGroup", "privateParams", "transcodingConfig"},
    reelyard.RecordingFileConfig: {"avFileType"},
    reelyard.SnapshotConfig: {"captureInterval", "fileType"},
    reelyard.WebRecorder: {"url", "audioProfile", "videoWidth", "videoHeight", "maxRecordingHour", "videoBitrate", "videoFps", "mobile", "maxVideoDuration", "onhold", "readyTimeout"},
    reelyard.StartRequest: {"token", "storageConfig", "recordingConfig", "recordingFileConfig", "snapshotConfig", "extensionServiceConfig", "appsCollection", "transcodeOptions"},
    reelyard.AcquireRequest: {"scene", "resourceExpiredHour", "startParameter", "excludeResourceIds", "region"},
    reelyard.UpdateRequest: {"streamSubscribe", "webRecordingConfig", "rtmpPublishConfig", "storageConfig", "onhold"},
    reelyard.StreamSubscribe: {"audioUidList", "videoUidList"},
    reelyard.AudioUids: {"subscribeAudioUids", "unSubscribeAudioUids"},
    reelyard.VideoUids: {"subscribeVideoUids", "unSubscribeVideoUids"},
}  # fmt: skip


@pytest.mark.parametrize("block", NAMES, ids=lambda block: block.__name__)
def test_every_field_of_a_block_has_the_contracts_name(block: type[Any]) -> None:
    full = block(**{part.name: 1 for part in dataclasses.fields(block)})
    assert set(to_wire(full)) == NAMES[block]


def test_every_block_is_in_the_table() -> None:
    blocks = {thing for thing in vars(requests).values() if isinstance(thing, type) and dataclasses.is_dataclass(thing)}
    assert blocks == set(NAMES)


def test_what_is_not_given_is_not_sent_and_falsehood_is() -> None:
    assert to_wire(reelyard.RecordingConfig(max_idle_time=0, stream_types=0)) == {"maxIdleTime": 0, "streamTypes": 0}


def test_blocks_and_dicts_mix_at_every_depth() -> None:
    transcoding = reelyard.TranscodingConfig(
        width=640, height=360, fps=15, bitrate=500, layout_config=[{"uid": "1", "x_axis": 0}]
    )
    request = reelyard.StartRequest(
        storage_config={"vendor": 1, "fooBar": [1]},
        recording_config={"transcodingConfig": transcoding, "maxIdleTime": 30},
    )
    assert to_wire(request) == {
        "storageConfig": {"vendor": 1, "fooBar": [1]},
        "recordingConfig": {
            "transcodingConfig": {"width": 640, "height": 360, "fps": 15, "bitrate": 500, "layoutConfig": [{"uid": "1", "x_axis": 0}]},
            "maxIdleTime": 30,
        },
    }  # fmt: skip


def test_a_page_and_its_stream_are_two_services_with_their_own_policies() -> None:
    page = reelyard.WebRecorder(
        url="https://h/p", audio_profile=0, video_width=1280, video_height=720, max_recording_hour=2
    )
    told = reelyard.web_extensions(page, rtmp_url="rtmp://h/live")
    assert told["errorHandlePolicy"] == "error_abort"
    recorder, stream = told["extensionServices"]
    assert (recorder["serviceName"], recorder["errorHandlePolicy"]) == ("web_recorder_service", "error_abort")
    assert recorder["serviceParam"]["videoWidth"] == 1280
    assert stream == {
        "serviceName": "rtmp_publish_service",
        "errorHandlePolicy": "error_ignore",
        "serviceParam": {"outputs": [{"rtmpUrl": "rtmp://h/live"}]},
    }
    assert len(reelyard.web_extensions(page)["extensionServices"]) == 1
