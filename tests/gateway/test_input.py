"""Bad input: every one has an answer of the contract that names what is wrong."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.answers import warning_header
from gateway.wire.body import MAX_BODY_BYTES, Warnings, parse, shape
from gateway.wire.requests import AcquireRequest, StartRequest, StopRequest
from models.vocabulary.errors import BadBody, BadParameter, ReelyardError
from models.vocabulary.spec import FolderStore, Mode
from scheduler import rules
from tests.gateway.test_contract import BASE, NAMES, STORAGE, Client, over_http
from tests.scheduler.farm import Farm

TERMS = rules.AppTerms("a", "whip:", 6, FolderStore(path="f"), None)


def start(**client_request: Any) -> dict[str, Any]:
    return NAMES | {"clientRequest": {"storageConfig": STORAGE} | client_request}


def recording(**config: Any) -> dict[str, Any]:
    return start(recordingConfig=config)


def read(body: object) -> tuple[StartRequest, list[str]]:
    warnings = Warnings()
    found = shape(StartRequest, parse(json.dumps(body).encode(), warnings), warnings)
    return found, warnings.texts


WRONG_BODIES = {
    "cname is missing": {"uid": "1", "clientRequest": {}},
    "uid must be a string": NAMES | {"uid": 527841, "clientRequest": {}},
    "clientRequest is missing": NAMES,
    "clientRequest must be an object": NAMES | {"clientRequest": []},
    "clientRequest.storageConfig is missing": NAMES | {"clientRequest": {}},
    "clientRequest.storageConfig.bucket is missing": start(storageConfig={k: v for k, v in STORAGE.items() if k != "bucket"}),
    "clientRequest.storageConfig.vendor must be a whole number": start(storageConfig=STORAGE | {"vendor": "1"}),
    "clientRequest.storageConfig.region must be a whole number": start(storageConfig=STORAGE | {"region": True}),
    "clientRequest.storageConfig.fileNamePrefix must be a list": start(storageConfig=STORAGE | {"fileNamePrefix": "a"}),
    "clientRequest.storageConfig.stsExpiration": start(storageConfig=STORAGE | {"stsExpiration": -1}),
    "clientRequest.recordingConfig.maxIdleTime must be a whole number": recording(maxIdleTime="30"),
    "clientRequest.recordingConfig.subscribeVideoUids[1] must be a string": recording(subscribeVideoUids=["1", 2]),
    "clientRequest.recordingConfig.transcodingConfig must be an object": recording(transcodingConfig=7),
    "clientRequest.recordingConfig.transcodingConfig.width must be a whole number": recording(transcodingConfig={"width": 1.5}),
    "clientRequest.recordingConfig.unSubscribeAudioUids must be a list": recording(unSubscribeAudioUids="1"),
    "clientRequest.recordingFileConfig.avFileType must be a list": start(recordingFileConfig={"avFileType": "hls"}),
    "clientRequest.token must be a string": start(token=5),
    "cname has a NUL character": NAMES | {"cname": "a\0b"},
    "clientRequest.token has half a surrogate pair": start(token="\ud800"),
}  # fmt: skip


@pytest.mark.parametrize("reason", WRONG_BODIES)
def test_a_wrong_type_or_a_missing_field_is_named(reason: str) -> None:
    with pytest.raises(BadParameter) as refused:
        read(WRONG_BODIES[reason])
    assert refused.value.body()["reason"].startswith(f"bad parameter: {reason}")


NO_JSON = {
    b"": "empty",
    b"   ": "empty",
    b"[]": "must be a JSON object",
    b'"x"': "must be a JSON object",
    b"{": "not JSON",
    b"{'cname': 1}": "not JSON",
    b'{"a": NaN}': "not JSON",
    b'{"a": ' + b"9" * 5_000 + b"}": "not JSON",
    b"\xff\xfe": "not JSON",
    b"[" * 60_000: "nested too deeply",
    b'{"a":' * 20 + b"1" + b"}" * 20: "nested too deeply",
    b" " * (MAX_BODY_BYTES + 1): "more than",
}


@pytest.mark.parametrize("raw", NO_JSON, ids=lambda raw: repr(raw[:12]))
def test_what_is_no_json_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadBody, match=NO_JSON[raw]) as refused:
        parse(raw, Warnings())
    assert (refused.value.http, refused.value.code) == (400, 8)


def test_unknown_misplaced_doubled_and_null_fields_are_accepted_and_reported() -> None:
    raw = json.dumps(
        NAMES
        | {
            "hello": 1,
            "clientRequest": {
                "storageConfig": STORAGE | {"fileNamePrefx": ["a"]},
                "transcodingConfig": {"width": 1},
                "token": None,
                "recordingConfig": {"backgroundColor": "#ffffff", "subscribeUidGroup": 0, "streamMode": "default"},
            },
        }
    ).replace('"hello": 1', '"hello": 1, "hello": 2')
    warnings = Warnings()
    found = shape(StartRequest, parse(raw.encode(), warnings), warnings)
    _, _, said = rules.spec_of(found.order(Mode.MIX, warnings.texts), TERMS, uid="1")
    where = "clientRequest.recordingConfig.transcodingConfig"
    for expected in (
        "hello stands twice in one object: the last one counts",
        "hello is not known and was ignored",
        "clientRequest.storageConfig.fileNamePrefx is not known and was ignored",
        f"clientRequest.transcodingConfig stands in the wrong place and was ignored: it belongs at {where}",
        f"clientRequest.recordingConfig.backgroundColor stands in the wrong place and was ignored: it belongs at {where}.backgroundColor",
        "clientRequest.token is null and counts as not given",
        "clientRequest.recordingConfig.streamMode is not used in mix mode",
        "clientRequest.recordingConfig.subscribeUidGroup is not used in mix mode",
    ):
        assert expected in said


@pytest.mark.parametrize("spelling", ["unSubscribeAudioUids", "unsubscribeAudioUids", "unsunscribeAudioUids"])
def test_every_spelling_of_the_black_list_is_taken(spelling: str) -> None:
    found, warnings = read(recording(**{spelling: ["7"]}))
    assert found.order(Mode.MIX, []).subscription.audio_not == ("7",)
    assert not any("not known" in text for text in warnings)


def test_the_documents_own_mix_sample_is_taken() -> None:
    sample = {
        "uid": "",
        "cname": "httpClient463224",
        "clientRequest": {
            "token": "<token if any>",
            "recordingConfig": {
                "maxIdleTime": 30,
                "streamTypes": 2,
                "audioProfile": 1,
                "channelType": 0,
                "videoStreamType": 1,
                "transcodingConfig": {
                    "height": 640,
                    "width": 360,
                    "bitrate": 500,
                    "fps": 15,
                    "mixedVideoLayout": 1,
                    "backgroundColor": "#FF0000",
                },
                "subscribeVideoUids": ["123", "456"],
                "subscribeAudioUids": ["123", "456"],
                "subscribeUidGroup": 0,
            },
            "storageConfig": {
                "accessKey": "xxxxxxf",
                "region": 3,
                "bucket": "xxxxx",
                "secretKey": "xxxxx",
                "vendor": 2,
                "fileNamePrefix": ["directory1", "directory2"],
            },
        },
    }
    found, _ = read(sample)
    spec, secrets, _ = rules.spec_of(found.order(Mode.MIX, []), TERMS, uid="1")
    assert (spec.video.width, spec.video.height, spec.layout.kind) == (360, 640, 1)
    assert spec.file_prefix == ("directory1", "directory2")
    assert secrets.channel_token == "<token if any>"


def test_postmans_empty_objects_are_taken() -> None:
    warnings = Warnings()
    assert shape(AcquireRequest, NAMES, warnings).order().scene == 0
    assert shape(StopRequest, NAMES | {"clientRequest": {}}, warnings).order().async_stop is False
    assert warnings.texts == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_field_it_is_taken_or_refused_in_order(data: st.DataObject) -> None:
    """One or two fields of a good body replaced by anything."""
    picture = {"width": 640, "layoutConfig": [{"x_axis": 0.0}]}
    body = copy.deepcopy(recording(transcodingConfig=picture, subscribeAudioUids=["1"]))
    for _ in range(data.draw(st.integers(1, 2))):
        target: Any = body
        while True:
            key = data.draw(st.sampled_from(sorted(target)))
            if not isinstance(target[key], dict) or not target[key] or data.draw(st.booleans()):
                break
            target = target[key]
        target[key] = data.draw(values)
    warnings = Warnings()
    try:
        found = shape(StartRequest, parse(json.dumps(body).encode(), warnings), warnings)
        rules.spec_of(found.order(Mode.MIX, warnings.texts), TERMS, uid="1")
    except ReelyardError as error:
        assert error.http == 400
    header = warning_header(warnings.texts)
    assert header.isascii()
    assert header.isprintable()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    try:
        parse(raw, Warnings())
    except ReelyardError as error:
        assert error.http == 400


def test_bad_input_over_http(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()

    async def bad(client: Client) -> None:
        resource_id = await client.resource()
        path = f"{BASE}/resourceid/{resource_id}/mode/mix/start"
        for body, code in ((b"{", 8), (b"x" * 200_000, 8), (json.dumps(NAMES).encode(), 2), (b"[" * 60_000, 8)):
            answer = await client.http.post(path, content=body)
            assert (answer.status_code, answer.json()["code"]) == (400, code)
        mode = await client.start(resource_id, "Mix")
        assert (mode.status_code, mode.json()["code"]) == (400, 2)
        name = await client.acquire(cname="a/b")
        assert (name.status_code, name.json()["code"]) == (400, 1013)
        hours = await client.acquire(clientRequest={"resourceExpiredHour": 721})
        assert hours.json()["reason"].startswith("bad parameter: Acquire: invalid resourceExpiredHour value!")
        unknown = await client.acquire(täglich=1)
        assert unknown.status_code == 200
        assert unknown.headers["X-Reelyard-Warning"] == "t\\xe4glich is not known and was ignored"
        for query in ("limit=x", "limit=0", "before=..", "live=maybe"):
            answer = await client.http.get(f"{BASE.rsplit('/', 1)[0]}/recordings?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, 2), query

    over_http(sqlite_farm, bad)


def test_what_was_ignored_is_told_in_header_and_record(sqlite_farm: Farm) -> None:
    sqlite_farm.worker()

    async def told(client: Client) -> None:
        resource_id = await client.resource()
        slow = await client.start(resource_id, recordingConfig={"maxIdelTime": 30})
        assert slow.status_code == 206, slow.text
        record = await client.http.get(f"{BASE.rsplit('/', 1)[0]}/recordings/{slow.json()['sid']}")
        expected = "clientRequest.recordingConfig.maxIdelTime is not known and was ignored"
        assert expected in record.json()["warnings"]
        assert expected in slow.headers["X-Reelyard-Warning"]

    over_http(sqlite_farm, told)
