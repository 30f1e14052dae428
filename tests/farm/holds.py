"""Pausing a call as its backend does."""

from __future__ import annotations

from tests.farm.backend import UID, Take


def hold(call: Take, on: bool) -> None:
    body = {"cname": call.cname, "uid": UID, "clientRequest": {"onhold": on}}
    path = f"/cloud_recording/resourceid/{call.resource_id}/sid/{call.sid}/mode/mix/update"
    answer = call.backend.request("POST", path, body)
    assert answer.status_code == 200, answer.text
    assert call.query().json()["serverResponse"].get("onhold") is (True if on else None)
