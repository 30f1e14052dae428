"""What is wanted of a running recording changes, and nobody nudges: the next renewal carries it."""

from __future__ import annotations

import time
from collections.abc import Callable

import av
import numpy as np

from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from models.database import Database
from models.repositories import recordings
from models.vocabulary.spec import LayoutKind, LayoutSpec, RecordingSpec, Region, Selection
from tests.recorder.virtual import WIDTH
from tests.workers.rig import SID, Rig

GREEN = LayoutSpec(
    kind=LayoutKind.CUSTOM, background_color="#00FF00", regions=(Region(uid="a", x=0, y=0, width=0.5, height=1),)
)
RENEWAL_S = 0.3
SLACK_S = 0.4  # the state, the pipe, the next frame


def test_without_a_nudge_a_new_layout_is_seen_after_the_next_renewal(
    rig: Callable[[Database], Rig], sqlite: Database
) -> None:
    made = rig(sqlite)
    spec = made.recording()
    made.dispatch()
    made.slices(0)
    with sqlite.unit() as session:
        asked = time.time()
        recordings.respec(session, SID, spec.model_copy(update={"layout": GREEN}))
    made.slices(2)
    row = made.stop()
    assert row.t0_ms is not None
    placed = structure_of(made.playlist, live=False).placed
    green = [at_s for at_s, frame in frames([it.listed.path for it in placed]) if _is_green(frame)]
    drawn = row.t0_ms / 1000 + green[0] + spec.playout_delay_ms / 1000
    assert 0 <= drawn - asked <= RENEWAL_S + SLACK_S
    assert made.judge().violations == ()


def test_who_is_not_subscribed_to_any_more_is_not_seen_any_more(
    rig: Callable[[Database], Rig], sqlite: Database
) -> None:
    made = rig(sqlite)
    spec = made.recording(layout=LayoutSpec(kind=LayoutKind.BEST_FIT, background_color="#00FF00"))
    made.dispatch()
    made.slices(0)
    only: RecordingSpec = spec.model_copy(update={"video_from": Selection(rule="only", uids=("a",))})
    with sqlite.unit() as session:
        recordings.respec(session, SID, only)
    made.slices(2)
    made.stop()
    placed = structure_of(made.playlist, live=False).placed
    shown = [_is_green(frame) for _, frame in frames([it.listed.path for it in placed])][15:]  # once both are there
    assert not shown[0] and shown[-1]
    assert shown == sorted(shown)


def _is_green(frame: av.VideoFrame) -> bool:
    rgb = frame.to_ndarray(format="rgb24")
    r, g, b = (float(np.median(rgb[:, WIDTH * 5 // 8 :, n])) for n in range(3))
    return g > 200 and r < 50 and b < 50
