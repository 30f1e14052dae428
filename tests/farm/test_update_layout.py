"""A layout that is replaced while it records: seen in the decoded frames, and how soon."""

from __future__ import annotations

import time

import av
import numpy as np

from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from models.vocabulary.spec import RecordingSpec
from tests.farm.backend import UID, WIDTH, Json
from tests.farm.processes import UpFarm

#: updateLayout → the frame it shows in, with the broker up.
WITHIN_S = 0.5
RED = {
    "mixedVideoLayout": 3,
    "backgroundColor": "#FF0000",
    "layoutConfig": [{"uid": "alice", "x_axis": 0, "y_axis": 0, "width": 0.5, "height": 1}],
}


def test_a_new_layout_is_seen_within_half_a_second_and_the_next_one_replaces_it_whole(farm: UpFarm) -> None:
    take = farm.backend.record_channel("layouts")
    take.until_more(1)
    path = f"/cloud_recording/resourceid/{take.resource_id}/sid/{take.sid}/mode/mix/updateLayout"

    def update(layout: Json) -> float:
        began = time.time()
        body = {"cname": take.cname, "uid": UID, "clientRequest": layout}
        answer = farm.backend.request("POST", path, body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "cname": take.cname, "uid": UID, "resourceId": take.resource_id, "sid": take.sid,
        }  # fmt: skip
        return began

    asked = update(RED)
    time.sleep(1.5)
    back = update({"mixedVideoLayout": 1})
    take.until_more(2)
    assert take.stop().status_code == 200
    told = take.told()

    zero_s, delay_s = told["started_ms"] / 1000, RecordingSpec.model_validate(told["spec"]).playout_delay_ms / 1000
    placed = structure_of(farm.store / take.playlist_name, live=False).placed
    red = [at_s for at_s, frame in frames([it.listed.path for it in placed]) if _right_half_is_red(frame)]
    drawn = [zero_s + at_s + delay_s for at_s in (red[0], red[-1])]
    assert 0 <= drawn[0] - asked <= WITHIN_S
    assert -0.1 <= drawn[1] - back <= WITHIN_S  # the last red frame may be the one before
    assert len(red) >= 15


def _right_half_is_red(frame: av.VideoFrame) -> bool:
    rgb = frame.to_ndarray(format="rgb24")
    r, g, b = (float(np.median(rgb[:, WIDTH * 5 // 8 :, n])) for n in range(3))
    return r > 200 and g < 50 and b < 50
