"""`contents` and `afterStop`, our extensions of a layout: from the body to the recorder's spec."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.wire.body import Warnings, parse, shape
from gateway.wire.layouts import ContentFields
from gateway.wire.requests import UpdateLayoutRequest
from models.vocabulary.errors import BadParameter
from models.vocabulary.spec import Content, ContentKind, LayoutSpec, VideoSpec
from scheduler import picture
from tests.gateway.test_contract import Client, over_http
from tests.scheduler.farm import Farm

CANVAS = VideoSpec(width=640, height=360)
VIDEO = {"kind": "video", "source": "ada.0", "left": 10, "top": 20, "width": 160, "height": 90}
TITLE = {"kind": "text", "text": "Lesson 7, %timestamp%", "fontSize": 24, "utcOffsetMin": 60, "color": "#FFFF00"}


def layout(*contents: Any, **more: Any) -> tuple[LayoutSpec, list[str]]:
    body = {"cname": "c", "uid": "1", "clientRequest": {"contents": list(contents)} | more}
    warnings = Warnings()
    found = shape(UpdateLayoutRequest, parse(json.dumps(body).encode(), warnings), warnings)
    said = list(warnings.texts)
    return picture.layout_of(found.order([]).layout, "clientRequest", CANVAS, said), said


def test_every_field_of_the_recorders_contents_can_be_asked_for() -> None:
    asked = {
        "kind": "timestamp", "left": 0.5, "top": 0.25, "width": 0.5, "height": 0.125, "unit": "fraction",
        "keepAspectRatio": False, "text": "at %timestamp%", "color": "#11223344", "background": "#55667788",
        "fontSize": 30, "textMargin": 7, "utcOffsetMin": -90,
    }  # fmt: skip
    spec, said = layout(
        asked, VIDEO, {"kind": "picture", "url": "https://example.org/logo.png"}, afterStop="last_frame"
    )
    assert said == []
    assert spec.after_stop == "last_frame"
    assert spec.contents[0] == Content(
        kind=ContentKind.TIMESTAMP, left=0.5, top=0.25, width=0.5, height=0.125, unit="fraction",
        keep_aspect_ratio=False, text="at %timestamp%", color="#11223344", background="#55667788",
        font_size=30, text_margin=7, utc_offset_min=-90,
    )  # fmt: skip
    assert spec.contents[1].source == "ada.0"
    assert spec.contents[2].url == "https://example.org/logo.png"
    assert set(ContentFields.model_fields) == set(Content.model_fields)


def test_a_layout_without_them_has_none_and_shows_the_background_after_a_stop() -> None:
    assert layout() == (LayoutSpec(), [])


WRONG = {
    "clientRequest.contents[0].kind must be one of": {"kind": "film"},
    "clientRequest.contents[0].kind is missing": {"left": 1},
    "clientRequest.contents[0].left must be from 0 to 1": VIDEO | {"unit": "fraction"},
    "clientRequest.contents[0].top must be from 0 to 1920": VIDEO | {"top": -1},
    "clientRequest.contents[0].unit must be": VIDEO | {"unit": "em"},
    "clientRequest.contents[0].width is missing; a video": {"kind": "video", "source": "ada", "height": 9},
    "clientRequest.contents[0].source is missing": {"kind": "video", "width": 9, "height": 9},
    "clientRequest.contents[0].source has more than": VIDEO | {"source": "u" * 81},
    "clientRequest.contents[0].url is missing": {"kind": "picture"},
    "clientRequest.contents[0].text is missing": {"kind": "text"},
    "clientRequest.contents[0].text has more than": TITLE | {"text": "x" * 513},
    "clientRequest.contents[0].color must look like": TITLE | {"color": "red"},
    "clientRequest.contents[0].fontSize must be from 4 to 256": TITLE | {"fontSize": 3},
    "clientRequest.contents[0].textMargin must be from": TITLE | {"textMargin": -1},
    "clientRequest.contents[0].utcOffsetMin must be from": TITLE | {"utcOffsetMin": 1441},
    "clientRequest.contents[0].keepAspectRatio must be true or false": TITLE | {"keepAspectRatio": 1},
    "clientRequest.contents[0] must be an object": 7,
}


@pytest.mark.parametrize("reason", WRONG)
def test_what_is_wrong_is_named(reason: str) -> None:
    with pytest.raises(BadParameter) as refused:
        layout(WRONG[reason])
    assert refused.value.text.startswith(reason)


def test_sixty_four_are_taken_and_no_more() -> None:
    assert len(layout(*[TITLE] * 64)[0].contents) == 64
    with pytest.raises(BadParameter, match="has more than 64 entries"):
        layout(*[TITLE] * 65)
    with pytest.raises(BadParameter, match="afterStop must be"):
        layout(afterStop="nothing")


def test_what_cannot_be_seen_is_reported() -> None:
    spec, said = layout(
        VIDEO | {"url": "https://example.org/a.png", "blink": True},
        TITLE | {"left": 640},
        {"kind": "picture", "url": "ftp://example.org/a.png"},
    )
    assert sorted(said) == [
        "clientRequest.contents[0].blink is not known and was ignored",
        "clientRequest.contents[0].url is not used by a video",
        "clientRequest.contents[1] begins outside the canvas and is not drawn",
        "clientRequest.contents[2].url is no http or https address and is not drawn",
    ]
    assert spec.contents[0].url == ""


def test_update_layout_hands_them_to_the_recorder_and_takes_them_away(sqlite_farm: Farm) -> None:
    worker = sqlite_farm.worker()

    async def change(client: Client) -> None:
        resource_id, sid = await client.started(worker)
        wish = {"contents": [TITLE], "afterStop": "last_frame"}
        changed = await client.running("updateLayout", resource_id, sid, clientRequest=wish)
        assert changed.status_code == 200, changed.text
        found = LayoutSpec.model_validate(sqlite_farm.recording(sid).spec["layout"])
        assert (found.contents[0].text, found.after_stop) == ("Lesson 7, %timestamp%", "last_frame")
        refused = await client.running("updateLayout", resource_id, sid, clientRequest={"contents": [{"kind": "x"}]})
        assert (refused.status_code, refused.json()["code"]) == (400, 1028)
        assert (await client.running("updateLayout", resource_id, sid, clientRequest={})).status_code == 200
        assert sqlite_farm.recording(sid).spec["layout"]["contents"] == []

    over_http(sqlite_farm, change)
