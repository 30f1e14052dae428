"""How long a user's last picture is held, read from the decoded file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from models.vocabulary.spec import LayoutKind, LayoutSpec
from models.vocabulary.ticks import LEAD_90K, TICKS_PER_S
from tests.recorder.virtual import Run, scene, spec, user
from workers.recorder.mixer.planes import planes_of

FPS = 15
HELD_S = 3.5


def seen_until(run: Run, half: int) -> float:
    """Behind the last frame that shows anything but grey in one half of the picture, s."""
    last_90k = 0
    with av.open(str(run.playlist)) as container:
        for frame in container.decode(video=0):
            assert isinstance(frame, av.VideoFrame) and frame.pts is not None and frame.time_base is not None
            _, u, v = planes_of(frame)
            width = u.shape[1] // 2
            cell = np.s_[8:-8, half * width + 8 : (half + 1) * width - 8]
            if max(np.ptp(np.append(plane[cell], 128).astype(int)) for plane in (u, v)) > 12:
                last_90k = round(frame.pts * frame.time_base * TICKS_PER_S) - LEAD_90K
    return last_90k / TICKS_PER_S + 1 / FPS


def call(folder: Path, *actions: tuple[float, str] | dict[str, Any], **fields: Any) -> Run:
    who = user("b", (0, "join"), (0, "publish"), *actions, colour="#d02020", **fields)
    channel = scene(folder, user("a", colour="#2020d0"), who, duration_s=14)
    return Run(folder, spec(channel, layout=LayoutSpec(kind=LayoutKind.BEST_FIT))).record()


@pytest.mark.parametrize("stops_s", [4.5, 5.63, 6.7])
@pytest.mark.parametrize(
    "how", [{"do": "mute", "what": ["video"]}, {"do": "loss", "percent": 100, "for_s": 60, "what": ["video"]}],
    ids=["muted", "silent without a word"],
)  # fmt: skip
def test_a_last_picture_is_held_for_three_and_a_half_seconds_of_its_time(
    tmp_path: Path, how: dict[str, Any], stops_s: float
) -> None:
    run = call(tmp_path, {"at_s": stops_s} | how)
    last_unit_s = np.ceil(stops_s * FPS - 1e-9) / FPS - 1 / FPS
    assert seen_until(run, half=1) == pytest.approx(last_unit_s + HELD_S, abs=1 / FPS + 1e-6)
    assert seen_until(run, half=0) == pytest.approx(14, abs=1 / FPS + 1e-6)


def test_a_client_of_the_webs_third_kind_holds_nothing(tmp_path: Path) -> None:
    run = call(tmp_path, {"at_s": 5.5, "do": "mute", "what": ["video"]}, client="web3")
    assert seen_until(run, half=1) == pytest.approx(5.5, abs=1 / FPS + 1e-6)
