"""The contract's ranges and cross-rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import errors as e
from models.vocabulary.spec import FolderStore, Mode, RecordingSpec, S3Store, Selection
from models.vocabulary.ticks import EFFECTIVE_FPS
from scheduler import orders, rules
from tests.scheduler.farm import start_order, storage

FOLDER = rules.AppTerms("a", "whip:", 6, FolderStore(path="f"), None)
OWN = rules.AppTerms("a", "whip:", 6, None, None)


def spec(terms: rules.AppTerms = FOLDER, **changes: Any) -> tuple[RecordingSpec, list[str]]:
    made, _, warnings = rules.spec_of(start_order(**changes), terms, uid="1")
    return made, warnings


def picture(**changes: Any) -> orders.Transcoding:
    return orders.Transcoding(**{"width": 640, "height": 360, "fps": 15, "bitrate_kbps": 600} | changes)


def lists(**changes: Any) -> orders.Subscription:
    return orders.Subscription(**changes)


WRONG: dict[str, dict[str, Any]] = {
    "channelType": {"channel_type": 2},
    "streamTypes": {"stream_types": 3},
    "videoStreamType": {"video_stream_type": -1},
    "audioProfile": {"audio_profile": 3},
    "maxIdleTime": {"max_idle_s": 4},
    "maxIdleTime must be from 5 to 2592000": {"max_idle_s": 2_592_001},
    "decryptionMode": {"decryption_mode": 9},
    "secret": {"decryption_mode": 1},
    "salt": {"decryption_mode": 8, "decryption_secret": "s", "decryption_salt": "c2hvcnQ="},
    "subscribeUidGroup is missing": {"mode": Mode.INDIVIDUAL},
    "subscribeUidGroup": {"subscribe_uid_group": 6},
    "width": {"transcoding": picture(width=1922)},
    "height": {"transcoding": picture(height=15)},
    "1920 × 1080": {"transcoding": picture(width=1920, height=1082)},
    "fps": {"transcoding": picture(fps=0)},
    "bitrate": {"transcoding": picture(bitrate_kbps=6501)},
    "mixedVideoLayout": {"transcoding": picture(layout=orders.Layout(mixed_video_layout=4))},
    "backgroundColor": {"transcoding": picture(layout=orders.Layout(background_color="red"))},
    "layoutConfig is missing": {"transcoding": picture(layout=orders.Layout(mixed_video_layout=3))},
    "layoutConfig must not be given": {
        "transcoding": picture(layout=orders.Layout(regions=(orders.LayoutRegion(x=0, y=0, width=1, height=1),)))
    },
    r"layoutConfig\[0\].width": {
        "transcoding": picture(
            layout=orders.Layout(mixed_video_layout=3, regions=(orders.LayoutRegion(x=0.6, y=0, width=0.6, height=1),))
        )
    },
    "unSubscribeAudioUids": {"subscription": lists(audio=("1",), audio_not=("2",))},
    "more than 32": {"subscription": lists(video=tuple(map(str, range(33))))},
    "#allstream#": {"subscription": lists(video=("#allstream#", "1"))},
    "subscribeVideoUids": {"stream_types": 0, "subscription": lists(video=("1",))},
    "subscribeAudioUids": {"stream_types": 1, "subscription": lists(audio=("1",))},
    "avFileType": {"av_file_type": ("mp4",)},
    "fileNamePrefix": {"storage": storage(prefix=("a/b",))},
    "more than 128": {"storage": storage(prefix=("a" * 64, "b" * 64))},
    "bucket": {"storage": storage(bucket=" ")},
    "vendor": {"storage": storage(vendor=9)},
    "region": {"storage": storage(region=99)},
    "endpoint": {"storage": storage(vendor=11)},
    "sse": {"storage": storage(sse="rot13")},
}


@pytest.mark.parametrize("named", WRONG)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(named: str) -> None:
    with pytest.raises(e.BadParameter, match=named) as refused:
        spec(**WRONG[named])
    assert (refused.value.http, refused.value.code) == (400, 2)


@pytest.mark.parametrize("name", ["a/b", "täglich", "a\nb", "x" * 65])
def test_a_channel_name_outside_the_contracts_characters_is_1013(name: str) -> None:
    with pytest.raises(e.ChannelNameInvalid):
        spec(cname=name)


@pytest.mark.parametrize("uid", ["0", "01", "4294967296", "-1", "1.0", "ada", "٣"])
def test_a_uid_is_a_whole_number_in_quotes(uid: str) -> None:
    with pytest.raises(e.BadParameter, match="uid"):
        rules.check_uid(uid)
    assert rules.check_uid("4294967295") == []


def test_defaults_are_the_contracts() -> None:
    made, _ = spec()
    assert (made.video.width, made.video.height, made.video.fps, made.video.bitrate_bps) == (360, 640, 15, 500_000)
    assert (made.max_idle_s, made.stream_types, made.audio.profile, made.layout.kind) == (30, 2, 0, 0)
    assert made.audio_from == made.video_from == Selection()


def test_a_list_for_one_medium_leaves_the_other_out_and_says_so() -> None:
    made, warnings = spec(subscription=lists(audio=("1", "1", "2")))
    assert made.audio_from == Selection(rule="only", uids=("1", "2"))
    assert made.video_from == Selection(rule="none")
    assert any("no video is recorded" in text for text in warnings)
    made, _ = spec(stream_types=0, subscription=lists(audio=("1",)))
    assert made.audio_from.takes("1")
    made, _ = spec(subscription=lists(audio=("#allstream#",), video_not=("3",)))
    assert (made.audio_from.rule, made.video_from) == ("all", Selection(rule="except", uids=("3",)))
    made, warnings = spec(subscription=lists(audio=(), video=()))
    assert made.audio_from == made.video_from == Selection()
    assert any("counts as not given" in text for text in warnings)


@given(st.integers(16, 1920), st.integers(16, 1080), st.integers(1, 240), st.integers(1, 6500))
def test_every_canvas_is_even_no_larger_than_asked_and_snapped(width: int, height: int, fps: int, kbps: int) -> None:
    made, warnings = spec(transcoding=picture(width=width, height=height, fps=fps, bitrate_kbps=kbps))
    video = made.video
    assert (video.width, video.height) == (width - width % 2, height - height % 2)
    assert video.fps == (fps if fps in EFFECTIVE_FPS else 15)
    assert any("odd" in text for text in warnings) == bool(width % 2 or height % 2)
    assert any("is recorded with" in text for text in warnings) == (video.fps != fps)


def test_the_store_is_the_requests_or_the_apps() -> None:
    made, _ = spec(OWN, storage=storage(vendor=11, endpoint="minio.example:9000"))
    assert made.store == S3Store(vendor=11, region=0, bucket="b", endpoint="minio.example:9000")
    made, warnings = spec(FOLDER, storage=storage(vendor=5))
    assert made.store == FolderStore(path="f")
    assert any("own folder" in text for text in warnings)
    with pytest.raises(e.BadParameter, match="Azure"):
        spec(OWN, storage=storage(vendor=5))


def test_encryption_is_refused_rather_than_ignored() -> None:
    with pytest.raises(e.NotBuiltYet, match="decryptionMode"):
        spec(decryption_mode=1, decryption_secret="s")


def test_acquire_judges_its_options() -> None:
    def acquire(**changes: Any) -> list[str]:
        return rules.check_acquire(orders.Acquire(**{"cname": "c", "uid": "1"} | changes))

    assert acquire() == []
    with pytest.raises(e.BadParameter, match="Acquire: invalid resourceExpiredHour value!"):
        acquire(resource_expired_hour=0)
    for wrong in ({"scene": 3}, {"region": "XX"}, {"uid": "0"}, {"exclude_resource_ids": ("x",) * 33}):
        with pytest.raises(e.BadParameter):
            acquire(**wrong)
    assert acquire(cname="x" * 1000, scene=1) == []
